"""Who asks, whether that is so, and how often they may: before any route is looked for.

`Gate` stands before the routes and refuses what shows no valid token; `Reader`, `Writer` and `Admin` hand a route its
caller, and refuse where `Gate` was left out. Which streams a caller sees is asked of `Principal`, by each route.

    address holds a token ─ refuse │ auth off: Host is this machine │ no /v1, no /metrics ─ pass
      → cookie or token, known and in time │ not too often │ by a browser: asked by our own page → the route

A token counts from the moment it was made: one that is not known is looked for once more before it is refused.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from framecue.clock import Clock
from framecue.errors import SetupError
from framecue.schemas.token import Scope as TokenScope
from framecue.settings import GatewaySettings
from framecue.telemetry.metrics import add
from framecue.telemetry.names import REFUSED
from framecue_services.gateway.limits import Limiter, network
from framecue_services.gateway.loopback import is_loopback
from framecue_services.gateway.origins import (
    SAFE_METHODS,
    host_name,
    is_foreign,
    is_of_form,
    says_origin,
)
from framecue_services.gateway.principal import EVERYBODY, Principal
from framecue_services.gateway.problems import Problem
from framecue_services.gateway.sessions import COOKIE, Claim, Sessions, read_cookie
from framecue_services.gateway.tokens import SECRET, Kept, TokenRegistry

Reason = Literal[
    "token_in_address", "foreign_host", "foreign_page", "form", "no_token", "wrong_token", "expired", "scope",
    "too_many", "too_many_wrong", "too_many_live", "not_known_yet",
]  # fmt: skip
"""Why a request was turned away, as metrics name it."""
WRONG_PER_SECOND, WRONG_BURST = 0.2, 10
"""Wrong tokens of one address: a person who mistypes never meets it, a script that tries does at once."""
NEW_WITHIN_S = 2.0
"""For a token that was just made to be read; a broker that needs longer is slow, and whoever asks may ask again."""
SESSION_PATH = "/v1/session"
_TOKEN = re.compile(r"fc_[a-z0-9]{8,32}(_|%5[Ff])[A-Za-z0-9_%-]{20}")
_TOKEN_NAMES = re.compile(r"(^|&)(access_)?token=", re.IGNORECASE)
_ASK = 'Bearer realm="FrameCue"'


@dataclass(frozen=True)
class Credential:
    """What a caller showed, and whom that makes it. `kept` is None where nothing had to be shown."""

    principal: Principal
    by: Literal["token", "cookie", "loopback"]
    kept: Kept | None = None
    expires_ms: int | None = None


class Access:
    """Decides on requests, by tokens, sessions and limits. Used on one thread, the event loop's; never blocks it.

    Raises SetupError where the settings would let the whole network in without a token.
    """

    def __init__(self, settings: GatewaySettings, tokens: TokenRegistry, *, clock: Clock) -> None:
        if settings.auth == "off" and not is_loopback(settings.host):
            raise SetupError(
                f"gateway.auth is off, and gateway.host {settings.host} can be reached from other machines; set "
                "gateway.host to 127.0.0.1, or gateway.auth to on and make tokens with `framecue token create`"
            )
        self.settings = settings
        self._tokens, self._clock = tokens, clock
        secret = settings.session_secret
        self._sessions = Sessions(
            None if secret is None else secret.get_secret_value(), length_ms=round(settings.session_hours * 3_600_000)
        )
        self._requests = Limiter(per_second=settings.requests_per_second, burst=settings.request_burst)
        self._wrong = Limiter(per_second=WRONG_PER_SECOND, burst=WRONG_BURST)

    async def admit(self, request: HTTPConnection) -> Credential | None:
        """Who asks; None where nobody need say. Raises Problem, for a token that is not known after a moment."""
        self._check_address(request)
        path = request.scope["path"]
        if not _is_guarded(path):
            return None
        if path == SESSION_PATH and request.scope["method"] == "POST":
            self._count(f"address {_caller(request)}")
            self._check_page(request)
            return None
        credential = await self._credential(request)
        self._count(counted_as(credential, request))
        if credential.by != "token":  # what no page can know, no page can send
            self._check_page(request, by=credential.by)
        return credential

    def still_valid(self, credential: Credential) -> bool:
        """Whether who showed that may go on: for answers that last. Cheap enough to ask every second."""
        if credential.kept is None:
            return self.settings.auth == "off"
        in_time = credential.expires_ms is None or self._clock.now_ms() < credential.expires_ms
        return in_time and self._tokens.of_id(credential.kept.token.id) == credential.kept

    async def open_session(self, secret: str, request: HTTPConnection) -> tuple[str, Credential]:
        """A cookie for who shows this token, and whom it makes them. Raises Problem, as `admit` does."""
        if self.settings.auth == "off":
            raise Problem(409, "nobody has to log in: gateway.auth is off, and everybody here may everything")
        kept = await self._shown(secret, request)
        cookie, end_ms = self._sessions.open(kept, now_ms=self._clock.now_ms())
        return cookie, Credential(_principal(kept), "cookie", kept, end_ms)

    def seconds_left(self, credential: Credential) -> int:
        """Until it expires by itself; 0 where it never does, or has."""
        return 0 if credential.expires_ms is None else max(0, credential.expires_ms - self._clock.now_ms()) // 1_000

    async def _credential(self, request: HTTPConnection) -> Credential:
        if self.settings.auth == "off":
            return Credential(EVERYBODY, "loopback")
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":  # any other is meant for a proxy before us
            kept = await self._shown(secret.strip(), request)
            return Credential(_principal(kept), "token", kept, kept.expires_ms)
        if (cookie := request.cookies.get(COOKIE)) is not None:
            return await self._of_cookie(cookie, request)
        self._count(f"address {_caller(request)}")
        raise refusal(401, "no_token", "show a token: Authorization: Bearer fc_…", {"WWW-Authenticate": _ASK})

    async def _shown(self, secret: str, request: HTTPConnection) -> Kept:
        """The token that this is. Whoever shows a right one is never held up by others at the same address."""
        self._check_ready()
        kept = self._tokens.of_secret(secret)
        if kept is None:
            self._count_wrong(request)
            if SECRET.fullmatch(secret):
                kept = await self._look_again(lambda: self._tokens.of_secret(secret), request)
        if kept is None:
            raise _wrong("wrong_token", "this token is not known: it may have been revoked")
        if not kept.counts_at(self._clock.now_ms()):
            self._count_wrong(request)
            raise _wrong("expired", "this token has expired; ask for a new one")
        return kept

    async def _of_cookie(self, cookie: str, request: HTTPConnection) -> Credential:
        self._check_ready()
        claim = read_cookie(cookie)
        kept = None if claim is None else self._of_claim(claim)
        if kept is None:
            self._count_wrong(request)
            if claim is not None and self._clock.now_ms() < claim.expires_ms:
                kept = await self._look_again(lambda: self._of_claim(claim), request)
        if claim is None or kept is None:
            raise _wrong("wrong_token", "this session has ended; log in again")
        if not kept.counts_at(self._clock.now_ms()):
            self._count_wrong(request)
            raise _wrong("expired", "the token of this session has expired; ask for a new one")
        return Credential(_principal(kept), "cookie", kept, claim.expires_ms)

    def _of_claim(self, claim: Claim) -> Kept | None:
        """The token of a session that we, or another gateway with our secret, opened, and that goes on."""
        kept = self._tokens.of_id(claim.token_id)
        return kept if kept is not None and self._sessions.holds(claim, kept, now_ms=self._clock.now_ms()) else None

    async def _look_again(self, look: Callable[[], Kept | None], request: HTTPConnection) -> Kept | None:
        """What `look` finds once everything is read that was there by now; it found nothing, and that was counted.

        How long this takes tells nothing of ids or bits: an id that nobody has and a right one with wrong bits wait
        for the same read, which all share who ask meanwhile. Whether there is a wait hangs on what the caller knows,
        the form of what it shows and the end that stands in a cookie, and on the limit and the broker.
        """
        if (read := self._tokens.next_read()) is None:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(NEW_WITHIN_S):
                await asyncio.wrap_future(read)
        self._check_ready()
        kept = look()
        if kept is not None:
            self._wrong.give_back(_caller(request))
        return kept

    def _check_ready(self) -> None:
        if not self._tokens.ready:
            detail = "who may do what is not known yet, since Kafka has not answered since this gateway started"
            raise refusal(503, "not_known_yet", detail, {"Retry-After": "2"})

    def _count_wrong(self, request: HTTPConnection) -> None:
        """Takes note of a wrong token, before anything is done for it: what is refused here has cost nothing."""
        wait_s = self._wrong.take(_caller(request), now_s=self._clock.now_ms() / 1_000)
        if wait_s:
            detail = "too many wrong tokens from this address"
            raise refusal(429, "too_many_wrong", detail, {"Retry-After": str(math.ceil(wait_s))})

    def _count(self, caller: str) -> None:
        wait_s = self._requests.take(caller, now_s=self._clock.now_ms() / 1_000)
        if wait_s:
            detail = f"more than {self.settings.requests_per_second:g} requests a second"
            raise refusal(429, "too_many", detail, {"Retry-After": str(math.ceil(wait_s))})

    def _check_address(self, request: HTTPConnection) -> None:
        query = request.scope["query_string"].decode("latin-1")
        if _TOKEN_NAMES.search(query) or _TOKEN.search(query) or _TOKEN.search(request.scope["path"]):
            detail = (
                "tokens do not belong into addresses, which end up in logs and histories: send Authorization: Bearer, "
                "and revoke this one"
            )
            raise refusal(400, "token_in_address", detail)
        if self.settings.auth == "off" and not is_loopback(host_name(request.headers.get("host", ""))):
            detail = "without tokens this gateway answers only to the names localhost and 127.0.0.1"
            raise refusal(403, "foreign_host", detail)

    def _check_page(self, request: HTTPConnection, *, by: Literal["cookie", "loopback"] = "loopback") -> None:
        """That no page of somebody else's is behind it. Only browsers have a cookie, and they say where they ask."""
        method, headers = request.scope["method"], request.headers
        if is_foreign(method, headers, https_only=self.settings.secure_cookie):
            raise refusal(403, "foreign_page", "a page of another site asks; only this gateway's own may")
        if method in SAFE_METHODS:
            return
        if by == "cookie" and not says_origin(headers):
            raise refusal(403, "foreign_page", "a browser says where it asks from; programs send a token instead")
        if method != "DELETE" and is_of_form(headers):
            raise refusal(415, "form", "say what the body is, such as Content-Type: application/json; no form is taken")


