"""The store in memory: what the embedded pipeline and the tests look at. Thread-safe and bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from typing import TypeVar

from framecue.clock import Clock
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, to_json, version
from framecue.store.protocol import (
    EVENTS_MAX,
    TIMELINE_MAX,
    TTL_MS,
    Activity,
    Held,
    HeldEvent,
    Kept,
    Latest,
    LatestJson,
    News,
    Place,
    is_open,
    place,
    place_of_event,
    stream_of_event,
)
from framecue.timeline import parse_rfc3339

T = TypeVar("T")
R = TypeVar("R", Annotation, Event)

EVIDENCE_MAX = 1_000
"""Pictures kept over all streams, about 30 MB: the least recently written goes first."""


@dataclass
class _Stream:
    """What is kept of one stream. Retracted events stay, unseen, so that an older state cannot bring them back."""

    active_ms: int = 0
    timeline: dict[Place, Annotation] = field(default_factory=dict)
    events: dict[Place, Event] = field(default_factory=dict)
    caption: Caption | None = None


@dataclass(frozen=True)
class _Picture:
    written_ms: int
    sequence: int
    jpeg: bytes


class MemoryStore:
    """`store.protocol.Store` in memory; `clock` says when a day has passed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._evidence: OrderedDict[str, _Picture] = OrderedDict()

    def put(self, results: Sequence[PublishedResult]) -> tuple[bool, ...]:
        places = [place(result) for result in results]
        with self._lock:
            return tuple(map(self._put_one, results, places))

    def put_evidence(self, event_id: str, jpeg: bytes, *, sequence: int) -> bool:
        with self._lock:
            self._expire()
            held = self._evidence.get(event_id)
            if held is not None and held.sequence >= sequence:
                return False
            self._evidence[event_id] = _Picture(self._clock.now_ms(), sequence, jpeg)
            self._evidence.move_to_end(event_id)
            while len(self._evidence) > EVIDENCE_MAX:
                self._evidence.popitem(last=False)
            return True

    def forget(self, stream: str) -> None:
        with self._lock:
            self._streams.pop(stream, None)
            for event_id in [name for name in self._evidence if name.startswith(f"{stream}/")]:
                del self._evidence[event_id]

    def streams(self) -> tuple[str, ...]:
        with self._lock:
            self._expire()
            return tuple(reversed(self._streams))

    def activity(self) -> tuple[Activity, ...]:
        with self._lock:
            self._expire()
            return tuple(Activity(kept.active_ms, stream) for stream, kept in reversed(self._streams.items()))

    def active_ms(self, stream: str) -> int | None:
        with self._lock:
            self._expire()
            return None if (kept := self._streams.get(stream)) is None else kept.active_ms

    def latest(self, stream: str) -> Latest | None:
        return self.latest_of([stream])[0]

    def latest_of(self, streams: Sequence[str]) -> tuple[Latest | None, ...]:
        with self._lock:
            self._expire()
            return tuple(_latest(self._streams.get(stream)) for stream in streams)

    def latest_json_of(self, streams: Sequence[str]) -> tuple[LatestJson | None, ...]:
        return tuple(None if latest is None else _as_json(latest) for latest in self.latest_of(streams))

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        with self._lock:
            self._expire()
            return _last(_in_order(self._streams.get(stream, _Stream()).timeline), limit)

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        with self._lock:
            self._expire()
            return _last(_shown(self._streams.get(stream, _Stream())), limit)

    def newest(self, kind: Kept, stream: str, *, limit: int, before: Place | None = None) -> tuple[Held, ...]:
        kept: Sequence[Annotation | Event] = self.timeline(stream) if kind == "annotation" else self.events(stream)
        held = (Held(place(result), to_json(result)) for result in reversed(kept))
        return tuple(islice((one for one in held if before is None or one.at < before), limit))

    def find_events(self, event_ids: Sequence[str]) -> tuple[Event | None, ...]:
        with self._lock:
            self._expire()
            return tuple(map(self._find_event, event_ids))

    def find_events_json(self, event_ids: Sequence[str]) -> tuple[HeldEvent | None, ...]:
        found = self.find_events(event_ids)
        return tuple(None if event is None else HeldEvent(is_open(event), to_json(event)) for event in found)

    def news(self, *, limit: int, before: News | None = None) -> tuple[News, ...]:
        with self._lock:
            self._expire()
            known = [
                News(_published_ms(event, kept), event.id) for kept in self._streams.values() for event in _shown(kept)
            ]
        older = (news for news in known if before is None or _order(news) < _order(before))
        return tuple(nlargest(limit, older, key=_order))

    def kept(self, stream: str) -> tuple[PublishedResult, ...]:
        """All that is kept of `stream`, retracted events too: what another store needs to show the same."""
        with self._lock:
            self._expire()
            kept = self._streams.get(stream, _Stream())
            return (*_in_order(kept.timeline), *_in_order(kept.events), *((kept.caption,) if kept.caption else ()))

    def evidence(self, event_id: str) -> bytes | None:
        with self._lock:
            self._expire()
            kept = self._evidence.get(event_id)
            return None if kept is None else kept.jpeg

    def _find_event(self, event_id: str) -> Event | None:
        held, at = self._streams.get(stream_of_event(event_id)), place_of_event(event_id)
        event = None if held is None or at is None else held.events.get(at)
        return None if event is None or event.phase == "retracted" else event

    def _put_one(self, result: PublishedResult, at: Place) -> bool:
        self._expire()
        kept = self._streams.setdefault(result.stream, _Stream())
        match result:
            case Annotation():
                changed, _ = _put(kept.timeline, result, at, limit=TIMELINE_MAX)
            case Event():
                changed, gone = _put(kept.events, result, at, limit=EVENTS_MAX)
                if gone is not None:
                    self._evidence.pop(gone.id, None)
            case Caption():
                changed = kept.caption is None or place(kept.caption) < at
                kept.caption = result if changed else kept.caption
        return self._touch(result.stream, changed)

    def _touch(self, stream: str, changed: bool) -> bool:
        if changed:
            self._streams[stream].active_ms = self._clock.now_ms()
            self._streams.move_to_end(stream)
        return changed

    def _expire(self) -> None:
        """Drops what was last changed a day ago; both dicts stand in the order of their last change."""
        oldest_ms = self._clock.now_ms() - TTL_MS
        while self._streams and next(iter(self._streams.values())).active_ms <= oldest_ms:
            self._streams.popitem(last=False)
        while self._evidence and next(iter(self._evidence.values())).written_ms <= oldest_ms:
            self._evidence.popitem(last=False)


