"""What is on now, for systems that ask: the newest results of each stream. A view, made again from the topics at will.

The docstrings are the contract; `tests/contract/test_store.py` holds every implementation to it. It must not know
where results come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event

TTL_MS = 24 * 3_600_000
"""How long anything stays after it was last changed."""
TIMELINE_MAX = 300
"""Annotations kept of a stream: ten minutes of 2 s windows, a screen of a dashboard."""
EVENTS_MAX = 300
"""Events kept of a stream, the newest by where they first started."""


@dataclass(frozen=True)
class Latest:
    """What is on now. `open_events` in the order of their starts."""

    annotation: Annotation | None
    open_events: tuple[Event, ...]
    caption: Caption | None


class Store(Protocol):
    """Compare-and-set by what the results themselves say: a repeat or something older changes nothing.

    So results may come again, and in any order of (id, revision) or (id, sequence): the end is the same. Annotations
    are ordered by (epoch, start_ms, revision), events of one id by sequence, captions by (epoch, start_ms). All methods
    may block on the network, be called from any thread, and raise StoreError.
    """

    def put_annotation(self, annotation: Annotation) -> bool:
        """Whether it changed anything."""
        ...

    def put_event(self, event: Event) -> bool:
        """Whether it changed anything; a retracted event is no longer shown."""
        ...

    def put_caption(self, caption: Caption) -> bool:
        """Whether it changed anything."""
        ...

    def put_evidence(self, event_id: str, jpeg: bytes) -> None:
        """Keeps the picture that speaks best for an event, in place of the one before."""
        ...

    def streams(self) -> tuple[str, ...]:
        """The streams that results came for within the last day, the most recently active first."""
        ...

    def latest(self, stream: str) -> Latest | None:
        """None where nothing is known of the stream."""
        ...

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        """The last `limit` annotations, at most `TIMELINE_MAX`, in the order of time; each in its newest revision."""
        ...

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        """The last `limit` events, at most `EVENTS_MAX`, by their first starts; each in its newest state."""
        ...

    def evidence(self, event_id: str) -> bytes | None:
        """The JPEG of an event; None where there is none (any more)."""
        ...


def event_order(event: Event) -> tuple[int, int, int, str]:
    """What orders the events of a stream and never changes: epoch, first published start, and what tells two apart.

    The first start stands at the end of the id (`…/8000`, a second one of its kind `…/8000.2`) and sticks, while
    `start_ms` moves: only so is the choice of which events to keep independent of the order in which they come.
    """
    start, _, nth = event.id.rpartition("/")[2].partition(".")
    return event.epoch, int(start), int(nth or 1), event.id
