"""Pictures of streams, as they may be seen."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from framecue.schemas.annotation import FrameRef
from framecue.store.protocol import Store
from framecue_services.gateway.access import Reader
from framecue_services.gateway.etags import NOT_MODIFIED, tagged
from framecue_services.gateway.pictures import WIDTH_MAX, WIDTH_MIN, FrameName, Pictures
from framecue_services.gateway.problems import Problem, documented, no_stream
from framecue_services.gateway.routes.streams import StreamName, check_seen
from framecue_services.gateway.threads import Pools

JPEG = "image/jpeg"
NEWEST, FIXED = "private, no-cache", "private, max-age=3600"
"""The newest one changes; a frame stays what it is."""
router = APIRouter(prefix="/v1/streams", tags=["pictures"])
Width: TypeAlias = Annotated[
    int | None,
    Query(ge=WIDTH_MIN, le=WIDTH_MAX, description="at most so many px wide; without it as stored, 384 px short side"),
]
Number: TypeAlias = Annotated[int, Path(ge=0, lt=2**63)]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {JPEG: {"schema": {"type": "string", "format": "binary"}}}, "description": "JPEG"}
}


@router.get(
    "/{id}/thumbnail",
    summary="What a stream looks like now",
    responses=PICTURE | NOT_MODIFIED | documented(404, 410, 422),
    response_class=Response,
)
async def thumbnail(request: Request, caller: Reader, stream: StreamName, width: Width = None) -> Response:
    """The middle frame of the newest window. `404` while there is none, `410` where it expired."""
    check_seen(caller, stream)
    store: Store = request.app.state.store
    pools: Pools = request.app.state.pools
    ref = await pools.redis.run(_newest, store, stream)
    return await show(request, stream, FrameName(ref.partition, ref.offset, ref.index), width=width, cache=NEWEST)


@router.get(
    "/{id}/pictures/{partition}/{offset}/{index}",
    summary="A frame that a result names",
    responses=PICTURE | NOT_MODIFIED | documented(404, 410, 422),
    response_class=Response,
)
async def picture(
    request: Request,
    caller: Reader,
    stream: StreamName,
    partition: Number,
    offset: Number,
    index: Number,
    width: Width = None,
) -> Response:
    """`frames` of annotations, captions and evidence name them. `404` where it is no frame of this stream."""
    check_seen(caller, stream)
    return await show(request, stream, FrameName(partition, offset, index), width=width, cache=FIXED)


async def show(request: Request, stream: str, name: FrameName, *, width: int | None, cache: str) -> Response:
    """A frame of a stream that the caller sees, or 304; raises Problem.

    Who says to have it is believed only once it is known to be of this stream, which is when it was fetched.
    """
    pictures: Pictures = request.app.state.pictures
    etag = picture_etag(pictures, name, width)
    return tagged(request, await pictures.frame(stream, name, width=width), media_type=JPEG, etag=etag, cache=cache)


def picture_etag(pictures: Pictures, name: tuple[object, ...], width: int | None) -> str:
    """By the frame, how wide, and what is done about faces: what makes the picture what it is."""
    said = repr((tuple(name), width, pictures.state))
    return f'"{blake2b(said.encode(), digest_size=12).hexdigest()}"'


def _newest(store: Store, stream: str) -> FrameRef:
    known = store.latest(stream)
    if known is None:
        raise no_stream()
    if known.annotation is None or not known.annotation.frames:
        raise Problem(404, "there is no picture of this stream yet")
    frames = known.annotation.frames
    return frames[len(frames) // 2]
