"""What feeds `LiveHub`: a thread that follows the result topics, and beats that keep connections alive.

    thread:  tail ─ records ─ results ─┐ one hand-over at a time, and no more often than people notice
    loop:                              └─► hub.publish

It begins a little before now, so that whoever comes back after a restart of the gateway finds in the ring what it
missed. While Kafka is away it waits, and goes on where it was; it begins no further than that.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress

from framecue.broker.protocol import Broker, Offsets, Record, Start, Tail, TopicPartition, place
from framecue.clock import Clock
from framecue.errors import FrameCueError, MessageError
from framecue.schemas.results import RESULT_TOPICS, read_result, to_json
from framecue_services.gateway.live import KIND_OF, LiveHub, Result

BEFORE_MS = 60_000
"""What a gateway that starts reads first: longer than its own restart takes, and what it replaces took to end."""
POLL_RECORDS = 500
WAIT_S = 0.5
LINGER_S = 0.05
"""Between two hand-overs: nobody sees it, and 500 connections are woken 20 times a second at most."""
RETRY_S = 1.0
BEAT_S = 15.0
"""Proxies end what is quiet for 30 to 60 s."""
PATIENCE_S = 5.0
"""For Kafka to let go of who ends."""
CHECK_S = 2.0
"""How long somebody may go on whose token was just revoked."""
_log = logging.getLogger(__name__)


@asynccontextmanager
async def feeding(hub: LiveHub, broker: Broker, clock: Clock) -> AsyncIterator[None]:
    """Feeds `hub` meanwhile."""
    feed = LiveFeed(hub, broker, clock)
    tending = asyncio.create_task(_tend(hub))
    try:
        yield
    finally:
        hub.close()
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
        await feed.close()


async def _tend(hub: LiveHub) -> None:
    loop = asyncio.get_running_loop()
    beat_s = loop.time() + BEAT_S
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            hub.check()
            if loop.time() >= beat_s:
                beat_s += BEAT_S
                hub.beat()
        except Exception:  # revoked tokens have to end, whatever happens here
            _log.exception("those who listen could not be seen to")


class LiveFeed:
    """A thread that follows the result topics for as long as the loop it was made on runs, or until `close`."""

    def __init__(self, hub: LiveHub, broker: Broker, clock: Clock) -> None:
        self._hub, self._broker, self._clock = hub, broker, clock
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._start: Start | Offsets = clock.now_ms() - BEFORE_MS
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Ends the thread, or leaves it where Kafka keeps it for long. From the loop it was made on."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, PATIENCE_S)

    def _run(self) -> None:
        is_away = False
        while not self._stop.is_set():
            try:
                with closing(self._broker.tail(RESULT_TOPICS, start=self._start)) as tail:
                    is_away = False
                    self._follow(tail)
                continue
            except FrameCueError as e:  # SetupError too: topics may be made while this waits
                if not is_away:
                    _log.warning("live results wait: %s", e)
                is_away = True
            except Exception:  # nobody else would begin again
                _log.exception("live results wait: they could not be followed")
            self._stop.wait(RETRY_S)

    def _follow(self, tail: Tail) -> None:
        """Hands on what `tail` gives, until told to stop, or until it lost its place: then it is to be made anew."""
        positions = dict(tail.positions())
        known, log_id, caught_up = tail.lost, tail.log_id, False
        self._hand(lambda: self._hub.opened(log_id, positions, now_ms=self._clock.now_ms(), lost=bool(known)))
        self._start = positions
        while not self._stop.is_set() and (tail.lost, tail.log_id) == (known, log_id):
            records = tail.poll(POLL_RECORDS, timeout_s=WAIT_S)
            if records:
                results = results_of(in_order(records))
                self._hand(lambda results=results: self._hub.publish(results))  # type: ignore[misc]
                positions |= {place(record): record.offset + 1 for record in records}
            if not caught_up and (caught_up := tail.caught_up()):
                self._hand(self._hub.caught_up)
            elif records and caught_up:
                self._stop.wait(LINGER_S)

    def _hand(self, tell: Callable[[], None]) -> None:
        """Calls `tell` on the loop, and returns when that is done: a loop that is busy gets more at a time."""
        done = threading.Event()

        def called() -> None:
            try:
                tell()
            finally:
                done.set()

        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(called)
            while not done.wait(WAIT_S) and not self._stop.is_set():
                pass


def in_order(records: Sequence[Record]) -> list[Record]:
    """`records` as they were written, those of a partition in their order; written at once: windows before events."""
    groups: dict[TopicPartition, list[Record]] = {}
    for record in records:
        groups.setdefault(place(record), []).append(record)
    ordered = (groups[at] for at in sorted(groups, key=lambda at: (RESULT_TOPICS.index(at.topic), at.partition)))
    return list(heapq.merge(*ordered, key=lambda record: record.timestamp_ms or 0))


def results_of(records: Iterable[Record]) -> list[Result]:
    """The results in `records`; what is none (of a later version, a stranger's) is logged and left out."""
    out = []
    for record in records:
        try:
            out.append(result_of(record))
        except MessageError as e:
            _log.warning("%s %d/%d is left out: %s", record.topic, record.partition, record.offset, e)
    return out


def result_of(record: Record) -> Result:
    """The result in `record`; raises MessageError."""
    read = read_result(record.topic, record.value)
    data = record.value or b""
    if b"\n" in data or b"\r" in data:  # JSON may be laid out in lines; a frame may not
        data = to_json(read)
    kind = KIND_OF[record.topic]
    return Result(kind, read.stream, place(record), record.offset, record.timestamp_ms or 0, data)
