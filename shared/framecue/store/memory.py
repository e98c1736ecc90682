"""The store in memory: what the embedded pipeline and the tests look at. Thread-safe and bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from framecue.clock import Clock
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, version
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX, TTL_MS, Latest, Place, is_open, place

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

    def latest(self, stream: str) -> Latest | None:
        with self._lock:
            self._expire()
            if (kept := self._streams.get(stream)) is None:
                return None
            annotation = kept.timeline[max(kept.timeline)] if kept.timeline else None
            return Latest(annotation, tuple(filter(is_open, _shown(kept))), kept.caption)

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        with self._lock:
            self._expire()
            return _last(_in_order(self._streams.get(stream, _Stream()).timeline), limit)

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        with self._lock:
            self._expire()
            return _last(_shown(self._streams.get(stream, _Stream())), limit)

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
