"""The application: what every route finds at hand, what stands before the routes, and what runs beside them.

    SecurityHeaders ─► Watched ─► gzip ─► Gate ─► Severable ─► Bounded ─► route

It must not know where settings come from, nor how it is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from framecue.broker.protocol import Broker
from framecue.clock import Clock, SystemClock
from framecue.models.faces import Faces
from framecue.settings import Settings
from framecue.store.protocol import Store
from framecue_services.gateway import pages
from framecue_services.gateway.access import Access, Gate
from framecue_services.gateway.bodies import Bounded
from framecue_services.gateway.cutting import Severable
from framecue_services.gateway.feed import feeding
from framecue_services.gateway.feedback import FeedbackBook
from framecue_services.gateway.headers import SecurityHeaders
from framecue_services.gateway.health import Health
from framecue_services.gateway.live import LiveHub
from framecue_services.gateway.pictures import Pictures
from framecue_services.gateway.problems import tell_problems
from framecue_services.gateway.routes import (
    docs,
    events,
    health,
    history,
    live,
    pictures,
    rules,
    session,
    streams,
    text,
)
from framecue_services.gateway.threads import Pools
from framecue_services.gateway.tokens import TokenRegistry
from framecue_services.gateway.watching import Watched

GZIP_FROM_BYTES = 1_024
"""Below it, two packets at most, there is nothing to win."""
GZIP_LEVEL = 4
"""Three quarters of what level 9 saves, for a third of its time."""
ABOUT = (
    "What FrameCue sees and reads in your streams: now, before, as it happens, and in pictures. "
    "Every answer is private to its caller: a stream that a token does not see does not exist for it."
)


def create_app(
    settings: Settings,
    *,
    broker: Broker,
    store: Store,
    faces: Faces,
    clock: Clock | None = None,
    tell_ready: Callable[[bool], None] = lambda ready: None,
) -> FastAPI:
    """The gateway over `broker` and `store`, which may be away: only what needs one fails without it.

    `tell_ready` hears whenever that changes. Raises SetupError where the settings would let everybody in.
    """
    clock = clock or SystemClock()
    tokens = TokenRegistry(broker)
    app = FastAPI(
        title="FrameCue",
        version=version("framecue"),
        description=ABOUT,
        lifespan=_running,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    state = app.state
    state.settings, state.broker, state.store, state.clock = settings, broker, store, clock
    state.tokens, state.access = tokens, Access(settings.gateway, tokens, clock=clock)
    state.faces, state.tell_ready = faces.state, tell_ready
    state.live = LiveHub(
        queue_bytes=settings.gateway.live_queue_bytes,
        most=settings.gateway.live_subscribers,
        most_each=settings.gateway.live_per_caller,
    )
    state.end_lasting = state.live.close
    state.pools, state.health = Pools(), Health(broker, store)
    state.feedback = FeedbackBook(broker, clock=clock)
    state.pictures = Pictures(
        broker, store, faces, most_bytes=settings.gateway.picture_cache_bytes, kafka=state.pools.kafka
    )
    for part in (session, streams, history, live, pictures, events, text, rules, health, docs, pages):
        app.router.routes += part.router.routes  # included ones are looked through at ten times the cost
    tell_problems(app)
    app.add_middleware(Bounded)
    app.add_middleware(Severable)
    app.add_middleware(Gate)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)  # no pictures, no events
    app.add_middleware(Watched)
    app.add_middleware(SecurityHeaders)  # the last one is outermost
    return app


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """What runs beside the requests."""
    state = app.state
    state.tokens.start()
    watching = asyncio.create_task(state.health.watch(state.tell_ready))
    try:
        async with feeding(state.live, state.broker, state.clock):
            yield
    finally:
        watching.cancel()
        await asyncio.to_thread(state.tokens.close)
