"""Around every request: how long it took, and what becomes of a fault that nobody thought of. Pure ASGI.

The log has one line for each, without query and headers, which may hold what nobody else is to know.
"""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framecue.telemetry.metrics import record
from framecue.telemetry.names import HTTP_DURATION
from framecue_services.gateway.problems import our_fault

UNROUTED = "unrouted"
"""The route of what has none: any path may be asked for, and each as a label would be without end."""
LASTING = frozenset({"/v1/live"})
"""Routes whose answers last as long as somebody listens: that is no duration."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_log = logging.getLogger(__name__)


class Watched:
    """Measures what is behind it, and answers for it where it fails before it began to answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            _log.exception("%s %s failed", scope["method"], quote(scope["path"]))  # it may have lines of its own in it
            if status:
                raise  # it is too late for an answer: the connection breaks, so that nobody takes it for whole
            status = 500
            await our_fault().response()(scope, receive, send)
        finally:
            _measure(scope, status, time.perf_counter() - began_s)


def _measure(scope: Scope, status: int, seconds: float) -> None:
    """`status` 0: whoever asked was gone before there was an answer."""
    route = getattr(scope.get("route"), "path", UNROUTED)
    method = scope["method"] if scope["method"] in METHODS else "other"
    _log.debug("%s %s: %d after %.1f ms", method, quote(scope["path"]), status, 1_000 * seconds)
    if route not in LASTING:
        record(HTTP_DURATION, seconds, route=route, method=method, status=str(status or 499))
