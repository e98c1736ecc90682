"""The store as the result topics say it must be: made again from them, or compared with them.

Both read the topics from the oldest record and let a memory store keep what is still to be seen, one partition at a
time and by the times at which results were written: what expired meanwhile stays away. Who compares while results still
come, or before the projector has seen them all, hears of those as differences.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from framecue.broker.protocol import Broker, Record
from framecue.clock import Clock, FixedClock, SystemClock
from framecue.errors import MessageError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import RESULT_TOPICS, PublishedResult, version
from framecue.schemas.topics import ANNOTATIONS
from framecue.store.flat import OPEN_EVENTS, Fields, annotation_fields, caption_fields, open_event_fields
from framecue.store.memory import MemoryStore
from framecue.store.protocol import Latest, Store
from framecue.store.redis import RedisStore
from framecue_services.projector.worker import has_picture, keep_picture, read

PUT_AT_ONCE = 100
"""Results: about 100 KB of them, a few ms of a server that others use as well."""
NAMED_MAX = 3
"""Results that a difference names."""

Progress = Callable[[int, int], None]
"""Takes how many partitions are done, of how many."""


@dataclass(frozen=True)
class Rebuilt:
    """What was put again, and what could not be: pictures that `media` no longer holds, records without a result."""

    streams: int = 0
    annotations: int = 0
    events: int = 0
    captions: int = 0
    pictures: int = 0
    expired: int = 0
    unreadable: int = 0

    def __add__(self, other: Rebuilt) -> Rebuilt:
        return Rebuilt(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))


def rebuild(
    broker: Broker, store: Store, *, clock: Clock | None = None, progress: Progress = lambda done, of: None
) -> Rebuilt:
    """Puts what the result topics hold into `store` again, least recently active streams first; the counts.

    What the store holds already, or newer, stays. Raises BrokerError and StoreError; then it is to be done again.
    """
    total = Rebuilt()
    for view, done, of in _views(broker, clock or SystemClock()):
        total += Rebuilt(unreadable=view.unreadable)
        for stream in reversed(view.store.streams()):
            total += _put_again(broker, store, view.store.kept(stream))
        progress(done, of)
    return total


def differences(broker: Broker, store: Store, *, clock: Clock | None = None) -> list[str]:
    """In sentences, where `store` does not show what the result topics say; empty where it does."""
    found, known = [], set[str]()
    for view, _, _ in _views(broker, clock or SystemClock()):
        for stream in view.store.streams():
            known.add(stream)
            found += [f"{stream}: {what}" for what in _unlike(view.store, store, stream)]
    shown = set(store.streams())
    found += [f"{stream}: not among the streams of the store" for stream in sorted(known - shown)]
    return found + [f"{stream}: in the store, but not in the topics" for stream in sorted(shown - known)]


@dataclass(frozen=True)
class _View:
    """What the store has to show of the streams of one partition."""

    store: MemoryStore
    unreadable: int


def _views(broker: Broker, clock: Clock) -> Iterator[tuple[_View, int, int]]:
    """One view for each partition, with how many partitions are done then, of how many."""
    partitions = broker.partitions(ANNOTATIONS.name)
    for partition in range(partitions):
        yield _view(broker, partition, clock), partition + 1, partitions


def _view(broker: Broker, partition: int, clock: Clock) -> _View:
    then, now_ms, unreadable = FixedClock(), clock.now_ms(), 0
    store = MemoryStore(then)

    def written_ms(record: Record) -> int:
        return now_ms if record.timestamp_ms is None else min(record.timestamp_ms, now_ms)

    for record in heapq.merge(*(broker.read(topic, partition=partition) for topic in RESULT_TOPICS), key=written_ms):
        then.advance(max(0, written_ms(record) - then.now_ms()))
        try:
            store.put((read(record),))
        except MessageError:  # it has a dead letter since the projector met it
            unreadable += 1
    then.advance(now_ms - then.now_ms())
    return _View(store, unreadable)


def _put_again(broker: Broker, store: Store, results: Sequence[PublishedResult]) -> Rebuilt:
    pictures = expired = 0
    for event in results:
        if isinstance(event, Event) and has_picture(event):
            kept = _has_kept_picture(broker, store, event)
            pictures, expired = pictures + kept, expired + (not kept)
    for first in range(0, len(results), PUT_AT_ONCE):
        store.put(results[first : first + PUT_AT_ONCE])
    kinds = [type(result) for result in results]
    return Rebuilt(1, kinds.count(Annotation), kinds.count(Event), kinds.count(Caption), pictures, expired)


def _has_kept_picture(broker: Broker, store: Store, event: Event) -> bool:
    try:
        return keep_picture(store, broker, event)
    except MessageError:
        return False


def _unlike(expected: MemoryStore, store: Store, stream: str) -> Iterator[str]:
    timeline, events, latest = expected.timeline(stream), expected.events(stream), expected.latest(stream)
    yield from _unlike_results("timeline", timeline, store.timeline(stream))
    yield from _unlike_results("events", events, store.events(stream))
    if latest is None:
        return
    held = store.latest(stream) or Latest(None, (), None)
    yield from _unlike_results("latest annotation", _one(latest.annotation), _one(held.annotation))
    yield from _unlike_results("open events", latest.open_events, held.open_events)
    yield from _unlike_results("caption", _one(latest.caption), _one(held.caption))
    if isinstance(store, RedisStore):
        yield from _unlike_fields(latest, store.fields(stream))


def _unlike_results(what: str, wanted: Sequence[PublishedResult], held: Sequence[PublishedResult]) -> Iterator[str]:
    if wanted == held:
        return
    missing, extra = _names(wanted, but=held), _names(held, but=wanted)
    if missing:
        yield f"{what}: {_listed(missing)} missing"
    if extra:
        yield f"{what}: {_listed(extra)} in the store only"
    if not missing and not extra:
        yield f"{what}: in another order"


def _unlike_fields(latest: Latest, held: Fields) -> Iterator[str]:
    wanted = {
        **open_event_fields(latest.open_events),
        **(annotation_fields(latest.annotation) if latest.annotation else {}),
        **(caption_fields(latest.caption) if latest.caption else {}),
    }
    shown = {OPEN_EVENTS: wanted[OPEN_EVENTS] if wanted[OPEN_EVENTS] == "[]" else "", **held}
    for name in sorted(n for n in {*wanted, *shown} if wanted.get(n) != shown.get(n)):
        yield f"the field {name} is {shown.get(name)!r}, not {wanted.get(name)!r}"


def _one(result: PublishedResult | None) -> tuple[PublishedResult, ...]:
    return () if result is None else (result,)


def _names(results: Sequence[PublishedResult], *, but: Sequence[PublishedResult]) -> list[str]:
    others = list(but)
    return [f"{result.id}#{version(result)}" for result in results if result not in others]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