class Gate:
    """Asks `app.state.access` about every request; what it learns is `request.state.credential`. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access: Access = scope["app"].state.access
        try:
            scope.setdefault("state", {})["credential"] = await access.admit(HTTPConnection(scope))
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


_BEARER = HTTPBearer(scheme_name="token", description="made by `framecue token create`", auto_error=False)
_SESSION = APIKeyCookie(
    scheme_name="session", name=COOKIE, description="given to browsers by `POST /v1/session`", auto_error=False
)


async def _caller_of(
    request: Request, _token: Annotated[object, Security(_BEARER)], _cookie: Annotated[object, Security(_SESSION)]
) -> Credential:
    """What `Gate` learnt; the two schemes stand here for the OpenAPI document."""
    credential: Credential | None = getattr(request.state, "credential", None)
    if credential is None:
        raise refusal(401, "no_token", "show a token: Authorization: Bearer fc_…", {"WWW-Authenticate": _ASK})
    return credential


Caller = Annotated[Credential, Depends(_caller_of)]
"""What was shown: for answers that last, which ask `Access.still_valid` now and then."""


async def _reader(caller: Caller) -> Principal:
    return caller.principal


async def _writer(caller: Caller) -> Principal:
    return _with_scope(caller.principal, "write")


async def _admin(caller: Caller) -> Principal:
    return _with_scope(caller.principal, "admin")


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Admin = Annotated[Principal, Depends(_admin)]


def counted_as(credential: Credential, request: HTTPConnection) -> str:
    """Whose limits these are: the token's, wherever it is shown; where none had to be shown, the address's."""
    kept = credential.kept
    return f"address {_caller(request)}" if kept is None else f"token {kept.token.id}"


def refusal(status: int, reason: Reason, detail: str, headers: dict[str, str] | None = None) -> Problem:
    """The problem that says so, counted."""
    add(REFUSED, reason=reason)
    return Problem(status, detail, headers=headers)


def _wrong(reason: Reason, detail: str) -> Problem:
    return refusal(401, reason, detail, {"WWW-Authenticate": f'{_ASK}, error="invalid_token"'})


def _with_scope(principal: Principal, scope: TokenScope) -> Principal:
    if not principal.may(scope):
        raise refusal(403, "scope", f"needs the scope {scope}")
    return principal


def _principal(kept: Kept) -> Principal:
    return Principal(kept.token.name, kept.token.scope, kept.token.streams)


def _is_guarded(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/") or path == "/metrics"


def _caller(request: HTTPConnection) -> str:
    return network(request.client.host) if request.client is not None else ""
