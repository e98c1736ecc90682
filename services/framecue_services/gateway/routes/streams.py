"""Streams as they are now, and as they were."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from framecue.schemas.base import STREAM_ID
from framecue.store.protocol import Activity, LatestJson, Store
from framecue_services.gateway.access import Reader
from framecue_services.gateway.answers import StreamNow, StreamPage, page_json, stream_json
from framecue_services.gateway.etags import NOT_MODIFIED, answer_json
from framecue_services.gateway.paging import LIMIT, Cursor, InstantMs, Limit, Place, cursor_of, place_of
from framecue_services.gateway.principal import Principal
from framecue_services.gateway.problems import documented, no_stream
from framecue_services.gateway.threads import Pools

router = APIRouter(prefix="/v1/streams", tags=["streams"])
StreamName: TypeAlias = Annotated[str, Path(alias="id", description="id of a stream", examples=["cam1"])]
Match: TypeAlias = Annotated[
    str,
    Query(max_length=128, description="pattern of stream ids: `*` is anything, `?` one character", examples=["lab-*"]),
]


class StreamPlace(Place):
    """After the stream that was active then."""

    at_ms: InstantMs
    stream: str


@router.get(
    "", summary="All streams as they are now", response_model=StreamPage, responses=NOT_MODIFIED | documented(422)
)
async def list_streams(
    request: Request, caller: Reader, match: Match = "*", limit: Limit = LIMIT, cursor: Cursor = None
) -> Response:
    """The most recently active first. A stream is named for a day after its last result.

    Between two pages streams may become active, and then stand before the place where the second one begins.
    """
    after = place_of(cursor, StreamPlace)
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    return answer_json(request, await pools.redis.run(_page, store, caller, match, limit, after))


@router.get(
    "/{id}/latest",
    summary="One stream as it is now",
    response_model=StreamNow,
    responses=NOT_MODIFIED | documented(404, 422),
)
async def latest(request: Request, caller: Reader, stream: StreamName) -> Response:
    """The newest window, what goes on, and the newest sentence."""
    check_seen(caller, stream)
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    return answer_json(request, await pools.redis.run(_now, store, stream))


def check_seen(caller: Principal, stream: str) -> None:
    """Raises Problem 404 where there cannot be such a stream for the caller."""
    if not STREAM_ID.fullmatch(stream) or not caller.sees(stream):
        raise no_stream()


def visible(store: Store, caller: Principal, match: str) -> list[Activity]:
    """The streams that the caller sees and asks for, the most recently active first."""
    return [one for one in store.activity() if caller.sees(one.stream) and fnmatchcase(one.stream, match)]


def _page(store: Store, caller: Principal, match: str, limit: int, after: StreamPlace | None) -> bytes:
    mine = sorted(visible(store, caller, match), reverse=True)
    if after is not None:
        mine = [one for one in mine if one < (after.at_ms, after.stream)]
    shown, more = mine[:limit], mine[limit:]
    items = _described(shown, store.latest_json_of([one.stream for one in shown]))
    last = StreamPlace(at_ms=shown[-1].at_ms, stream=shown[-1].stream) if more else None
    return page_json(items, None if last is None else cursor_of(last))


def _now(store: Store, stream: str) -> bytes:
    at_ms, (known,) = store.active_ms(stream), store.latest_json_of([stream])
    if at_ms is None or known is None:
        raise no_stream()
    return _described([Activity(at_ms, stream)], [known])[0]


def _described(active: Sequence[Activity], known: Sequence[LatestJson | None]) -> list[bytes]:
    """Without those that were forgotten in between."""
    return [
        stream_json(one.stream, one.at_ms, latest)
        for one, latest in zip(active, known, strict=False)
        if latest is not None
    ]
