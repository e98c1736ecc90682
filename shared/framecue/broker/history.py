"""Looking back into a result topic: from a place towards the past, newest first, a bounded piece at a time.

Kafka reads forwards only, and finds places by time. So a span that ends at the place is read, then the one before it,
twice as long, until enough is found:

    ◄─────────── 3rd slice ───────────┤◄──── 2nd ────┤◄─ 1st ─┤ begin ─ look ahead ─►

A result stands where it was published first; how it stood last is what came of it later, within the slices, or soon
after the place (`AHEAD_MS`). Places are offsets, so that what is found does not hang on the clocks of workers, and
whoever goes on from `rest` meets nothing twice and misses nothing. It must not know who asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from framecue.broker.protocol import Broker, Record
from framecue.errors import MessageError
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, read_result, version
from framecue.schemas.topics import ANNOTATIONS, CAPTIONS, EVENTS, partition_of
from framecue.timeline import parse_rfc3339

CLOCKS_APART_MS = 60_000
"""How far the clocks of workers may differ: results of one partition are in order to within this."""
AHEAD_MS: Mapping[str, int] = MappingProxyType(
    {ANNOTATIONS.name: 90_000, EVENTS.name: 3_600_000, CAPTIONS.name: 0}  # text settles within 30 s; most events end
)
"""By topic, how long after its first publication a result may still change, as far as anybody looks."""
SPAN_MS, SPAN_MIN_MS, SPAN_MAX_MS = 600_000, 1_000, 4 * 86_400_000
"""The first slice: 300 windows of 2 s of one stream. The shortest, and the longest."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Anchor:
    """A place in a partition: everything before `offset`, which was written at about `at_ms`.

    `span_ms` is how long the next slice is, as experience has it.
    """

    offset: int
    at_ms: int
    span_ms: int = SPAN_MS


@dataclass
class Bounds:
    """What one look may cost. `stop` ends it from another thread; what it has found by then nobody wants."""

    records: int = 50_000
    seconds: float = 20.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._end_s = time.monotonic() + self.seconds

    def count(self, records: int = 1) -> None:
        """So many more; raises _EnoughError where there may be none any more."""
        self.records -= records
        if self.records < 0 or self.stop.is_set() or time.monotonic() > self._end_s:
            raise _EnoughError


@dataclass(frozen=True)
class LookedBack:
    """What was found, by first publication, the newest first. `rest` is where to go on; None: nothing is left."""

    results: tuple[PublishedResult, ...]
    rest: Anchor | None


def results_in(records: Iterable[Record]) -> Iterator[PublishedResult]:
    """The results in `records`; one that cannot be read (of a later version, a stranger's) is logged and left out."""
    for record in records:
        if (result := _result(record)) is not None:
            yield result


def published_ms(result: PublishedResult) -> int:
    """When this state of it was published, in ms since 1970; 0 where nobody knows."""
    return 0 if result.published_at is None else parse_rfc3339(result.published_at)


def newest_anchor(broker: Broker, topic: str, stream: str, *, now_ms: int, until_ms: int | None = None) -> Anchor:
    """Where to begin: at what was first published before `until_ms`, else at the end."""
    partition = partition_of(stream, broker.partitions(topic))
    if until_ms is None or until_ms >= now_ms:
        return Anchor(broker.end(topic, partition=partition), now_ms)
    return Anchor(broker.offset_at(topic, partition=partition, at_ms=until_ms), until_ms)


