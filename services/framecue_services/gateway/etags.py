"""JSON answers with a tag that says what is in them: who has that already gets 304 and no body."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

REVALIDATE = "private, no-cache"
"""Kept by the caller alone, and asked about each time."""
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "the same as under the `If-None-Match` that was sent"}
}


def answer(request: Request, model: BaseModel) -> Response:
    """`model` as JSON, or 304."""
    return answer_json(request, model.model_dump_json(by_alias=True).encode())


def answer_json(request: Request, body: bytes) -> Response:
    """`body`, which is JSON, or 304."""
    return tagged(request, body, media_type="application/json", etag=etag_of(body), cache=REVALIDATE)


def etag_of(body: bytes) -> str:
    """A weak tag: a body that is compressed on its way is the same answer."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'


def tagged(request: Request, body: bytes, *, media_type: str, etag: str, cache: str) -> Response:
    """`body` under its tag, or 304."""
    headers = {"ETag": etag, "Cache-Control": cache}
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def is_known(request: Request, etag: str) -> bool:
    """Whether the caller has what `etag` stands for (RFC 9110, 13.1.2: compared weakly)."""
    known = request.headers.get("if-none-match", "")
    return any(tag.strip().removeprefix("W/") in ("*", etag.removeprefix("W/")) for tag in known.split(","))
