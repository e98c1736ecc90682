"""The store in memory: what the embedded pipeline and the tests look at. Thread-safe and bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from framecue.clock import Clock
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import version
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX, TTL_MS, Latest, event_order

T = TypeVar("T")
R = TypeVar("R", Annotation, Event)

EVIDENCE_MAX = 1_000
"""Pictures kept over all streams, about 30 MB: the least recently written goes first."""


@dataclass
class _Stream:
    """What is kept of one stream. Retracted events stay, unseen, so that an older state cannot bring them back."""

    active_ms: int = 0
    timeline: dict[str, Annotation] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    caption: Caption | None = None


class MemoryStore:
    """`store.protocol.Store` in memory; `clock` says when a day has passed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._evidence: OrderedDict[str, tuple[int, bytes]] = OrderedDict()

    def put_annotation(self, annotation: Annotation) -> bool:
        with self._lock:
            return self._put(self._of(annotation.stream).timeline, annotation, _annotation_order, limit=TIMELINE_MAX)

    def put_event(self, event: Event) -> bool:
        with self._lock:
            return self._put(self._of(event.stream).events, event, event_order, limit=EVENTS_MAX)

    def put_caption(self, caption: Caption) -> bool:
        with self._lock:
            kept = self._of(caption.stream)
            held = kept.caption
            if held is not None and (held.epoch, held.start_ms) >= (caption.epoch, caption.start_ms):
                return False
            kept.caption = caption
            return self._touch(caption.stream, True)

    def put_evidence(self, event_id: str, jpeg: bytes) -> None:
        with self._lock:
            self._evidence[event_id] = (self._clock.now_ms(), jpeg)
            self._evidence.move_to_end(event_id)
            while len(self._evidence) > EVIDENCE_MAX:
                self._evidence.popitem(last=False)

    def streams(self) -> tuple[str, ...]:
        with self._lock:
            self._expire()
            return tuple(reversed(self._streams))

    def latest(self, stream: str) -> Latest | None:
        with self._lock:
            self._expire()
            if (kept := self._streams.get(stream)) is None:
                return None
            annotation = max(kept.timeline.values(), key=_annotation_order, default=None)
            still_open = tuple(e for e in _shown(kept) if e.phase != "ended" and e.end_ms is None)
            return Latest(annotation, still_open, kept.caption)

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        with self._lock:
            self._expire()
            kept = self._streams.get(stream, _Stream()).timeline.values()
            return _last(tuple(sorted(kept, key=_annotation_order)), limit)

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        with self._lock:
            self._expire()
            return _last(_shown(self._streams.get(stream, _Stream())), limit)

    def evidence(self, event_id: str) -> bytes | None:
        with self._lock:
            self._expire()
            kept = self._evidence.get(event_id)
            return None if kept is None else kept[1]

    def _of(self, stream: str) -> _Stream:
        self._expire()
        return self._streams.setdefault(stream, _Stream())

    def _put(self, kept: dict[str, R], result: R, order: Callable[[R], tuple[Any, ...]], *, limit: int) -> bool:
        held = kept.get(result.id)
        if held is not None and version(held) >= version(result):
            return False
        kept[result.id] = result
        first = min(kept, key=lambda i: order(kept[i])) if len(kept) > limit else None
        if first is not None:
            del kept[first]
        return self._touch(result.stream, first != result.id)

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
        while self._evidence and next(iter(self._evidence.values()))[0] <= oldest_ms:
            self._evidence.popitem(last=False)


def _annotation_order(annotation: Annotation) -> tuple[int, int]:
    return annotation.epoch, annotation.start_ms


def _shown(kept: _Stream) -> tuple[Event, ...]:
    return tuple(sorted((e for e in kept.events.values() if e.phase != "retracted"), key=event_order))


def _last(items: tuple[T, ...], limit: int) -> tuple[T, ...]:
    return items[max(0, len(items) - limit) :]
