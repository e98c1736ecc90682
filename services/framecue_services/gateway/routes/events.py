"""Events of all streams, one event with what speaks for it, and what people say of it.

An event's id has slashes in it and ends in a start: `cam1/0/late goal/8000`, or `…/8000.2`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Literal, TypeAlias
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from framecue.clock import Clock
from framecue.errors import FrameCueError
from framecue.schemas.event import Event
from framecue.schemas.feedback import NOTE_MAX, Feedback
from framecue.schemas.segment import TIME_MAX_MS
from framecue.store.protocol import News, Store, place_of_event, rule_of_event, stream_of_event
from framecue.timeline import rfc3339
from framecue_services.gateway.access import Reader, Writer
from framecue_services.gateway.answers import EventDetail, EventPage, page_json
from framecue_services.gateway.etags import NOT_MODIFIED, answer, answer_json, tagged
from framecue_services.gateway.feedback import PATIENCE_S, FeedbackBook
from framecue_services.gateway.paging import LIMIT, Cursor, InstantMs, Limit, Place, cursor_of, place_of
from framecue_services.gateway.pictures import FrameName, Pictures
from framecue_services.gateway.principal import Principal
from framecue_services.gateway.problems import Problem, documented, no_event, no_stream
from framecue_services.gateway.routes.pictures import FIXED, JPEG, PICTURE, Width, picture_etag
from framecue_services.gateway.routes.streams import Match, StreamName, check_seen
from framecue_services.gateway.threads import Pools
from framecue_services.gateway.words import Words
from framecue_services.gateway.writing import written

router = APIRouter(tags=["events"])
EventName: TypeAlias = Annotated[str, Path(alias="event", description="id of an event", examples=["cam1/0/goal/8000"])]
State = Literal["any", "open", "closed"]
AT_ONCE = 1_000
"""Events that are looked through with one question to Redis at most."""
SPARE, GROWTH = 10, 4
"""How many more than a page are looked through first, and how many times as many each time after."""


class NewsPlace(Place):
    """After the news of that event."""

    at_ms: InstantMs
    event: str


class Verdict(BaseModel):
    """What a person says of an event."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["right", "wrong", "missed"]
    note: Words | None = Field(None, max_length=NOTE_MAX, examples=["that was the replay"])


class Missed(BaseModel):
    """Something that should have been an event."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["missed"]
    rule: Words | None = Field(None, max_length=100, description="which one should have told", examples=["goal"])
    start_ms: int | None = Field(None, ge=-TIME_MAX_MS, le=TIME_MAX_MS, description="media time", examples=[8000])
    end_ms: int | None = Field(None, ge=-TIME_MAX_MS, le=TIME_MAX_MS, examples=[12000])
    note: Words | None = Field(None, max_length=NOTE_MAX)


@router.get(
    "/v1/events", summary="Events of all streams", response_model=EventPage, responses=NOT_MODIFIED | documented(422)
)
async def feed(
    request: Request,
    caller: Reader,
    match: Match = "*",
    rule: Annotated[
        str, Query(max_length=128, description="name of a rule, or a pattern", examples=["goal", "framecue.*"])
    ] = "*",
    state: Annotated[State, Query(description="open: what goes on now")] = "any",
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Those with the newest news first: one that starts, changes or ends comes to the top.

    Looks through the last 20,000 events of the rules and as many built-in ones (`framecue.*`), of the last day; what is
    older, each stream's own list has.
    """
    after = place_of(cursor, NewsPlace)
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    return answer_json(request, await pools.redis.run(_feed, store, caller, match, rule, state, limit, after))


@router.get(
    "/v1/events/{event:path}/evidence/{n:int}",
    summary="A picture that speaks for an event",
    responses=PICTURE | NOT_MODIFIED | documented(404, 410, 422),
    response_class=Response,
)
async def evidence(
    request: Request,
    caller: Reader,
    event: EventName,
    n: Annotated[int, Path(ge=0, description="which of `pictures`; 0 is the best")],
    width: Width = None,
) -> Response:
    """The best one is kept for a day after its event last changed, others as long as `media` has them: then `410`."""
    if place_of_event(event) is None:  # a rule may be named `evidence`
        return await detail(request, caller, f"{event}/evidence/{n}")
    found = await _find(request, caller, event)
    frames = found.evidence.frames
    if n >= len(frames):
        raise Problem(404, "this event has no such picture")
    pictures: Pictures = request.app.state.pictures
    ref = frames[n]
    name = FrameName(ref.partition, ref.offset, ref.index)
    try:
        jpeg = await pictures.frame(found.stream, name, width=width)
    except Problem as problem:
        if n > 0 or problem.status not in (404, 410, 503):
            raise
        jpeg = await _kept(pictures, found, width, instead_of=problem)
    return tagged(request, jpeg, media_type=JPEG, etag=picture_etag(pictures, name, width), cache=FIXED)


