"""A fleet of service processes over real servers, for tests that kill, stop and restart them.

    with Fleet(folder, bootstrap=kafka, redis_url=redis_url) as fleet:
        fleet.start("ingest"), fleet.start("fusion", slot="1"), fleet.start("projector")
        fleet.until(fleet.ready)
        fleet.push("cam1", segment)
        fleet.until(lambda: read_all(fleet.broker, "annotations"))

Workers have the light model (`light_service`), topics and keys under a prefix of their own. What a test waits for is a
condition with a bound; while it waits, workers that died come back. It must not know what a test expects of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar
from uuid import uuid4

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.sending import KafkaSender
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Broker, Message, Record
from framecue.schemas.segment import Headers
from framecue.schemas.topics import SEGMENTS, SUBTITLES
from framecue.settings import child_environment
from framecue.store.redis import RedisStore
from tests.support.light_service import PURPOSE, Fault
from tests.support.paths import REPO

T = TypeVar("T")
STEP_S = 0.05
STOP_S = 20.0
LOG_LINES = 40
PARTITIONS = 4
SETTINGS = {
    "FRAMECUE_KAFKA__SESSION_TIMEOUT_MS": "6000",
    "FRAMECUE_DELIVERY__SNAPSHOT_EVERY_MS": "500",
    "FRAMECUE_INGEST__DECODERS": "1",
}
"""Of every worker, unless a test says otherwise."""


@dataclass
class Worker:
    """One process, or the next one under the same name and slot.

    `ends` are the exit codes of those before, `last_fault` what the latest of them was to do.
    """

    name: str
    slot: str
    fault: Fault
    log: Path
    ready_file: Path
    process: subprocess.Popen[bytes]
    ends: list[int] = field(default_factory=list)
    is_wanted: bool = True
    starts: int = 1
    last_fault: Fault | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        return self.alive and self.ready_file.exists()

    @property
    def died_on_purpose(self) -> bool:
        """Whether the process died of its fault."""
        return self.process.poll() == -signal.SIGKILL and self.last_lines(1).startswith(PURPOSE)

    def kill(self) -> None:
        """SIGKILL, to it alone: its children must see to themselves. Comes back while somebody waits."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGSTOP: it holds what it has and says nothing."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def terminate(self, *, within_s: float = STOP_S) -> int:
        """SIGTERM, and stays away; its exit code. Raises TimeoutExpired where it does not end."""
        self.is_wanted = False
        self._signal(signal.SIGTERM)
        self.cont()
        return self.process.wait(within_s)

    def last_lines(self, lines: int = LOG_LINES) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: int) -> None:
        if self.alive:
            os.kill(self.process.pid, number)


