"""How to end a connection whose client does not read. Pure ASGI.

ASGI has no word for it: an answer that ends is still written to its last byte, so a client that takes none keeps the
connection, and what was written to it, for ever. uvicorn's `receive` knows its connection; whoever stands in between
and hands on another `receive` hides it, so this stands before them.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

_TRANSPORT = "framecue.transport"


class Severable:
    """Lets what is behind it `cut` the connection it answers on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_TRANSPORT] = getattr(getattr(receive, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


def cut(scope: Scope) -> bool:
    """Drops the connection with all that waits to be written; False where the server shows none."""
    transport: Any = scope.get(_TRANSPORT)
    if transport is None:
        return False
    transport.abort()
    return True
