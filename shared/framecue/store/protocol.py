"""What is on now, for systems that ask: the newest results of each stream. A view, made again from the topics at will.

The docstrings are the contract; `tests/contract/test_store.py` holds every implementation to it. It must not know
where results come from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias
from urllib.parse import quote

from framecue.errors import MessageError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, version
from framecue.schemas.rules import RESERVED

TTL_MS = 24 * 3_600_000
"""How long anything stays after its stream last changed; a picture after it was written."""
TIMELINE_MAX = 300
"""Annotations kept of a stream: ten minutes of 2 s windows, a screen of a dashboard."""
EVENTS_MAX = 300
"""Events kept of a stream, the newest by where they first started."""
FEED_MAX = 20_000
"""Events kept in the order of their news, of the users' rules and of those built in: a shot cut every few seconds on
every camera must not push out a goal."""
EXACT = 2**53
"""Numbers below it are exact for every reader: JavaScript, and Lua in Redis, count in doubles."""

Place: TypeAlias = tuple[int | str, ...]
"""What orders a result among its kind and never changes; of an annotation or an event it is as good as its id."""
Kept: TypeAlias = Literal["annotation", "event"]
"""What is kept of a stream in its order."""


@dataclass(frozen=True)
class Latest:
    """What is on now. `open_events` in the order of their starts."""

    annotation: Annotation | None
    open_events: tuple[Event, ...]
    caption: Caption | None


@dataclass(frozen=True)
class LatestJson:
    """`Latest`, each result as the JSON that was put."""

    annotation: bytes | None
    open_events: tuple[bytes, ...]
    caption: bytes | None


class Held(NamedTuple):
    """One result as it is held: its `place`, and the JSON that was put."""

    at: Place
    json: bytes


class HeldEvent(NamedTuple):
    """An event as it is held; `is_open` as of its newest state."""

    is_open: bool
    json: bytes


class Activity(NamedTuple):
    """When something of a stream was last published, in ms since 1970."""

    at_ms: int
    stream: str


class News(NamedTuple):
    """When the newest state of an event was published, in ms since 1970. The greater one is newer, ids break ties."""

    at_ms: int
    event_id: str


class Store(Protocol):
    """Compare-and-set by what the results themselves say: a repeat or something older changes nothing.

    So results may come again, and in any order of (id, revision) or (id, sequence): the end is the same. Annotations
    are ordered by (epoch, start_ms, revision), events of one id by sequence, captions by (epoch, start_ms). All methods
    may block on the network, be called from any thread, and raise StoreError.
    """

    def put(self, results: Sequence[PublishedResult]) -> tuple[bool, ...]:
        """For each of `results`, in order, whether it changed anything; a retracted event is no longer shown.

        When it raises, some of them may have been put: put them all again. Raises MessageError for one without a
        `place`, before anything is put.
        """
        ...

    def put_evidence(self, event_id: str, jpeg: bytes, *, sequence: int) -> bool:
        """Keeps the picture that speaks best for an event as of its `sequence`; whether it is newer than the one held.

        It may come before its event, and goes with it.
        """
        ...

    def forget(self, stream: str) -> None:
        """Nothing of `stream` is kept afterwards, nor any picture of its events."""
        ...

    def streams(self) -> tuple[str, ...]:
        """The streams that results came for within the last day, the most recently active first."""
        ...

    def activity(self) -> tuple[Activity, ...]:
        """`streams`, each with when it last was active."""
        ...

    def active_ms(self, stream: str) -> int | None:
        """When `stream` last was active; None where it is none of `streams`."""
        ...

    def latest(self, stream: str) -> Latest | None:
        """None where nothing is known of the stream."""
        ...

    def latest_of(self, streams: Sequence[str]) -> tuple[Latest | None, ...]:
        """`latest` of each of `streams`, in their order, asked at once."""
        ...

    def latest_json_of(self, streams: Sequence[str]) -> tuple[LatestJson | None, ...]:
        """`latest_of` for those who hand it on: what was put is not read again."""
        ...

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        """The last `limit` annotations, at most `TIMELINE_MAX`, in the order of time; each in its newest revision."""
        ...

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        """The last `limit` events, at most `EVENTS_MAX`, by their first starts; each in its newest state."""
        ...

    def newest(self, kind: Kept, stream: str, *, limit: int, before: Place | None = None) -> tuple[Held, ...]:
        """Up to `limit` of what `timeline` or `events` gives, the newest first, of those that stand before `before`."""
        ...

    def find_events(self, event_ids: Sequence[str]) -> tuple[Event | None, ...]:
        """Each of `event_ids` in its newest state, in their order; None where it is not held, or retracted."""
        ...

    def find_events_json(self, event_ids: Sequence[str]) -> tuple[HeldEvent | None, ...]:
        """`find_events` for those who hand them on."""
        ...

    def news(self, *, limit: int, before: News | None = None) -> tuple[News, ...]:
        """Up to `limit` events of all streams, the newest news first, of those that come after `before` in that order.

        `FEED_MAX` of the users' rules and as many built-in ones, and a day, are kept at least. One may be named that
        `find_events` no longer finds. An event with new news leaves its place: who reads on from `before` meets it once
        at most.
        """
        ...

    def evidence(self, event_id: str) -> bytes | None:
        """The JPEG of an event; None where there is none (any more)."""
        ...


def place(result: PublishedResult) -> Place:
    """What orders `result` in every store; raises MessageError where its id or its numbers cannot be ordered.

    An event's first published start stands at the end of its id (`…/8000`, a second one of its kind `…/8000.2`) and
    sticks, while `start_ms` moves: only so is the choice of which events to keep independent of the order in which
    they come. The id stands last, quoted as in a URL: it tells two rules apart and has no spaces.
    """
    numbers: tuple[int, ...]
    name: tuple[str, ...] = ()
    match result:
        case Annotation():
            numbers = (result.epoch, result.start_ms, result.end_ms)
        case Event():
            if not (found := _FIRST_START.search(result.id)):
                raise MessageError(f"the event id {result.id[:140]!r} does not end in a start such as /8000 or /8000.2")
            numbers, name = (result.epoch, int(found[1]), int(found[2] or 1)), (quote(result.id, safe="/"),)
        case Caption():
            numbers = (result.epoch, result.start_ms)
    if any(abs(number) >= EXACT for number in (*numbers, version(result))):
        raise MessageError(f"{result.id[:140]!r} has numbers of 2^53 or more, which readers cannot tell apart")
    return (*numbers, *name)


def place_of_event(event_id: str) -> Place | None:
    """The `place` of the event with this id, which says it all; None where it is no event's id."""
    if not (found := _EVENT_ID.fullmatch(event_id)):
        return None
    try:
        return int(found[1]), int(found[2]), int(found[3] or 1), quote(event_id, safe="/")
    except UnicodeEncodeError:  # half a character: nothing that was ever written
        return None


def stream_of_event(event_id: str) -> str:
    """The stream that an event's id begins with."""
    return event_id.partition("/")[0]


def rule_of_event(event_id: str) -> str:
    """The rule that an event's id names; empty where it is no event's id."""
    return "/".join(event_id.split("/")[2:-1])


def is_built_in(event_id: str) -> bool:
    """Whether the event is one that FrameCue tells of without being asked."""
    return rule_of_event(event_id).startswith(RESERVED)


def is_open(event: Event) -> bool:
    """Whether the event goes on, as far as this state of it knows."""
    return event.phase not in ("ended", "retracted") and event.end_ms is None


_FIRST_START = re.compile(r"/(-?[0-9]{1,16})(?:\.([0-9]{1,4}))?\Z")
_EVENT_ID = re.compile(r"[^/]+/(-?[0-9]{1,15})/.+" + _FIRST_START.pattern, re.DOTALL)