class Fleet:
    """Workers by name and slot, and clients beside them. A context manager: at its end nothing of it runs.

    `settings` are more `FRAMECUE_*` variables for all workers; `restart` "always" brings back whoever died and was not
    terminated, while somebody waits.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bootstrap: str,
        redis_url: str,
        partitions: int = PARTITIONS,
        settings: Mapping[str, str] | None = None,
        restart: Literal["always", "never"] = "always",
    ) -> None:
        self.folder, self.partitions, self.restart = folder, partitions, restart
        prefix = f"t-{uuid4().hex[:10]}."
        self.connection = KafkaConnection(bootstrap, prefix=prefix, session_timeout_ms=6_000)
        self.redis_url, self.redis_prefix = redis_url, f"{prefix[:-1]}:"
        self.workers: dict[tuple[str, str], Worker] = {}
        self._settings = dict(SETTINGS) | dict(settings or {})
        self._groups: list[int] = []
        self._broker: KafkaBroker | None = None
        self._sender: KafkaSender | None = None
        self._store: RedisStore | None = None

    def __enter__(self) -> Fleet:
        self.folder.mkdir(parents=True, exist_ok=True)
        create_topics(self.connection, partitions=self.partitions, replication=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    # clients

    @property
    def broker(self) -> KafkaBroker:
        """A broker client of the test's own."""
        if self._broker is None:
            self._broker = KafkaBroker(self.connection)
        return self._broker

    @property
    def store(self) -> RedisStore:
        """A store client of the test's own."""
        if self._store is None:
            self._store = RedisStore(self.redis_url, prefix=self.redis_prefix)
        return self._store

    def push(self, stream: str, data: bytes, *, headers: Headers = (), flush: bool = True) -> None:
        """One segment, as a client sends it."""
        self._send(Message(SEGMENTS.name, stream.encode(), data, headers), flush=flush)

    def say(self, stream: str, data: bytes, *, headers: Headers = (), flush: bool = True) -> None:
        """One text message, as a client sends it."""
        self._send(Message(SUBTITLES.name, stream.encode(), data, headers), flush=flush)

    def flush(self) -> None:
        """Returns when all that was pushed is written."""
        if self._sender is not None:
            self._sender.flush()

    def _send(self, message: Message, *, flush: bool) -> None:
        if self._sender is None:
            self._sender = KafkaSender(self.connection)
        self._sender.send(message)
        if flush:
            self._sender.flush()

    # workers

    def start(
        self, name: str, slot: str = "0", *, fault: Fault | None = None, settings: Mapping[str, str] | None = None
    ) -> Worker:
        """Starts a worker, and does not wait; `fault` holds from this start on, `settings` of its own ever after."""
        log = self.folder / f"{name}-{slot}.log"
        ready_file = self.folder / f"{name}-{slot}.ready"
        ready_file.unlink(missing_ok=True)
        before = self.workers.get((name, slot))
        own = settings if settings is not None else before.settings if before is not None else {}
        process = self._launch(name, slot, fault or Fault(), own, log=log, ready_file=ready_file)
        if before is None:
            self.workers[name, slot] = Worker(name, slot, fault or Fault(), log, ready_file, process, settings=own)
        else:
            before.process, before.is_wanted, before.settings = process, True, own
            before.last_fault, before.fault = before.fault, fault or Fault()
            before.starts += 1
        return self.workers[name, slot]

    def worker(self, name: str, slot: str = "0") -> Worker:
        """The one that was started under this name and slot."""
        return self.workers[name, slot]

    def ready(self) -> bool:
        """Whether all that are wanted are ready."""
        return all(worker.ready for worker in self.workers.values() if worker.is_wanted)

    def tend(self, fault_of: Callable[[Worker], Fault] = lambda _: Fault()) -> list[Worker]:
        """Those that died since; each comes back, with the fault that is given, where the fleet restarts."""
        died = [w for w in self.workers.values() if w.is_wanted and not w.alive]
        for worker in died:
            worker.ends.append(worker.process.returncode)
            if self.restart == "always":
                self.start(worker.name, worker.slot, fault=fault_of(worker))
            else:
                worker.is_wanted = False
        return died

    def until(self, condition: Callable[[], T], *, within_s: float = 60.0, what: str = "") -> T:
        """What `condition` gives once that is true, tending the fleet meanwhile; AssertionError with logs where not."""
        end_s = time.monotonic() + within_s
        while not (found := condition()):
            self.tend()
            if time.monotonic() > end_s:
                raise AssertionError(f"{what or 'the condition'} did not hold within {within_s:g} s\n{self.logs()}")
            time.sleep(STEP_S)
        return found

    def logs(self, lines: int = LOG_LINES) -> str:
        """The end of every log."""
        return "\n\n".join(
            f"--- {w.name}-{w.slot} ({'alive' if w.alive else 'dead'}, {w.starts} starts, ends {w.ends})\n"
            + w.last_lines(lines)
            for w in self.workers.values()
        )

    def left_behind(self) -> list[int]:
        """Processes of workers that are dead: what a worker starts must not outlive it."""
        living = {worker.process.pid for worker in self.workers.values() if worker.alive}
        return [pid for group in self._groups if group not in living for pid in _members(group)]

    def end(self) -> None:
        """Terminates all, kills what does not end, closes the clients."""
        for worker in self.workers.values():
            worker.is_wanted = False
            if worker.alive:
                worker.cont()
                worker.process.terminate()
        for worker in self.workers.values():
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(STOP_S)
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for worker in self.workers.values():
            worker.process.wait()
        for client in (self._sender, self._broker, self._store):
            if client is not None:
                client.close()
        self._sender = self._broker = self._store = None

    def _launch(
        self, name: str, slot: str, fault: Fault, own: Mapping[str, str], *, log: Path, ready_file: Path
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.light_service", name, "--fault", fault.to_json()]
        variables = (
            self._settings
            | dict(own)
            | {
                "FRAMECUE_KAFKA__BOOTSTRAP": self.connection.bootstrap,
                "FRAMECUE_KAFKA__PREFIX": self.connection.prefix,
                "FRAMECUE_REDIS__URL": self.redis_url,
                "FRAMECUE_REDIS__PREFIX": self.redis_prefix,
                "FRAMECUE_SLOT": slot,
                "FRAMECUE_RUN__READY_FILE": str(ready_file),
            }
        )
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=child_environment(variables),
                cwd=REPO,
            )
        self._groups.append(process.pid)
        return process


def read_all(broker: Broker, topic: str) -> list[Record]:
    """What is committed to `topic`, up to its end as of now, partition by partition."""
    return [r for p in range(broker.partitions(topic)) for r in broker.read(topic, partition=p)]


def read_each(broker: Broker, topics: Sequence[str]) -> Iterator[Record]:
    """The same of several topics."""
    for topic in topics:
        yield from read_all(broker, topic)


def _members(group: int) -> list[int]:
    """The processes of a group that live, zombies aside."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found