def look_back(
    broker: Broker,
    topic: str,
    stream: str,
    *,
    begin: Anchor,
    bounds: Bounds,
    limit: int,
    since_ms: int | None = None,
    is_wanted: Callable[[PublishedResult], bool] = lambda result: True,
) -> LookedBack:
    """Up to `limit` results of `stream` that are wanted, each as it stood last; retracted events are left out.

    What was first published before `since_ms` is looked for a while (`AHEAD_MS`), since it may have changed after.
    Where `bounds` end it, `rest` goes on from there, with shorter slices. Raises BrokerError.
    """
    look = _Look(broker, topic, stream, bounds)
    floor = look.floor(since_ms)
    at = begin
    try:
        look.ahead(begin)
        while at.offset > floor and len(look.found(is_wanted)) <= limit:
            at = look.slice(at, floor)
    except _EnoughError:
        at = replace(at, span_ms=max(SPAN_MIN_MS, at.span_ms // 4))
    found = look.found(is_wanted)
    if len(found) > limit:
        last = found[limit - 1]
        at = Anchor(last.offset, last.at_ms, at.span_ms)
    rest = at if at.offset > floor else None
    return LookedBack(tuple(one.result for one in found[:limit]), rest)


@dataclass(frozen=True)
class _First:
    """Where a result was published first."""

    offset: int
    at_ms: int
    id: str


@dataclass(frozen=True)
class _Found:
    offset: int
    at_ms: int
    result: PublishedResult


class _EnoughError(Exception):
    """The bounds are reached."""


class _Look:
    """What was read so far: the newest state of each result, and where those stand that were published first there."""

    def __init__(self, broker: Broker, topic: str, stream: str, bounds: Bounds) -> None:
        self._broker, self._topic, self._key, self._bounds = broker, topic, stream.encode(), bounds
        self._partition = partition_of(stream, broker.partitions(topic))
        self._newest: dict[str, PublishedResult] = {}
        self._firsts: list[_First] = []

    def floor(self, since_ms: int | None) -> int:
        """The offset before which nothing is looked for."""
        return self._offset_at(0 if since_ms is None else since_ms - AHEAD_MS[self._topic] - CLOCKS_APART_MS)

    def ahead(self, begin: Anchor) -> None:
        """Learns what came of the results before `begin`."""
        until_ms = begin.at_ms + AHEAD_MS[self._topic]
        for record, result in self._read(begin.offset):
            if (record.timestamp_ms or 0) > until_ms:
                return
            if result is not None:
                self._learn(result)

    def slice(self, upper: Anchor, floor: int) -> Anchor:
        """Reads the span that ends at `upper`; where it began."""
        self._bounds.count(0)  # there may be nothing in any span for as long as a made-up place likes
        at_ms = upper.at_ms - upper.span_ms
        start = max(floor, min(upper.offset, self._offset_at(at_ms)))
        newest: list[PublishedResult] = []
        firsts: list[_First] = []
        for record, result in self._read(start) if start < upper.offset else ():
            if record.offset >= upper.offset:
                break
            if result is not None:
                newest.append(result)
                if version(result) == 1:
                    firsts.append(_First(record.offset, record.timestamp_ms or 0, result.id))
        for result in newest:
            self._learn(result)
        self._firsts += reversed(firsts)
        return Anchor(start, at_ms, min(2 * upper.span_ms, SPAN_MAX_MS))

    def found(self, is_wanted: Callable[[PublishedResult], bool]) -> list[_Found]:
        """The newest first."""
        each = (_Found(first.offset, first.at_ms, self._newest[first.id]) for first in self._firsts)
        return [one for one in each if not _is_retracted(one.result) and is_wanted(one.result)]

    def _learn(self, result: PublishedResult) -> None:
        known = self._newest.get(result.id)
        if known is None or version(known) < version(result):
            self._newest[result.id] = result

    def _read(self, start: int) -> Iterator[tuple[Record, PublishedResult | None]]:
        """The records from `start`, those of the stream with what they hold."""
        for record in self._broker.read(self._topic, partition=self._partition, start=start):
            self._bounds.count()
            yield record, _result(record) if record.key == self._key else None

    def _offset_at(self, at_ms: int) -> int:
        return self._broker.offset_at(self._topic, partition=self._partition, at_ms=max(0, at_ms))


def _result(record: Record) -> PublishedResult | None:
    try:
        return read_result(record.topic, record.value)
    except MessageError as e:
        _log.warning("%s %d/%d is left out: %s", record.topic, record.partition, record.offset, e)
        return None


def _is_retracted(result: PublishedResult) -> bool:
    return isinstance(result, Event) and result.phase == "retracted"