@router.get(
    "/v1/events/{event:path}",
    summary="One event with what speaks for it",
    response_model=EventDetail,
    responses=NOT_MODIFIED | documented(404, 422),
)
async def detail(request: Request, caller: Reader, event: EventName) -> Response:
    """Its newest state, its pictures, and what people said of it last."""
    found = await _find(request, caller, event)
    paths = (f"/v1/events/{quote(found.id, safe='/')}/evidence/{n}" for n in range(len(found.evidence.frames)))
    said = await _said(request, found.id)
    return answer(request, EventDetail(event=found, pictures=tuple(paths), feedback=said))


@router.post(
    "/v1/events/{event:path}/feedback",
    summary="Say whether an event is right",
    status_code=201,
    responses=documented(404, 413, 415, 422),
)
async def judge(request: Request, caller: Writer, event: EventName, verdict: Verdict) -> Feedback:
    """Goes to the topic `feedback`, with the state of the event that was judged."""
    found = await _find(request, caller, event)
    clock: Clock = request.app.state.clock
    feedback = Feedback(
        id=uuid4().hex,
        stream=found.stream,
        verdict=verdict.verdict,
        event=found.id,
        sequence=found.sequence,
        rule=found.rule,
        epoch=found.epoch,
        note=verdict.note,
        by=caller.name,
        published_at=rfc3339(clock.now_ms()),
    )
    return await _given(request, feedback)


@router.post(
    "/v1/streams/{id}/feedback",
    summary="Say that an event was missed",
    status_code=201,
    responses=documented(404, 413, 415, 422),
)
async def miss(request: Request, caller: Writer, stream: StreamName, missed: Missed) -> Feedback:
    """Goes to the topic `feedback`, in the media time of the stream's present run."""
    check_seen(caller, stream)
    if missed.start_ms is not None and missed.end_ms is not None and missed.end_ms < missed.start_ms:
        raise Problem(422, "end_ms is before start_ms")
    clock: Clock = request.app.state.clock
    feedback = Feedback(
        id=uuid4().hex,
        stream=stream,
        verdict=missed.verdict,
        rule=missed.rule,
        epoch=await _epoch(request, stream),
        start_ms=missed.start_ms,
        end_ms=missed.end_ms,
        note=missed.note,
        by=caller.name,
        published_at=rfc3339(clock.now_ms()),
    )
    return await _given(request, feedback)


def _feed(
    store: Store, caller: Principal, match: str, rule: str, state: State, limit: int, after: NewsPlace | None
) -> bytes:
    """A page ends at an event that the caller sees: a cursor names no other."""

    @cache
    def is_mine(stream: str) -> bool:
        return caller.sees(stream) and fnmatchcase(stream, match)

    shown: list[tuple[News, bytes]] = []
    for chunk in _chunks(store, None if after is None else News(after.at_ms, after.event), first=limit + SPARE):
        wanted = [
            news
            for news in chunk
            if is_mine(stream_of_event(news.event_id)) and fnmatchcase(rule_of_event(news.event_id), rule)
        ]
        found = store.find_events_json([news.event_id for news in wanted])
        shown += [
            (news, event.json)
            for news, event in zip(wanted, found, strict=True)
            if event is not None and (state == "any" or event.is_open == (state == "open"))
        ]
        if len(shown) > limit:
            break
    last = shown[limit - 1][0] if len(shown) > limit else None
    end = last and cursor_of(NewsPlace(at_ms=last.at_ms, event=last.event_id))
    return page_json((event for _, event in shown[:limit]), end)


def _chunks(store: Store, before: News | None, *, first: int) -> Iterator[tuple[News, ...]]:
    """Few at first, which are enough where most of them are wanted; then more and more."""
    at_once = first
    while chunk := store.news(limit=min(at_once, AT_ONCE), before=before):
        yield chunk
        before, at_once = chunk[-1], GROWTH * at_once


async def _find(request: Request, caller: Principal, event_id: str) -> Event:
    """The event; raises Problem 404 where the caller is told of none."""
    if not caller.sees(stream_of_event(event_id)):
        raise no_event()
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    (found,) = await pools.redis.run(store.find_events, [event_id])
    if found is None:
        raise no_event()
    return found


async def _kept(pictures: Pictures, event: Event, width: int | None, *, instead_of: Problem) -> bytes:
    """What Redis keeps of the peak, where `media` does not give it."""
    try:
        return await pictures.evidence(event.id, event.sequence, width=width)
    except Problem as problem:
        raise (instead_of if problem.status == 410 else problem) from problem


async def _said(request: Request, event_id: str) -> tuple[Feedback, ...]:
    """What people said, as far as Kafka answers: an event can be looked at without it."""
    book: FeedbackBook = request.app.state.feedback
    pools: Pools = request.app.state.pools
    try:
        async with asyncio.timeout(PATIENCE_S):
            await pools.kafka.run(book.look, event_id)
    except (FrameCueError, TimeoutError, Problem):
        pass
    return book.known(event_id)


async def _given(request: Request, feedback: Feedback) -> Feedback:
    book: FeedbackBook = request.app.state.feedback
    await written(request.app.state.pools, book.give, feedback)
    return feedback


async def _epoch(request: Request, stream: str) -> int | None:
    """Of the stream's present run; raises Problem 404 where nothing is known of the stream."""
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    known = await pools.redis.run(store.latest, stream)
    if known is None:
        raise no_stream()
    return None if known.annotation is None else known.annotation.epoch
