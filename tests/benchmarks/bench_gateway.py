"""What one gateway bears: 500 who listen and 300 requests a second, while 50 results a second are published.

A real Kafka, a real Redis, `framecue run gateway` and the load, each a process of its own, all on this machine.
Requests are those of dashboards, in turns: the wall, one stream now, its timeline, its events, the feed. A delay is
from a result's `published_at`, stamped as it is handed to Kafka, to the listener that reads it. Beside it, asked alike
but for the listeners: a bare Starlette application on uvicorn that says hello.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.sending import KafkaSender
from framecue.broker.kafka.topics import create_topics
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.store.redis import RedisStore
from framecue_services.cli.local.server import HOST, await_ready, taken
from framecue_services.cli.local.service import Service
from tests.benchmarks.bench_store import results_of
from tests.benchmarks.report import Row
from tests.support.paths import REPO
from tests.support.servers import free_port, new_kafka, new_redis, running

LISTENERS, PER_SECOND, RESULTS_PER_SECOND, SECONDS = 500, 300, 50, 30
STREAMS, WINDOWS, PARTITIONS = 100, 30, 8
PATHS = (
    "/v1/streams?limit=50",
    "/v1/streams/cam7/latest",
    "/v1/streams/cam7/timeline?limit=30",
    "/v1/streams/cam7/latest",
    "/v1/streams/cam11/events?limit=20",
    "/v1/streams/cam11/latest",
    "/v1/events?limit=20",
    "/v1/streams/cam13/latest",
)
HELLO = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/", lambda request: JSONResponse({"hello": "world"}))])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False)
"""


@dataclass(frozen=True)
class Load:
    """What the load saw, and what the process that bore it took."""

    seen: dict[str, float]
    cpu: float
    memory_mib: float


def run() -> list[Row]:
    """p50 and p99 of requests and of delays, and what they cost."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        hello = _hello(stack)
        bare = _load(hello, listeners=0, paths=("/",))
        gateway = stack.enter_context(_gateway(Path(folder)))
        quiet = _load(gateway.at, listeners=0, paths=PATHS)
        with gateway.feeding():
            full = _load(gateway.at, listeners=LISTENERS, paths=PATHS)
    against = f"{LISTENERS} listeners, {PER_SECOND} requests/s, {RESULTS_PER_SECOND} results/s, one gateway"
    handed = full.seen["frames"] / (LISTENERS * RESULTS_PER_SECOND * full.seen["seconds"])
    return [
        Row("request, p50", full.seen["answer_p50"], "ms", "<= 50", against),
        Row("request, p99", full.seen["answer_p99"], "ms", "<= 250", "the same"),
        Row("  without listeners, p99", quiet.seen["answer_p99"], "ms", "<= 100", "the same requests alone"),
        Row("  as a multiple, p50", quiet.seen["answer_p50"] / bare.seen["answer_p50"], "x", "<= 10", "a bare hello"),
        Row("published to heard, p50", full.seen["delay_p50"], "ms", "<= 150", against),
        Row("published to heard, p99", full.seen["delay_p99"], "ms", "<= 500", "the same"),
        Row("handed on of what was published", handed, "x", ">= 0.99", "each result to each listener"),
        Row("listeners dropped, requests failed", full.seen["broken"] + full.seen["failed"], "", "<= 0", "the same"),
        Row("CPU of the load", full.seen["load_cpu"], "cores", "<= 0.6", "the same; more, and it measures itself"),
        Row("CPU of the gateway", full.cpu, "cores", "<= 1", "the same"),
        Row("  without listeners", quiet.cpu, "cores", "<= 1", "the same requests alone"),
        Row("memory of the gateway", full.memory_mib, "MiB", "<= 400", "the same"),
    ]


@dataclass(frozen=True)
class _At:
    address: str
    pid: int


def _load(at: _At, *, listeners: int, paths: tuple[str, ...]) -> Load:
    asked = {"listeners": listeners, "seconds": SECONDS, "per_second": PER_SECOND, "paths": paths}
    command = [sys.executable, "-m", "tests.benchmarks.live_load", at.address, json.dumps(asked)]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        load.stdout.readline()
        before_s, began_s = _cpu_s(at.pid), time.monotonic()
        seen: dict[str, float] = json.loads(load.stdout.readline())
        cpu = (_cpu_s(at.pid) - before_s) / (time.monotonic() - began_s)
        return Load(seen, cpu, _memory_mib(at.pid))


def _cpu_s(pid: int) -> float:
    """What a process took of the processors, as the kernel says."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _hello(stack: ExitStack) -> _At:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", HELLO, str(port)])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while not taken(port):
        time.sleep(0.1)
    return _At(f"{HOST}:{port}", process.pid)


class _Gateway:
    def __init__(self, at: _At, connection: KafkaConnection) -> None:
        self.at, self._connection = at, connection
        self._stop = threading.Event()

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Publishes meanwhile, evenly."""
        thread = threading.Thread(target=self._feed)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _feed(self) -> None:
        clock, windows = SystemClock(), range(WINDOWS, 1_000_000)
        with closing(KafkaSender(self._connection)) as sender:
            began_s, sent = time.monotonic(), 0
            for window in windows:
                for n in range(STREAMS):
                    if self._stop.wait(max(0.0, began_s + sent / RESULTS_PER_SECOND - time.monotonic())):
                        return
                    sender.send(result_message(results_of(f"cam{n}", window)[0], clock))
                    sent += 1


@contextmanager
def _gateway(folder: Path) -> Iterator[_Gateway]:
    with (
        running(new_kafka(folder / "kafka")) as kafka,
        running(new_redis(folder / "redis")) as redis,
        closing(RedisStore(redis.url)) as store,
    ):
        connection, port = KafkaConnection(kafka.bootstrap), free_port()
        create_topics(connection, partitions=PARTITIONS, replication=1)
        for window in range(WINDOWS):
            store.put([one for n in range(STREAMS) for one in results_of(f"cam{n}", window)])
        variables: dict[str, Any] = {
            "FRAMECUE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "FRAMECUE_REDIS__URL": redis.url,
            "FRAMECUE_GATEWAY__AUTH": "off",
            "FRAMECUE_GATEWAY__LIVE_PER_CALLER": str(LISTENERS),
            "FRAMECUE_GATEWAY__PORT": str(port),
            "FRAMECUE_GATEWAY__REQUESTS_PER_SECOND": "100000",
        }
        service = Service("gateway", folder / "logs", folder / "ready", variables=variables)
        service.launch()
        try:
            await_ready([service])
            yield _Gateway(_At(f"{HOST}:{port}", service.pid), connection)
        finally:
            service.stop()
            service.kill()


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
