"""The broker in memory: what `analyze`, the embedded demo and the tests run on. Thread-safe and bounded.

It keeps the contract of `broker.protocol` and adds two things that no server gives: a poll hands records out in the
order in which they were written, across partitions, so one process is deterministic; and without a clock records have
no time. It must not know any stage.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from uuid import uuid4

from framecue.broker.protocol import (
    Consumer,
    Handover,
    Message,
    Notes,
    Offsets,
    Record,
    Start,
    TopicPartition,
    check_size,
    known_topic,
    placed,
    size,
)
from framecue.clock import Clock
from framecue.errors import BrokerError
from framecue.schemas.topics import TOPICS

KEEP_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "segments": 64 << 20,
        "subtitles": 8 << 20,
        "media": 512 << 20,  # about three hours of pictures at two a second
        "features": 64 << 20,
        "annotations": 32 << 20,  # half a day of windows
        "events": 32 << 20,
        "captions": 32 << 20,
        "caption-requests": 8 << 20,
        "feedback": 8 << 20,
        "deadletter": 64 << 20,
    }
)
"""By topic, how many bytes stay once every group that reads it has; compacted topics are not here, and keep all."""


@dataclass
class _Log:
    """One partition: `entries[0]` has offset `start`. Each entry carries its number in the order of all writes."""

    start: int = 0
    size: int = 0
    entries: list[tuple[int, Record]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    def append(self, number: int, record: Record) -> None:
        self.entries.append((number, record))
        self.size += size(record)

    def read(self, offset: int) -> Iterator[tuple[int, Record]]:
        return (self.entries[i] for i in range(max(0, offset - self.start), len(self.entries)))

    def trim(self, keep_bytes: int, before: int) -> None:
        """Drops the oldest records while more than `keep_bytes` are held, and none at or after offset `before`."""
        drop = 0
        while self.size > keep_bytes and self.start + drop < before:
            self.size -= size(self.entries[drop][1])
            drop += 1
        del self.entries[:drop]
        self.start += drop


@dataclass
class _Group:
    topics: set[str] = field(default_factory=set)
    members: list[MemoryConsumer] = field(default_factory=list)
    generation: int = 0
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    notes: dict[TopicPartition, str] = field(default_factory=dict)


class MemoryBroker:
    """`broker.protocol.Broker` in memory. `keep_bytes` bounds what topics hold on to, in bytes over all partitions."""

    def __init__(
        self, *, partitions: int, clock: Clock | None = None, keep_bytes: Mapping[str, int] = KEEP_BYTES
    ) -> None:
        self._partitions = {name: partitions if row.keyed else 1 for name, row in TOPICS.items()}
        self._clock = clock
        self._keep_bytes = keep_bytes
        self._logs = {TopicPartition(t, p): _Log() for t, count in self._partitions.items() for p in range(count)}
        self._groups: dict[str, _Group] = {}
        self._written = 0
        self._id = uuid4().bytes
        self._changed = threading.Condition(threading.RLock())

    def partitions(self, topic: str) -> int:
        return self._partitions[known_topic(topic).name]

    def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
        """`before_handover` is never called: partitions change hands at once here."""
        names = tuple(known_topic(t).name for t in topics)
        with self._changed:
            joined = self._groups.setdefault(group, _Group())
            joined.topics.update(names)
            member = MemoryConsumer(self, joined, names)
            joined.members.append(member)
            joined.generation += 1
        return member

    def commit(
        self,
        messages: Sequence[Message],
        *,
        consumer: Consumer | None = None,
        offsets: Offsets | None = None,
        notes: Notes | None = None,
    ) -> None:
        targets = [TopicPartition(m.topic, placed(m, self.partitions(m.topic))) for m in messages]
        for message in messages:
            check_size(message)
        with self._changed:
            if offsets:
                self._take_offsets(consumer, offsets, notes or {})
            for target, message in zip(targets, messages, strict=True):
                self._append(target, message)
            for touched in {*targets, *(offsets or ())}:
                self._trim(touched)
            self._changed.notify_all()

    def fetch(self, topic: str, *, partition: int, offset: int) -> Record | None:
        with self._changed:
            log = self._log(TopicPartition(topic, partition))
            return log.entries[offset - log.start][1] if log.start <= offset < log.end else None

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        with self._changed:
            records = [record for _, record in self._log(TopicPartition(topic, partition)).read(start)]
        return iter(records)

    def tail(self, topics: Sequence[str], *, start: Start | Offsets = "now") -> MemoryTail:
        return MemoryTail(self, [known_topic(name).name for name in topics], start)

    def end(self, topic: str, *, partition: int) -> int:
        with self._changed:
            return self._log(TopicPartition(topic, partition)).end

    def offset_at(self, topic: str, *, partition: int, at_ms: int) -> int:
        with self._changed:
            log = self._log(TopicPartition(topic, partition))
            later = (r.offset for _, r in log.entries if r.timestamp_ms is not None and r.timestamp_ms >= at_ms)
            return next(later, log.end)

    def now_ms(self) -> int | None:
        return None if self._clock is None else self._clock.now_ms()

    def close(self) -> None:
        """There is nothing in the background."""

    def _take_offsets(self, consumer: Consumer | None, offsets: Offsets, notes: Notes) -> None:
        if not isinstance(consumer, MemoryConsumer) or consumer not in consumer.group.members:
            raise BrokerError("offsets can be committed only through a consumer of this broker that is open")
        if consumer.generation != consumer.group.generation:
            raise BrokerError("the group was rebalanced since this consumer last polled")
        if lost := offsets.keys() - consumer.assignment().keys():
            raise BrokerError(f"this consumer no longer owns {', '.join(f'{t} {p}' for t, p in sorted(lost))}")
        consumer.group.committed.update(offsets)
        consumer.group.notes.update({at: notes.get(at, "") for at in offsets})

    def _append(self, target: TopicPartition, message: Message) -> None:
        log = self._logs[target]
        now_ms = self._clock.now_ms() if self._clock else None
        log.append(
            self._written,
            Record(target.topic, target.partition, log.end, now_ms, message.key, message.value, message.headers),
        )
        self._written += 1

    def _trim(self, at: TopicPartition) -> None:
        if (keep := self._keep_bytes.get(at.topic)) is None:
            return
        log = self._logs[at]
        readers = [g.committed.get(at, 0) for g in self._groups.values() if at.topic in g.topics]
        log.trim(keep // self._partitions[at.topic], min(readers, default=log.end))

    def _log(self, at: TopicPartition) -> _Log:
        if at not in self._logs:
            raise BrokerError(f"{known_topic(at.topic).name} has no partition {at.partition}")
        return self._logs[at]


class MemoryConsumer:
    """`broker.protocol.Consumer` over the logs of a `MemoryBroker`, under its lock."""

    def __init__(self, broker: MemoryBroker, group: _Group, topics: tuple[str, ...]) -> None:
        self.group = group
        self.generation = -1
        self.topics = topics
        self._broker = broker
        self._positions: dict[TopicPartition, int] = {}
        self._since: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def poll(self, max_records: int, *, timeout_s: float = 0.0) -> Sequence[Record]:
        with self._broker._changed:
            self._broker._changed.wait_for(self._ready, timeout_s)
            self._rebalance()
            flowing = [self._broker._logs[at].read(n) for at, n in self._positions.items() if at not in self._paused]
            records = [record for _, record in islice(heapq.merge(*flowing), max_records)]
            for record in records:
                self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
            return records

    def assignment(self) -> Mapping[TopicPartition, int]:
        return dict(self._since)

    def position(self, at: TopicPartition) -> int:
        self._check_owned(at)
        return self._positions[at]

    def end(self, at: TopicPartition) -> int:
        with self._broker._changed:
            return self._broker._log(at).end

    def ends(
        self, partitions: Collection[TopicPartition], *, within_s: float | None = None
    ) -> Mapping[TopicPartition, int]:
        with self._broker._changed:
            return {at: self._broker._log(at).end for at in partitions}

    def committed(self, at: TopicPartition) -> int:
        with self._broker._changed:
            return max(self.group.committed.get(at, 0), self._broker._log(at).start)

    def note(self, at: TopicPartition) -> str:
        with self._broker._changed:
            return self.group.notes.get(at, "")

    def seek(self, at: TopicPartition, offset: int) -> None:
        self._check_owned(at)
        with self._broker._changed:
            self._positions[at] = max(offset, self._broker._log(at).start)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def close(self) -> None:
        with self._broker._changed:
            if self in self.group.members:
                self.group.members.remove(self)
                self.group.generation += 1
            self._broker._changed.notify_all()

    def _ready(self) -> bool:
        self._rebalance()
        return any(n < self._broker._logs[at].end for at, n in self._positions.items() if at not in self._paused)

    def _rebalance(self) -> None:
        """Takes up the assignment of the group's present generation; equal partition numbers go to one member."""
        if self.generation == self.group.generation or self not in self.group.members:
            return
        missed = self.group.generation - self.generation > 1  # perhaps one in which somebody else owned what is ours
        kept = {} if missed else self._positions
        self.generation = self.group.generation
        place, count = self.group.members.index(self), len(self.group.members)
        owned = [at for at in self._broker._logs if at.topic in self.topics and at.partition % count == place]
        self._since = {at: self._since[at] if at in kept else self.generation for at in owned}
        self._positions = {at: kept.get(at, self.committed(at)) for at in owned}
        self._paused &= self._positions.keys()

    def _check_owned(self, at: TopicPartition) -> None:
        if at not in self._positions:
            raise BrokerError(f"this consumer does not own {at.topic} {at.partition}")


