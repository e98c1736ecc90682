"""What a subscriber missed and the ring no longer holds: out of the topics, bounded in records and in time.

    place it came with        the ring's floor             now
      └── read from Kafka here ──┴─── the ring holds this ──┴─ live

The ring goes on meanwhile, and its floor with it: what lies before the floor is read, and again, until nothing does.
What would be too much is not read, and told as missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from framecue.broker.protocol import Broker, Offsets, Record, Tail, TopicPartition, place
from framecue.clock import Clock
from framecue_services.gateway.feed import in_order, results_of
from framecue_services.gateway.live import LiveHub, Wanted
from framecue_services.gateway.places import Place

MOST_RECORDS = 50_000
"""Of all streams together, in what would be read: some 100 MB."""
POLL_RECORDS = 500
POLL_S = 0.5
EXPIRED = "what came next is no longer kept"


@dataclass(frozen=True)
class Bounds:
    """How long one replay may read, and how many records."""

    seconds: float
    records: int = MOST_RECORDS


class Replay:
    """For one subscriber: frames from the place `since` on, until the ring has all the rest from `offsets` on."""

    def __init__(
        self, hub: LiveHub, broker: Broker, clock: Clock, *, since: Place, wanted: Wanted, bounds: Bounds
    ) -> None:
        self.offsets = list(since.offsets)
        self._hub, self._broker, self._clock = hub, broker, clock
        self._wanted, self._bounds, self._at_ms = wanted, bounds, since.at_ms

    @property
    def is_needed(self) -> bool:
        """Whether the ring does not hold all of it."""
        return bool(self._hub.behind(self.offsets, self._wanted))

    async def frames(self) -> AsyncGenerator[bytes]:
        """Raises BrokerError. Whoever stops before the end closes it."""
        until_s = time.monotonic() + self._bounds.seconds
        while goals := self._hub.behind(self.offsets, self._wanted):
            if sum(goal - self.offsets[self._hub.slot(at)] for at, goal in goals.items()) > self._bounds.records:
                yield self._skipped(goals, f"more than {self._bounds.records} results were published since")
                continue
            with _Following(self._broker, self._starts(goals)) as following:
                known = await following.lost()
                if known:
                    self._move({at: o for at, o in (await following.positions()).items() if at in known}, goals)
                    yield self._missed(EXPIRED)
                while self._unread(goals):
                    if time.monotonic() > until_s:
                        yield self._skipped(goals, f"reading took longer than {self._bounds.seconds:g} s")
                        break
                    records = await following.poll()
                    if chunk := self._taken(records, goals):
                        yield chunk
                    if await following.lost() != known:  # they expired before they were read
                        known = await following.lost()
                        yield self._missed(EXPIRED)
                    if not records:
                        self._move(await following.positions(), goals)

    def _starts(self, goals: Mapping[TopicPartition, int]) -> Offsets:
        return {at: self.offsets[self._hub.slot(at)] for at in goals}

    def _unread(self, goals: Mapping[TopicPartition, int]) -> bool:
        return any(self.offsets[self._hub.slot(at)] < goal for at, goal in goals.items())

    def _taken(self, records: Sequence[Record], goals: Mapping[TopicPartition, int]) -> bytes:
        """The frames of what is wanted of `records`; what lies behind a goal the ring has."""
        frames = []
        for record in in_order(records):
            self._move({place(record): record.offset + 1}, goals)
            if record.offset >= goals[place(record)] or not self._may_want(record):
                continue
            for result in results_of([record]):
                if self._wanted.has_stream(result.stream):
                    self._at_ms = max(self._at_ms, result.at_ms)
                    frames.append(self._hub.frame(result, self._hub.sealed(self._at_ms, self.offsets)))
        return b"".join(frames)

    def _may_want(self, record: Record) -> bool:
        """By its key, which costs nothing: most are of other streams."""
        return self._wanted.has_stream((record.key or b"").decode("utf-8", "replace"))

    def _move(self, positions: Offsets, goals: Mapping[TopicPartition, int]) -> None:
        for at, offset in positions.items():
            slot = self._hub.slot(at)
            self.offsets[slot] = max(self.offsets[slot], min(offset, goals[at]))

    def _skipped(self, goals: Mapping[TopicPartition, int], reason: str) -> bytes:
        self._move(goals, goals)
        return self._missed(reason)

    def _missed(self, reason: str) -> bytes:
        now_ms = self._clock.now_ms()
        return self._hub.missed_frame(self._at_ms, now_ms, reason, self._hub.sealed(self._at_ms, self.offsets))


class _Following:
    """A tail on a thread of its own, which ends it too: whoever waits may be gone before it answers."""

    def __init__(self, broker: Broker, start: Offsets) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._opening: Future[Tail] = self._thread.submit(broker.tail, (), start=start)

    def __enter__(self) -> _Following:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(_close, self._opening)
        self._thread.shutdown(wait=False)

    async def lost(self) -> frozenset[TopicPartition]:
        """The partitions that do not hold the place to go on from."""
        return (await asyncio.wrap_future(self._opening)).lost

    async def poll(self) -> list[Record]:
        return await asyncio.wrap_future(self._thread.submit(self._tail().poll, POLL_RECORDS, timeout_s=POLL_S))

    async def positions(self) -> Offsets:
        return await asyncio.wrap_future(self._thread.submit(self._tail().positions))

    def _tail(self) -> Tail:
        return self._opening.result(0)


def _close(opening: Future[Tail]) -> None:
    with suppress(Exception):  # then there is nothing to close
        opening.result(0).close()
