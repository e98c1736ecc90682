"""What Kafka, Redis and a service have in common: a process with a log, that is started, answers, and is ended.

It must not know how any of them is found, configured or asked.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from framecue.errors import SetupError
from framecue_services.cli.local.processes import STEP_SECONDS, Process, launch, uninterrupted

HOST = "127.0.0.1"
START_SECONDS = 180
"""A broker answers after 2 s; on a machine that is busy with other things, after half a minute."""
STOP_SECONDS = 20
LOG_LINES = 12


class StartError(SetupError):
    """A process that does not come up. `last_lines` are the end of its log, which says why."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(f"{what}; see {log}")
        try:
            self.last_lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        except OSError:
            self.last_lines = []


class Server(ABC):
    """One process, started here or by an earlier command (`process`)."""

    name: str

    def __init__(self, log: Path, process: Process | None = None) -> None:
        self.log = log
        self.process = process

    @property
    def pid(self) -> int:
        """The id of the process; raises SetupError where none runs."""
        if self.process is None or not self.process.alive:
            raise SetupError(f"{self.name} is not running")
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.alive

    def start(self, *, within_s: float = START_SECONDS) -> None:
        """Returns when it answers. Raises StartError where it does not; then nothing runs."""
        self.launch()
        await_ready([self], within_s=within_s)

    def launch(self) -> None:
        """Starts the process and does not wait; raises SetupError where that cannot be."""
        command = self.prepare()
        try:
            with uninterrupted():
                self.process = launch(command, log=self.log, environment=self.environment())
        except OSError as e:
            raise SetupError(
                f"{self.name} cannot be started with {command[0]}: {(e.strerror or str(e)).lower()}"
            ) from e

    def stop(self, *, within_s: float = STOP_SECONDS) -> None:
        """Ends it in peace, or by force after `within_s`; its data stays."""
        if self.process is not None:
            self.process.stop(within_s=within_s)

    def ask_to_stop(self) -> None:
        """Asks it to end, and does not wait: several are quicker together."""
        if self.process is not None:
            self.process.ask_to_stop()

    def kill(self) -> None:
        """Ends it as a power cut would; its data stays as it is."""
        if self.process is not None:
            self.process.kill()

    @property
    def starting(self) -> str:
        """What `launch` does, for people who wait for it."""
        return f"starting {self.name}"

    @abstractmethod
    def prepare(self) -> Sequence[str]:
        """The command, once all that it needs is in place. May download; raises SetupError."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does its work now. Never blocks for longer than a second."""

    def environment(self) -> Mapping[str, str] | None:
        """The process's variables; None for ours."""
        return None


def await_ready(
    servers: Iterable[Server], *, within_s: float = START_SECONDS, ready: Callable[[Server], None] = lambda _: None
) -> None:
    """Returns when all answer, each told to `ready` as it does.

    Raises StartError for the first that ended or was too slow; that one is ended.
    """
    end = time.monotonic() + within_s
    waiting = list(servers)
    while waiting:
        for server in list(waiting):
            if not server.running:
                raise StartError(f"{server.name} ended while it was starting", server.log)
            if server.answers():
                waiting.remove(server)
                ready(server)
            elif time.monotonic() > end:
                server.stop()
                raise StartError(f"{server.name} was not ready within {within_s:g} s", server.log)
        time.sleep(STEP_SECONDS)


def taken(port: int) -> bool:
    """Whether a program listens on this port of 127.0.0.1."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((HOST, port)) == 0


def ask(port: int, question: bytes, size: int) -> bytes:
    """The first `size` bytes that a server on 127.0.0.1 answers; fewer, or none, where it does not."""
    answer = b""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(question)
            while len(answer) < size and (more := connection.recv(size - len(answer))):
                answer += more
    except OSError:
        return answer
    return answer