class MemoryTail:
    """`broker.protocol.Tail` over the logs of a `MemoryBroker`, under its lock."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], start: Start | Offsets) -> None:
        self.lost: frozenset[TopicPartition] = frozenset()
        self._broker = broker
        with broker._changed:
            self._positions = {at: self._found(at, offset) for at, offset in self._places(topics, start).items()}
            self._ends = {at: broker._log(at).end for at in self._positions}

    @property
    def log_id(self) -> bytes:
        return self._broker._id

    def positions(self) -> Offsets:
        return dict(self._positions)

    def caught_up(self) -> bool:
        return all(self._positions[at] >= end for at, end in self._ends.items())

    def poll(self, max_records: int, *, timeout_s: float) -> list[Record]:
        with self._broker._changed:
            self._broker._changed.wait_for(self._ready, timeout_s)
            self._positions = {at: self._found(at, offset) for at, offset in self._positions.items()}
            flowing = [self._broker._logs[at].read(offset) for at, offset in self._positions.items()]
            records = [record for _, record in islice(heapq.merge(*flowing), max_records)]
            for record in records:
                self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
            return records

    def close(self) -> None:
        """There is nothing in the background."""

    def _ready(self) -> bool:
        return any(offset < self._broker._logs[at].end for at, offset in self._positions.items())

    def _places(self, topics: Sequence[str], start: Start | Offsets) -> Offsets:
        if isinstance(start, Mapping):
            return start
        keys = [at for at in self._broker._logs if at.topic in topics]
        match start:
            case "oldest":
                return {at: self._broker._logs[at].start for at in keys}
            case "now":
                return {at: self._broker._logs[at].end for at in keys}
            case at_ms:
                return {at: self._broker.offset_at(at.topic, partition=at.partition, at_ms=at_ms) for at in keys}

    def _found(self, at: TopicPartition, offset: int) -> int:
        """`offset`, or that of the oldest record where it is gone, or was never there."""
        log = self._broker._log(at)
        if log.start <= offset <= log.end:
            return offset
        self.lost |= {at}
        return log.start
