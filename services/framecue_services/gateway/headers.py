"""What every answer tells a browser: run nothing foreign, embed nowhere, guess no types, keep nothing for others.

Pure ASGI, and it touches the first message of an answer only: a stream of events passes as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The page's own files and nothing else. An answer may bring one of its own, and has to say why."""
ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # addresses name streams
        "Cross-Origin-Resource-Policy": "same-origin",  # a foreign page cannot even tell whether a picture exists
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)
UNSAID_CACHING = "private, no-cache"
"""Keep it for yourself and ask whether it still holds, where an answer says nothing else."""
_CORS = "access-control-"
_BY_CALLER = ("Authorization", "Cookie")
"""One browser may be of one person now and of another later: what it kept for the one is not for the other."""


class SecurityHeaders:
    """Outermost of our middlewares, so that refusals carry them too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message), status=message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def secure(headers: MutableHeaders, *, status: int) -> None:
    """Adds what is missing to an answer's headers, and takes out what lets other sites read it."""
    for name in [name for name in headers if name.lower().startswith(_CORS)]:
        del headers[name]
    for name, value in ALWAYS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    if status >= 400:
        headers["Cache-Control"] = "no-store"
    else:
        headers.setdefault("Cache-Control", UNSAID_CACHING)
    for name in _BY_CALLER:
        headers.add_vary_header(name)
