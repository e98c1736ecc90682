"""Every result as it is committed, handed to whoever listens: a ring of the last ones, and a queue for each subscriber.

    result topics ─ LiveFeed ─► publish ─► ring ─► whoever comes back and was away for a moment
                                   └─► one chunk per filter ─► a queue per subscriber ─► its connection

The source is the result topics, not Redis' channel: what they hold is committed exactly once, survives a restart of
anything, and has offsets. A result becomes a frame once, whoever gets it, and subscribers who want the same share the
bytes. Who does not read has a queue that fills up to its bound; then it is dropped, and nobody else notices.

All of it is used on one thread, the event loop's. It must not know HTTP, threads or Kafka: tests feed it by hand.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, get_args

from framecue.broker.protocol import Offsets, TopicPartition
from framecue.schemas.results import RESULT_TOPICS
from framecue.schemas.topics import ANNOTATIONS, CAPTIONS, EVENTS, partition_of
from framecue.telemetry.metrics import add, level
from framecue.telemetry.names import LIVE_DROPPED, LIVE_SENT, LIVE_SUBSCRIBERS
from framecue.timeline import rfc3339
from framecue_services.gateway.places import Place, PlaceSeal

Kind = Literal["annotation", "event", "caption"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KIND_OF: Mapping[str, Kind] = {ANNOTATIONS.name: "annotation", EVENTS.name: "event", CAPTIONS.name: "caption"}
End = Literal["slow", "closing", "refused", "left"]
"""Why a subscription is over: it did not keep up, the gateway ends, its token no longer counts, it went away."""

RING_RECORDS, RING_BYTES = 20_000, 32 << 20
"""Six minutes of 100 streams: longer than a page reloads, a laptop changes networks, a gateway restarts."""
REPLAYS = 4
"""Subscribers who may read at once what the ring no longer holds: each has a connection to Kafka and a thread."""
CHUNK_BYTES = 64 << 10
"""Of one write: as much as the server holds for a connection before it makes it wait."""
WOKEN_AT_ONCE = 32
"""Connections that write in one turn of the loop, a millisecond: 500 in one would hold up every request for 20."""
KNOWN_STREAMS = 10_000
"""Ids of streams that a filter keeps its answer for."""
ALL_CHARS = re.compile(r"[^*?\[]*")
"""A pattern of these is one id."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result as it was committed. `data` is its JSON on one line; `at_ms` is when it was written."""

    kind: Kind
    stream: str
    at: TopicPartition
    offset: int
    at_ms: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A result in the ring: `slot` is its partition's number among those of all result topics."""

    kind: Kind
    stream: str
    slot: int
    offset: int
    frame: bytes = field(repr=False)


@dataclass(frozen=True)
class Wanted:
    """What a subscriber is handed: these kinds, of streams that fit `match` and that its principal sees."""

    match: str = "*"
    kinds: frozenset[Kind] = frozenset(KINDS)
    seen: tuple[str, ...] = ("*",)

    def has_stream(self, stream: str) -> bool:
        """Whether results of `stream` are for it."""
        return fnmatchcase(stream, self.match) and any(fnmatchcase(stream, pattern) for pattern in self.seen)

    def partitions(self, count: int) -> frozenset[int]:
        """Where, of `count`, its streams may be: of a pattern anywhere, of an id in one place."""
        patterns = (self.match,) if ALL_CHARS.fullmatch(self.match) else self.seen
        if all(ALL_CHARS.fullmatch(pattern) for pattern in patterns):
            return frozenset(partition_of(pattern, count) for pattern in patterns)
        return frozenset(range(count))


class TooManySubscribersError(Exception):
    """Another one would be one more than there may be."""


class TooManyOfOneError(Exception):
    """This caller has as many as one may have: others are to have room, too."""


class ClosingError(Exception):
    """The gateway ends: another one is up, or will be in a moment."""