def _latest(kept: _Stream | None) -> Latest | None:
    if kept is None:
        return None
    annotation = kept.timeline[max(kept.timeline)] if kept.timeline else None
    return Latest(annotation, tuple(filter(is_open, _shown(kept))), kept.caption)


def _as_json(latest: Latest) -> LatestJson:
    return LatestJson(
        None if latest.annotation is None else to_json(latest.annotation),
        tuple(map(to_json, latest.open_events)),
        None if latest.caption is None else to_json(latest.caption),
    )


def _published_ms(event: Event, kept: _Stream) -> int:
    return kept.active_ms if event.published_at is None else parse_rfc3339(event.published_at)


def _order(news: News) -> tuple[int, bytes]:
    return news.at_ms, news.event_id.encode()


def _put(kept: dict[Place, R], result: R, at: Place, *, limit: int) -> tuple[bool, R | None]:
    """Whether `kept` changed, and what had to go."""
    held = kept.get(at)
    if held is not None and version(held) >= version(result):
        return False, None
    kept[at] = result
    if len(kept) <= limit:
        return True, None
    first = min(kept)
    return first != at, kept.pop(first)


def _in_order(kept: dict[Place, R]) -> tuple[R, ...]:
    return tuple(kept[at] for at in sorted(kept))


def _shown(kept: _Stream) -> tuple[Event, ...]:
    return tuple(event for event in _in_order(kept.events) if event.phase != "retracted")


def _last(items: tuple[T, ...], limit: int) -> tuple[T, ...]:
    return items[max(0, len(items) - limit) :]
