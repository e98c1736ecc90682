"""The dashboard's files: the page at its addresses, and what it is made of under /static.

They are built from `dashboard/`, stand in `static/`, and are the same for everybody. It must not know what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from framecue_services.gateway.etags import REVALIDATE, etag_of, tagged
from framecue_services.gateway.problems import Problem

PAGE = "index.html"
MEDIA_TYPES = {
    PAGE: "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All that is served, by name: nothing else in the folder is reached."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class _File:
    body: bytes
    media_type: str
    etag: str


@router.get("/")
@router.get("/streams/{stream}")
@router.get("/events")
@router.get("/events/{event:path}")
@router.get("/rules")
async def page(request: Request) -> Response:
    """The one page: what its address means is the browser's business; what it shows needs a token."""
    return _answer(request, PAGE)


@router.get("/static/{name}")
async def static_file(request: Request, name: str) -> Response:
    """A part of the page."""
    if name == PAGE or name not in MEDIA_TYPES:
        raise Problem(404, "there is no such file")
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    file = _read(name)
    return tagged(request, file.body, media_type=file.media_type, etag=file.etag, cache=REVALIDATE)


@cache
def _read(name: str) -> _File:
    """One of `MEDIA_TYPES`, kept: an upgrade of the package is a new process."""
    body = files(__package__).joinpath("static", name).read_bytes()
    return _File(body, MEDIA_TYPES[name], etag_of(body))
