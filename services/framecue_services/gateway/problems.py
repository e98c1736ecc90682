"""What goes wrong, told the same way everywhere: `application/problem+json` (RFC 9457) with a sentence that helps.

A stream that somebody does not see and one that does not exist are the same problem, to the byte. It must not know any
route.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from framecue.errors import BrokerError, FrameCueError, InputError, SetupError, StoreError

PROBLEM_JSON = "application/problem+json"
RETRY_S = 2
"""When to ask again after a server was away: a restart takes seconds."""
_KEPT = {"Cache-Control": "no-store"}
_SCHEMA = {"$ref": "#/components/schemas/ProblemBody"}
_log = logging.getLogger(__name__)


class ProblemBody(BaseModel):
    """What is wrong (RFC 9457)."""

    type: str = Field("about:blank", description="always about:blank: `status` says which kind")
    title: str = Field(description="the status in words", examples=["Not Found"])
    status: int = Field(description="the HTTP status", examples=[404])
    detail: str | None = Field(
        description="a sentence that says what to do", examples=["there is no such stream, or nothing is known of it"]
    )


class Problem(Exception):  # noqa: N818 (a problem is what RFC 9457 calls it)
    """An answer that is no result: raise it anywhere while a request is worked on."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or status)
        self.status, self.detail = status, detail
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer that tells it; for middleware, which cannot raise."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return Response(data, self.status, {**_KEPT, **self.headers}, PROBLEM_JSON)


def no_stream() -> Problem:
    """The stream does not exist, or not for this caller."""
    return Problem(404, "there is no such stream, or nothing is known of it")


def no_event() -> Problem:
    """The event does not exist, or not for this caller, or it is so old that Redis no longer holds it."""
    return Problem(404, "there is no such event, or it is no longer held")


def busy(what: str, *, retry_s: int = 1) -> Problem:
    """More is asked for than can be done at a time."""
    return Problem(503, f"{what}; ask again in a moment", headers={"Retry-After": str(retry_s)})


def our_fault() -> Problem:
    """Something that nobody thought of."""
    return Problem(500, "that is our fault; the gateway's log says more")


EVERYWHERE = (400, 401, 403, 429, 503)
"""What each route under /v1 may answer: a token in the address, none, one that may not, too many, a server away."""


def documented(*statuses: int, only: bool = False) -> dict[int | str, dict[str, Any]]:
    """The part of a route's OpenAPI that says which problems it answers with, beside those `EVERYWHERE`."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_JSON: {"schema": _SCHEMA}},
        }
        for status in sorted({*(() if only else EVERYWHERE), *statuses})
    }


def tell_problems(app: FastAPI) -> None:
    """Makes `app` answer errors of every kind as problems."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(FrameCueError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 (Starlette hands on what was raised)
    return error.response()


async def _ours(_: Request, error: Exception) -> Response:
    """A server that is away is nobody's fault here; what the data has wrong, the caller can mend."""
    match error:
        case BrokerError() | StoreError() | SetupError():
            _log.warning("%s", error)
            server = "Redis" if isinstance(error, StoreError) or "Redis" in str(error) else "Kafka"
            sentence = f"{server} does not answer or refuses; the gateway's log says why"
            return Problem(503, sentence, headers={"Retry-After": str(RETRY_S)}).response()
        case InputError():
            return Problem(422, str(error)).response()
    raise error


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return Problem(422, _sentence(error.errors())).response()


def _sentence(errors: Sequence[Any]) -> str:
    """The first of `errors`, without what was given, which may be a secret."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {str(first['msg']).removeprefix('Value error, ')}"


async def _http(_: Request, error: Exception) -> Response:
    """Of the framework: no such route or method, a body that is no JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101
    known = HTTPStatus(error.status_code).phrase
    detail = None if error.detail == known else str(error.detail)
    return Problem(error.status_code, detail, headers=error.headers).response()
