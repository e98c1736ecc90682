"""Results as they happen, as server-sent events. How one connection begins, goes on after a break, and ends.

Whoever does not read blocks only what writes to it: the queue behind it fills up, and then its connection is cut.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from framecue.broker.protocol import Broker
from framecue.clock import Clock
from framecue.errors import FrameCueError
from framecue.settings import Settings
from framecue_services.gateway.access import Access, Caller, counted_as, refusal
from framecue_services.gateway.cutting import cut
from framecue_services.gateway.live import (
    KINDS,
    ClosingError,
    LiveHub,
    Subscription,
    TooManyOfOneError,
    TooManySubscribersError,
    Wanted,
)
from framecue_services.gateway.places import PlaceError, check_form
from framecue_services.gateway.problems import Problem, busy, documented
from framecue_services.gateway.replay import Bounds, Replay

RETRY_MS = 2_000
"""After a break: what a gateway that restarts needs before it answers."""
SPREAD_MS = 3_000
"""Over which those come back who were sent away together."""
FULL_RETRY_S = 10
QUIET_S = 15.0
LAST_WORDS_S = 1.0
"""To hand over the end of a stream; who does not take it until then is cut off."""
GRACE_S = 5.0
KIND_PATTERN = r"^(annotation|event|caption)(,(annotation|event|caption))*$"
_EXAMPLE = 'retry: 2000\nid: pX3…\nevent: hello\ndata: {"resumed":false}\n\n: keep-alive\nid: q81…\n\n'
_log = logging.getLogger(__name__)
router = APIRouter(tags=["live"])


@router.get(
    "/v1/live",
    summary="Results as they happen",
    response_class=Response,
    responses={
        200: {
            "description": "A stream of events that does not end by itself",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **documented(400),
    },
)
async def live(
    request: Request,
    caller: Caller,
    match: Annotated[
        str, Query(max_length=128, description="pattern of stream ids", examples=["cam*"], pattern=r"^[!-~]+$")
    ] = "*",
    kind: Annotated[
        str, Query(max_length=100, pattern=KIND_PATTERN, description="some of annotation, event, caption, with commas")
    ] = ",".join(KINDS),
    last_event_id: Annotated[
        str | None, Query(description="the id of the last frame that came; the header counts where both are there")
    ] = None,
    header_id: Annotated[str | None, Header(alias="Last-Event-ID", description="as browsers send it")] = None,
) -> Response:
    """Server-sent events: `hello` first, then each result as `annotation`, `event` or `caption`, as it is in Kafka.

    Every frame has an `id`. Whoever shows the last one again is handed everything since, in the order of each stream:
    also after a restart of the gateway, and by another gateway. What cannot be handed on any more is told by a frame
    `missed` with `since`, `until` and `reason`. Rarely a result comes twice: `(id, revision)` and `(id, sequence)`
    tell. Whoever does not read is cut off, and can go on by id. One token has so many connections at a time (429).
    """
    state = request.app.state
    access: Access = state.access
    hub: LiveHub = state.live
    shown = header_id or last_event_id or None
    if shown is not None:
        _check(shown)
    wanted = Wanted(match, frozenset(k for k in KINDS if k in kind.split(",")), caller.principal.streams)
    try:
        subscription = hub.subscribe(
            wanted, caller=counted_as(caller, request), is_valid=lambda: access.still_valid(caller)
        )
    except TooManyOfOneError:
        whose = "token" if caller.kept is not None else "address"
        detail = f"this {whose} has as many live connections as one may have ({access.settings.live_per_caller})"
        raise refusal(429, "too_many_live", detail, {"Retry-After": str(FULL_RETRY_S)}) from None
    except TooManySubscribersError:
        raise busy("as many are listening as may", retry_s=FULL_RETRY_S) from None
    except ClosingError:
        raise busy("this gateway is ending") from None
    return LiveStream(hub, subscription, shown, broker=state.broker, clock=state.clock, settings=state.settings)


class LiveStream(Response):
    """One connection: what `subscription` is handed, after what it missed since the frame whose id it `shown`."""

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: LiveHub,
        subscription: Subscription,
        shown: str | None,
        *,
        broker: Broker,
        clock: Clock,
        settings: Settings,
    ) -> None:
        super().__init__(headers={"Cache-Control": "private, no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub, self._subscription, self._shown = hub, subscription, shown
        self._broker, self._clock, self._settings = broker, clock, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subscription = self._subscription
        telling = asyncio.create_task(self._tell(send))
        gone = asyncio.create_task(_gone(receive))
        ended = asyncio.create_task(subscription.ended.wait())
        try:
            await asyncio.wait((telling, gone, ended), return_when=asyncio.FIRST_COMPLETED)
            if subscription.why not in (None, "slow"):
                await asyncio.wait((telling, gone), timeout=LAST_WORDS_S, return_when=asyncio.FIRST_COMPLETED)
            is_cut = not telling.done() and not gone.done()
        finally:
            subscription.end("left")
            for task in (telling, gone, ended):
                task.cancel()
            outcomes = await asyncio.gather(telling, gone, ended, return_exceptions=True)
        if is_cut:
            if cut(scope):
                await _gone(receive)
        elif isinstance(outcomes[0], Exception):
            raise outcomes[0]

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        chunks = self._chunks()
        try:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # also those are to get on whose client takes all that comes
        except FrameCueError as e:
            _log.warning("a live stream ends before what it missed was read: %s", e)  # it comes back with the same id
        finally:
            await chunks.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncGenerator[bytes]:
        async for comment in self._until_ready():
            yield comment
        if self._subscription.why is None:  # else no topics may be known, and its id be taken for a stranger's
            async for frames in self._beginning():
                yield frames
        while (chunk := await self._subscription.next()) is not None:
            yield chunk
        if self._subscription.why == "closing":
            yield b"retry: %d\n\n" % (RETRY_MS + random.randrange(SPREAD_MS))

    async def _until_ready(self) -> AsyncGenerator[bytes]:
        while not self._hub.ready.is_set():
            yield b": waiting for Kafka\n\n"
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._hub.ready.wait()
            except TimeoutError:
                continue

    async def _beginning(self) -> AsyncGenerator[bytes]:
        """`hello`, and what was missed that the hub no longer has; at its end the subscription is attached."""
        hub, subscription = self._hub, self._subscription
        try:
            since = None if self._shown is None else hub.placed(self._shown)
        except PlaceError as e:
            place, now_ms = hub.place(), self._clock.now_ms()
            subscription.attach()
            yield hub.hello_frame(place, resumed=False, retry_ms=RETRY_MS)
            yield hub.missed_frame(None, now_ms, f"{e}: they were deleted, or are another deployment's", place)
            return
        if since is None:
            place = hub.place()
            subscription.attach()
            yield hub.hello_frame(place, resumed=False, retry_ms=RETRY_MS)
            return
        yield hub.hello_frame(self._shown or "", resumed=True, retry_ms=RETRY_MS)
        bounds = Bounds(self._settings.gateway.history_seconds)
        replay = Replay(hub, self._broker, self._clock, since=since, wanted=subscription.wanted, bounds=bounds)
        if replay.is_needed:
            async for chunk in self._replayed(replay, bounds):
                yield chunk
        subscription.attach(replay.offsets)

    async def _replayed(self, replay: Replay, bounds: Bounds) -> AsyncGenerator[bytes]:
        async for comment in self._until_its_turn():
            yield comment
        late = asyncio.get_running_loop().call_later(bounds.seconds + GRACE_S, self._subscription.end, "slow")
        frames = replay.frames()
        try:
            async for chunk in frames:
                yield chunk
        finally:
            late.cancel()  # until then it did not read, and others wait for this place
            self._hub.replaying.release()
            await frames.aclose()

    async def _until_its_turn(self) -> AsyncGenerator[bytes]:
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._hub.replaying.acquire()
                return
            except TimeoutError:
                yield b": waiting for others\n\n"


def _check(shown: str) -> None:
    try:
        check_form(shown)
    except PlaceError as e:
        raise Problem(400, f"{e}; leave it out to begin now") from e


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