class LiveHub:
    """Takes results in the order of the log, hands them to subscriptions.

    `queue_bytes` is what may wait for one subscriber, `most` how many there may be, `most_each` how many of them one
    caller's. Until `opened`, and again until `caught_up`, it is not `ready`: whoever comes waits for that.
    """

    def __init__(
        self,
        *,
        queue_bytes: int,
        most: int,
        most_each: int,
        ring_records: int = RING_RECORDS,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        self.ready = asyncio.Event()
        self.replaying = asyncio.Semaphore(REPLAYS)
        self._queue_bytes, self._most, self._most_each = queue_bytes, most, most_each
        self._ring_records, self._ring_bytes = ring_records, ring_bytes
        self._ring: deque[_Entry] = deque()
        self._held_bytes = 0
        self._slots: dict[TopicPartition, int] = {}
        self._log_id: bytes | None = None
        self._seal = PlaceSeal(b"", 0)
        self._next: list[int] = []
        """By slot, the offset after the newest result that was handed out."""
        self._floor: list[int] = []
        """By slot, the offset from which on the ring holds everything."""
        self._last_ms = 0
        self._channels: dict[Wanted, _Channel] = {}
        self._subscriptions: set[Subscription] = set()
        self._of_caller: Counter[str] = Counter()
        """How many each has now; who has none is not in it."""
        self._waking = _Waking()
        self._sent = 0
        self._is_closed = False

    # what the feed tells

    def opened(self, log_id: bytes, positions: Offsets, *, now_ms: int, lost: bool = False) -> None:
        """The topics are followed from `positions` on; where those are not what they were left at, all hear of it."""
        if self._log_id == log_id and not lost:
            return
        first = self._log_id is None
        self._log_id, self._slots = log_id, {at: slot for slot, at in enumerate(sorted(positions, key=_order))}
        self._seal = PlaceSeal(log_id, len(self._slots))
        self._next = [positions[at] for at in self._slots]
        self._floor = list(self._next)
        self._ring.clear()
        self._held_bytes = 0
        if not first:
            reason = (
                "the topics no longer hold what was to come next: they were deleted, or kept it for too short a time"
            )
            self._tell_all(self.missed_frame(self._last_ms, now_ms, reason, self.place()))
        self._last_ms = now_ms

    def caught_up(self) -> None:
        """What was committed when the feed began is in the ring; from here on it is live."""
        self.ready.set()

    def publish(self, results: Sequence[Result]) -> None:
        """Hands `results` on. Of a partition they come in order; one that was handed on before changes nothing."""
        entries = list(self._entries(results))
        self._keep(entries)
        for channel in self._channels.values():
            channel.publish(entries)

    def beat(self) -> None:
        """Something for those who would hear nothing: that this lives, and where they are by now."""
        self._tell_all(b": keep-alive\nid: %b\n\n" % self.place().encode())

    def check(self) -> None:
        """Ends subscriptions whose token no longer counts, and counts what was sent."""
        for subscription in tuple(self._subscriptions):
            if not subscription.is_valid():
                subscription.end("refused")
        sent, self._sent = self._sent, 0
        if sent:
            add(LIVE_SENT, sent)

    def close(self) -> None:
        """Ends all subscriptions; no more are taken."""
        self._is_closed = True
        for subscription in tuple(self._subscriptions):
            subscription.end("closing")
        self.ready.set()

    # what subscribers ask

    @property
    def partitions(self) -> int:
        """Of each result topic."""
        return len(self._slots) // len(RESULT_TOPICS)

    def place(self) -> str:
        """Where somebody is who was handed everything, as an id."""
        return self._seal.seal(self._last_ms, self._next)

    def sealed(self, at_ms: int, offsets: Sequence[int]) -> str:
        """Another place as an id."""
        return self._seal.seal(at_ms, offsets)

    def placed(self, text: str) -> Place:
        """The place of an id; raises PlaceError."""
        return self._seal.open(text)

    def behind(self, offsets: Sequence[int], wanted: Wanted) -> dict[TopicPartition, int]:
        """Partitions of what is wanted that the ring does not reach back far enough in, with where it begins."""
        numbers = wanted.partitions(self.partitions)
        return {
            at: self._floor[slot]
            for at, slot in self._slots.items()
            if offsets[slot] < self._floor[slot] and at.partition in numbers and KIND_OF[at.topic] in wanted.kinds
        }

    def slot(self, at: TopicPartition) -> int:
        """The number that a partition has in a place."""
        return self._slots[at]

    def subscribe(
        self, wanted: Wanted, *, caller: str = "", is_valid: Callable[[], bool] = lambda: True
    ) -> Subscription:
        """One more of `caller`, which is handed nothing until it is attached.

        Raises TooManySubscribersError, TooManyOfOneError, ClosingError.
        """
        if self._is_closed:
            raise ClosingError
        if self._of_caller[caller] >= self._most_each:
            raise TooManyOfOneError
        if len(self._subscriptions) >= self._most:
            raise TooManySubscribersError
        subscription = Subscription(self, wanted, caller=caller, is_valid=is_valid, queue_bytes=self._queue_bytes)
        self._subscriptions.add(subscription)
        self._of_caller[caller] += 1
        level(LIVE_SUBSCRIBERS, len(self._subscriptions))
        return subscription

    def frame(self, result: Result, place: str) -> bytes:
        """`result` as subscribers get it, where `place` is that after it."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (place.encode(), result.kind.encode(), result.data)

    def hello_frame(self, place: str, *, resumed: bool, retry_ms: int) -> bytes:
        """What comes first: whether it goes on after the id that was shown, and when to come back after a break."""
        said = b"true" if resumed else b"false"
        return b'retry: %d\nid: %b\nevent: hello\ndata: {"resumed":%b}\n\n' % (retry_ms, place.encode(), said)

    def missed_frame(self, since_ms: int | None, until_ms: int, reason: str, place: str) -> bytes:
        """What tells that results were not handed on; those of `since_ms` to `until_ms`, as far as that is known."""
        since = None if since_ms is None else rfc3339(since_ms)
        said = json.dumps({"since": since, "until": rfc3339(until_ms), "reason": reason}, separators=(",", ":"))
        return b"id: %b\nevent: missed\ndata: %b\n\n" % (place.encode(), said.encode())

    # between the hub and its subscriptions

    def _attach(self, subscription: Subscription, offsets: Sequence[int] | None) -> list[_Entry]:
        """From now on it is handed what is new; what the ring holds from `offsets` on it has to read first."""
        channel = self._channels.get(subscription.wanted)
        if channel is None:
            channel = self._channels[subscription.wanted] = _Channel(subscription.wanted)
        channel.members.add(subscription)
        if offsets is None:
            return []
        return [entry for entry in self._ring if entry.offset >= offsets[entry.slot] and channel.has(entry)]

    def _leave(self, subscription: Subscription, why: End) -> None:
        self._subscriptions.discard(subscription)
        self._of_caller[subscription.caller] -= 1
        if not self._of_caller[subscription.caller]:
            del self._of_caller[subscription.caller]
        channel = self._channels.get(subscription.wanted)
        if channel is not None:
            channel.members.discard(subscription)
            if not channel.members:
                del self._channels[subscription.wanted]
        if why == "slow":
            add(LIVE_DROPPED, reason="slow")
        level(LIVE_SUBSCRIBERS, len(self._subscriptions))

    def _wake(self, subscription: Subscription) -> None:
        self._waking.add(subscription)

    def _count(self, sent: int) -> None:
        self._sent += sent

    def _entries(self, results: Iterable[Result]) -> Iterator[_Entry]:
        for result in results:
            slot = self._slots[result.at]
            if result.offset >= self._next[slot]:
                self._next[slot] = result.offset + 1
                self._last_ms = max(self._last_ms, result.at_ms)
                yield _Entry(result.kind, result.stream, slot, result.offset, self.frame(result, self.place()))

    def _keep(self, entries: Sequence[_Entry]) -> None:
        self._ring.extend(entries)
        self._held_bytes += sum(len(entry.frame) for entry in entries)
        while len(self._ring) > self._ring_records or self._held_bytes > self._ring_bytes:
            oldest = self._ring.popleft()
            self._held_bytes -= len(oldest.frame)
            self._floor[oldest.slot] = oldest.offset + 1

    def _tell_all(self, frame: bytes) -> None:
        for channel in self._channels.values():
            channel.tell(frame, 0)


class _Channel:
    """Subscribers who want the same: what is for them is put together once."""

    def __init__(self, wanted: Wanted) -> None:
        self.members: set[Subscription] = set()
        self._wanted = wanted
        self._known: dict[str, bool] = {}

    def has(self, entry: _Entry) -> bool:
        """Whether it is for them."""
        known = self._known.get(entry.stream)
        if known is None:
            if len(self._known) >= KNOWN_STREAMS:
                self._known.clear()
            known = self._known[entry.stream] = self._wanted.has_stream(entry.stream)
        return known and entry.kind in self._wanted.kinds

    def publish(self, entries: Sequence[_Entry]) -> None:
        frames = [entry.frame for entry in entries if self.has(entry)]
        if frames:
            self.tell(b"".join(frames), len(frames))

    def tell(self, chunk: bytes, results: int) -> None:
        for member in tuple(self.members):
            member.offer(chunk, results)


class _Waking:
    """Who was handed something, and is told of it a few in a turn of the loop: requests have theirs in between."""

    def __init__(self) -> None:
        self._due: deque[Subscription] = deque()

    def add(self, subscription: Subscription) -> None:
        """It is told soon."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._turn)
        self._due.append(subscription)

    def _turn(self) -> None:
        for _ in range(min(WOKEN_AT_ONCE, len(self._due))):
            self._due.popleft().wake()
        if self._due:
            asyncio.get_running_loop().call_soon(self._turn)


class Subscription:
    """One who listens. Its connection takes from it with `next`; what waits there is bounded."""

    def __init__(
        self, hub: LiveHub, wanted: Wanted, *, caller: str, is_valid: Callable[[], bool], queue_bytes: int
    ) -> None:
        self.wanted, self.caller, self.is_valid = wanted, caller, is_valid
        self.ended = asyncio.Event()
        self.why: End | None = None
        self._hub, self._queue_bytes = hub, queue_bytes
        self._backlog: deque[_Entry] = deque()
        self._queue: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()

    def attach(self, offsets: Sequence[int] | None = None) -> None:
        """From now on it is handed what is new, after what the ring holds from the place `offsets` on."""
        if self.why is None:
            self._backlog.extend(self._hub._attach(self, offsets))
            if self._backlog:
                self._filled.set()

    def offer(self, chunk: bytes, results: int) -> None:
        """Lets `chunk` wait; where that is more than may wait, it is over."""
        if self._waiting_bytes + len(chunk) > self._queue_bytes and self._queue:
            self.end("slow")
            return
        if not self._queue:
            self._hub._wake(self)
        self._queue.append((chunk, results))
        self._waiting_bytes += len(chunk)

    def wake(self) -> None:
        """What waits can be taken."""
        if self._queue:
            self._filled.set()

    async def next(self) -> bytes | None:
        """What waits, a good write of it; None once it is over."""
        await self._filled.wait()
        if self.why is not None:
            return None
        if self._backlog:
            chunk, results = self._of_backlog()
        else:
            chunk, results = self._of_queue()
        self._hub._count(results)
        if not self._backlog and not self._queue:
            self._filled.clear()
        return chunk

    def end(self, why: End) -> None:
        """It is over; nothing waits any longer."""
        if self.why is None:
            self.why = why
            self._hub._leave(self, why)
            self._backlog.clear()
            self._queue.clear()
            self._filled.set()
            self.ended.set()

    def _of_backlog(self) -> tuple[bytes, int]:
        frames: list[bytes] = []
        size = 0
        while self._backlog and size < CHUNK_BYTES:
            frames.append(self._backlog.popleft().frame)
            size += len(frames[-1])
        return b"".join(frames), len(frames)

    def _of_queue(self) -> tuple[bytes, int]:
        chunks, results, size = [], 0, 0
        while self._queue and size < CHUNK_BYTES:
            chunk, count = self._queue.popleft()
            chunks.append(chunk)
            size, results = size + len(chunk), results + count
        self._waiting_bytes -= size
        return chunks[0] if len(chunks) == 1 else b"".join(chunks), results


def _order(at: TopicPartition) -> tuple[int, int]:
    return RESULT_TOPICS.index(at.topic), at.partition
