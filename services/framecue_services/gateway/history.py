"""What was: from Redis as far back as that reaches, then from the result topics, a page at a time.

A cursor says where in either of the two to read on. What Redis holds is ordered by media time and ends at a floor; the
topics are ordered by publication, and of them only what lies before that floor is given, so nothing comes twice. It
must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from framecue.broker.history import SPAN_MAX_MS, Anchor, Bounds, look_back, newest_anchor, published_ms
from framecue.broker.protocol import Broker
from framecue.clock import Clock
from framecue.schemas.results import PublishedResult, to_json
from framecue.schemas.topics import ANNOTATIONS, CAPTIONS, EVENTS
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX, TTL_MS, Kept, Store, place
from framecue_services.gateway.paging import InstantMs, Place

Kind = Literal["annotation", "event", "caption"]
TOPIC_OF: dict[Kind, str] = {"annotation": ANNOTATIONS.name, "event": EVENTS.name, "caption": CAPTIONS.name}
CAPTIONS_SPAN_MS = 3_600_000
"""Redis keeps one sentence of a stream, so a page of them begins in the topic: an hour is 360 of them at most."""


class HistoryPlace(Place):
    """Where to read on: after `shown` in Redis; else in the topic before `offset` (the end, where there is none).

    `floor` is the oldest that Redis held: it and what came after was shown from there.
    """

    kind: Kind
    shown: tuple[int | str, ...] | None = None
    floor: tuple[int | str, ...] | None = None
    offset: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    at_ms: InstantMs | None = None
    span_ms: Annotated[int, Field(ge=1, le=SPAN_MAX_MS)] | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> HistoryPlace:
        parts = {"annotation": [int, int, int], "event": [int, int, int, str], "caption": []}[self.kind]
        if any(at is not None and [type(part) for part in at] != parts for at in (self.shown, self.floor)):
            raise ValueError("no place among results of this kind")  # and could not be compared with one
        return self


@dataclass(frozen=True)
class Asked:
    """Which results of which stream: published, as they stood last, from `since_ms` to before `until_ms`."""

    stream: str
    kind: Kind
    limit: int
    since_ms: int | None = None
    until_ms: int | None = None
    after: HistoryPlace | None = None

    @property
    def is_of_topic(self) -> bool:
        """Whether Redis was read to its end already, or holds none of it."""
        return self.kind == "caption" or (self.after is not None and self.after.shown is None)

    def takes(self, result: PublishedResult) -> bool:
        """Whether its time fits."""
        at_ms = published_ms(result)
        return (self.since_ms is None or at_ms >= self.since_ms) and (self.until_ms is None or at_ms < self.until_ms)


@dataclass(frozen=True)
class Page:
    """Results as JSON, newest first. `rest` None: there is no more."""

    items: tuple[bytes, ...]
    rest: HistoryPlace | None


def of_store(store: Store, asked: Asked, *, now_ms: int) -> Page:
    """What Redis holds of it. Where that ends, `rest` is in the topic. Raises StoreError."""
    if asked.kind != "caption" and asked.since_ms is None and asked.until_ms is None:
        return _newest(store, asked, asked.kind)
    held = _held(store, asked)
    shown = None if asked.after is None else asked.after.shown
    left = [one for one in reversed(held) if (shown is None or place(one) < shown) and asked.takes(one)]
    if len(left) > asked.limit:
        last = place(left[asked.limit - 1])
        return Page(_jsons(left[: asked.limit]), HistoryPlace(kind=asked.kind, shown=last))
    if _reaches(held, asked, now_ms):
        return Page(_jsons(left), None)
    floors = [floor for floor in (place(held[0]) if held else None, shown) if floor is not None]
    return Page(_jsons(left), HistoryPlace(kind=asked.kind, floor=min(floors, default=None)))


def of_topic(broker: Broker, asked: Asked, *, clock: Clock, bounds: Bounds) -> Page:
    """What the topic holds of it, from its place there on. Raises BrokerError."""
    topic, floor = TOPIC_OF[asked.kind], None if asked.after is None else asked.after.floor
    looked = look_back(
        broker,
        topic,
        asked.stream,
        begin=_begin(broker, topic, asked, clock.now_ms()),
        bounds=bounds,
        limit=asked.limit,
        since_ms=asked.since_ms,
        is_wanted=lambda result: asked.takes(result) and (floor is None or place(result) < floor),
    )
    return Page(_jsons(looked.results), None if looked.rest is None else _place_of(looked.rest, asked.kind, floor))


def _newest(store: Store, asked: Asked, kind: Kept) -> Page:
    """`of_store` where all times fit: only what is shown is fetched."""
    shown = None if asked.after is None else asked.after.shown
    held = store.newest(kind, asked.stream, limit=asked.limit + 1, before=shown)
    items = tuple(one.json for one in held[: asked.limit])
    if len(held) > asked.limit:
        return Page(items, HistoryPlace(kind=kind, shown=held[asked.limit - 1].at))
    return Page(items, HistoryPlace(kind=kind, floor=held[-1].at if held else shown))


def _jsons(results: Sequence[PublishedResult]) -> tuple[bytes, ...]:
    return tuple(map(to_json, results))


def _held(store: Store, asked: Asked) -> Sequence[PublishedResult]:
    return store.timeline(asked.stream) if asked.kind == "annotation" else store.events(asked.stream)


def _reaches(held: Sequence[PublishedResult], asked: Asked, now_ms: int) -> bool:
    """Whether Redis holds all that was asked for: it keeps a day at most, and so many."""
    if asked.since_ms is None or not held or asked.since_ms < now_ms - TTL_MS:
        return False
    most = TIMELINE_MAX if asked.kind == "annotation" else EVENTS_MAX
    return len(held) < most or published_ms(held[0]) < asked.since_ms


def _begin(broker: Broker, topic: str, asked: Asked, now_ms: int) -> Anchor:
    after = asked.after
    if after is not None and after.offset is not None and after.at_ms is not None and after.span_ms is not None:
        return Anchor(max(0, after.offset), after.at_ms, max(1, after.span_ms))
    found = newest_anchor(broker, topic, asked.stream, now_ms=now_ms, until_ms=asked.until_ms)
    return Anchor(found.offset, found.at_ms, CAPTIONS_SPAN_MS) if asked.kind == "caption" else found


def _place_of(rest: Anchor, kind: Kind, floor: tuple[int | str, ...] | None) -> HistoryPlace:
    return HistoryPlace(kind=kind, floor=floor, offset=rest.offset, at_ms=rest.at_ms, span_ms=rest.span_ms)
