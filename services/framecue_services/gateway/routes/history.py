"""What a stream showed and said before: windows, events and sentences, the newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from framecue.broker.history import Bounds
from framecue.broker.protocol import Broker
from framecue.clock import Clock
from framecue.settings import Settings
from framecue.store.protocol import Store
from framecue.timeline import parse_rfc3339
from framecue_services.gateway.access import Reader
from framecue_services.gateway.answers import AnnotationPage, CaptionPage, EventPage, page_json
from framecue_services.gateway.etags import NOT_MODIFIED, answer_json
from framecue_services.gateway.history import Asked, HistoryPlace, Kind, Page, of_store, of_topic
from framecue_services.gateway.paging import LIMIT, Cursor, Limit, cursor_of, place_of
from framecue_services.gateway.principal import Principal
from framecue_services.gateway.problems import Problem, documented, no_stream
from framecue_services.gateway.routes.streams import StreamName, check_seen
from framecue_services.gateway.threads import Pools

router = APIRouter(prefix="/v1/streams", tags=["history"])
GRACE_S = 5.0
"""Beyond `gateway.history_seconds`: a look ends itself between two records, and one that hangs ends here."""
T = TypeVar("T")
Instant: TypeAlias = Annotated[
    str | None, Query(max_length=40, description="RFC 3339, of publication", examples=["2026-02-03T10:00:00Z"])
]
DOCUMENTED: dict[int | str, dict[str, Any]] = NOT_MODIFIED | documented(404, 422)


@router.get("/{id}/timeline", summary="Windows of a stream", response_model=AnnotationPage, responses=DOCUMENTED)
async def timeline(
    request: Request,
    caller: Reader,
    stream: StreamName,
    since: Instant = None,
    until: Instant = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Newest first, each in its newest revision. The last 300 come from Redis, older ones from Kafka.

    A look into Kafka is bounded: a page may have fewer than asked for, even none, and a `next` that goes on.
    """
    asked = _asked(caller, stream, "annotation", since, until, limit, cursor)
    return await _answer(request, asked)


@router.get("/{id}/events", summary="Events of a stream", response_model=EventPage, responses=DOCUMENTED)
async def events(
    request: Request,
    caller: Reader,
    stream: StreamName,
    since: Instant = None,
    until: Instant = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Newest first, each in its newest state; retracted ones are left out. Pages are as those of `timeline`.

    From Kafka, an event is shown as it stood an hour after it was first published.
    """
    asked = _asked(caller, stream, "event", since, until, limit, cursor)
    return await _answer(request, asked)


@router.get("/{id}/captions", summary="Sentences about a stream", response_model=CaptionPage, responses=DOCUMENTED)
async def captions(
    request: Request,
    caller: Reader,
    stream: StreamName,
    since: Instant = None,
    until: Instant = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Newest first, from Kafka. Pages are as those of `timeline`."""
    asked = _asked(caller, stream, "caption", since, until, limit, cursor)
    return await _answer(request, asked)


async def while_there(request: Request, work: Awaitable[T], *, stop: Callable[[], None]) -> T:
    """What `work` gives, as long as whoever asked is there; `stop` is called when nobody waits for it any more."""
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Problem(503, "whoever asked has gone")
    finally:
        stop()
        for task in (working, gone):
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _answer(request: Request, asked: Asked) -> Response:
    page = await _page(request, asked)
    return answer_json(request, page_json(page.items, None if page.rest is None else cursor_of(page.rest)))


async def _page(request: Request, asked: Asked) -> Page:
    """From Redis, and from Kafka where Redis has nothing of it; raises Problem 404 where nobody knows the stream."""
    state = request.app.state
    store: Store = state.store
    pools: Pools = state.pools
    clock: Clock = state.clock
    is_known, page = await pools.redis.run(_of_redis, store, asked, now_ms=clock.now_ms())
    if not is_known and asked.since_ms is None and asked.until_ms is None and asked.after is None:
        raise no_stream()
    if page is not None:
        is_begin = asked.since_ms is None and asked.until_ms is None
        if page.items or page.rest is None or is_begin:
            return page
        asked = _going_on(asked, page.rest)
    page = await _of_topic(request, asked)
    if not page.items and page.rest is None and not is_known:
        raise no_stream()
    return page


def _of_redis(store: Store, asked: Asked, *, now_ms: int) -> tuple[bool, Page | None]:
    """Whether the stream is known, and what is held of what was asked for; None where all of that is in the topic."""
    is_known = store.active_ms(asked.stream) is not None
    return is_known, None if asked.is_of_topic else of_store(store, asked, now_ms=now_ms)


async def _of_topic(request: Request, asked: Asked) -> Page:
    state = request.app.state
    broker: Broker = state.broker
    pools: Pools = state.pools
    settings: Settings = state.settings
    bounds = Bounds(seconds=settings.gateway.history_seconds)
    looking = pools.history.run(of_topic, broker, asked, clock=state.clock, bounds=bounds)
    try:
        async with asyncio.timeout(bounds.seconds + GRACE_S):
            return await while_there(request, looking, stop=bounds.stop.set)
    except TimeoutError as e:
        raise Problem(503, "Kafka takes too long", headers={"Retry-After": "5"}) from e


def _asked(
    caller: Principal, stream: str, kind: Kind, since: str | None, until: str | None, limit: int, cursor: str | None
) -> Asked:
    """What the parameters say; raises Problem."""
    check_seen(caller, stream)
    after = place_of(cursor, HistoryPlace)
    if after is not None and after.kind != kind:
        raise Problem(400, "the cursor is none of this list; leave it out to begin anew")
    return Asked(stream, kind, limit, _instant("since", since), _instant("until", until), after)


def _instant(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_rfc3339(text)
    except ValueError as e:
        raise Problem(422, f"{name}: write an instant as 2026-02-03T10:00:00Z") from e


def _going_on(asked: Asked, rest: HistoryPlace) -> Asked:
    return Asked(asked.stream, asked.kind, asked.limit, asked.since_ms, asked.until_ms, rest)
