"""What is sent to the gateway: no more than it can be asked for. Pure ASGI."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framecue_services.gateway.problems import Problem

BODY_MAX = 1 << 20
"""Bytes: rules as large as the topic `control` takes; all else is far smaller."""
_WORDS = f"no more than {BODY_MAX >> 20} MiB can be sent at once"


class Bounded:
    """Ends a request whose body is too large: at once where it says so, else where it gets so far."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Request(scope).headers.get("content-length", "0")
        if not said.isdecimal() or int(said) > BODY_MAX:
            await Problem(413, _WORDS).response()(scope, receive, send)
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > BODY_MAX:
                raise HTTPException(413, _WORDS)  # the framework hands on no other error while it reads a body
            return message

        await self._app(scope, counted, send)
