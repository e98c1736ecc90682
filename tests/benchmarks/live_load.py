r"""The load of `bench_gateway`, in a process of its own: who listens, and who asks. Prints what it saw as JSON.

    python -m tests.benchmarks.live_load 127.0.0.1:8080 \
        '{"listeners": 500, "seconds": 30, "per_second": 300, "paths": ["/v1/streams"]}'

Requests leave at their times, whether those before were answered or not, and count from when they should have left:
who waits for an answer before it asks again would measure a stalled server as an idle one. Of most listeners frames
are only counted, of every `SAMPLED`th its delays are taken: reading all would cost more than sending them.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from statistics import quantiles

from framecue.clock import SystemClock
from framecue.timeline import parse_rfc3339

SAMPLED = 25
CONNECTIONS = 32
CONNECT_AT_ONCE = 50
PUBLISHED = re.compile(rb'"published_at":"([^"]+)"')


@dataclass
class Seen:
    """What came. Times in ms."""

    frames: int = 0
    hellos: int = 0
    missed: int = 0
    broken: int = 0
    delays: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    failed: int = 0


class Listening(asyncio.Protocol):
    """One connection to /v1/live."""

    def __init__(self, seen: Seen, host: str, *, sampled: bool) -> None:
        self._seen, self._host, self._sampled = seen, host, sampled
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(f"GET /v1/live HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        seen = self._seen
        seen.hellos += data.count(b"event: hello\n")
        seen.missed += data.count(b"event: missed\n")
        seen.frames += data.count(b"event: annotation\n")
        if self._sampled:
            now_ms = SystemClock().now_ms()
            found = list(PUBLISHED.finditer(data := self._rest + data))
            seen.delays += [now_ms - parse_rfc3339(one.group(1).decode()) for one in found]
            self._rest = data[found[-1].end() :] if found else data

    def connection_lost(self, error: Exception | None) -> None:
        self._seen.broken += 1


class Asking:
    """A connection that is kept, used by one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str) -> int:
        """The status of the answer, all of it read."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length:
            await reader.readexactly(int(length.group(1)))
        return int(head[9:12])


async def main(address: str, asked: dict[str, object]) -> None:
    """Lets so many listen, then asks so often for so long."""
    host, port = address.split(":")
    seen, loop = Seen(), asyncio.get_running_loop()
    for n in range(int(str(asked["listeners"]))):
        await loop.create_connection(lambda n=n: Listening(seen, address, sampled=n % SAMPLED == 0), host, int(port))  # type: ignore[misc]
        if n % CONNECT_AT_ONCE == 0:
            await asyncio.sleep(0.1)
    while seen.hellos < int(str(asked["listeners"])):
        await asyncio.sleep(0.1)
    _say("listening")
    await asyncio.sleep(2)
    seen.frames, seen.delays = 0, []
    cpu_s, began_s = time.process_time(), time.perf_counter()
    await _ask_all(seen, host, int(port), asked)
    took_s = time.perf_counter() - began_s  # longer than was asked for, where answers came late
    _say(json.dumps({**_figures(seen), "seconds": took_s, "load_cpu": (time.process_time() - cpu_s) / took_s}))


async def _ask_all(seen: Seen, host: str, port: int, asked: dict[str, object]) -> None:
    paths, rate = list(asked["paths"]), float(str(asked["per_second"]))  # type: ignore[call-overload]
    free: asyncio.Queue[Asking] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Asking(host, port))
    began_s, tasks = time.perf_counter(), set[asyncio.Task[None]]()

    async def one(path: str, at_s: float) -> None:
        connection = await free.get()
        try:
            status = await connection.ask(path)
        except (OSError, asyncio.IncompleteReadError):
            status, connection = 0, Asking(host, port)
        free.put_nowait(connection)
        seen.failed += status != 200
        seen.answers.append(1_000 * (time.perf_counter() - at_s))

    for n in range(int(rate * float(str(asked["seconds"])))):
        at_s = began_s + n / rate
        if (wait_s := at_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        tasks.add(task := asyncio.create_task(one(paths[n % len(paths)], at_s)))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _figures(seen: Seen) -> dict[str, float]:
    out: dict[str, float] = {
        "frames": seen.frames, "missed": seen.missed, "broken": seen.broken, "failed": seen.failed,
        "asked": len(seen.answers),
    }  # fmt: skip
    for name, values in (("delay", seen.delays), ("answer", seen.answers)):
        if len(values) > 1:
            cuts = quantiles(values, n=100, method="inclusive")
            out |= {f"{name}_p50": cuts[49], f"{name}_p99": cuts[98], f"{name}_max": max(values)}
    return out


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
