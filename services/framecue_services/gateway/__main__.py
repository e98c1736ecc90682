"""The gateway as a process: HTTP in front of Redis and Kafka. A wiring diagram.

framecue run gateway
"""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from framecue.broker.kafka.broker import KafkaBroker
from framecue.errors import SetupError
from framecue.models.faces import open_faces
from framecue.settings import GatewaySettings, Settings
from framecue.store.redis import RedisStore
from framecue.telemetry.setup import reporting
from framecue_services.gateway.app import create_app
from framecue_services.gateway.heads import BoundedHeads
from framecue_services.gateway.reaching import ReachedBroker
from framecue_services.hosting import Readiness

GRACE_S = 3
"""For requests that are under way when the gateway is told to stop."""
IDLE_S = 75
"""A connection without a request; longer than the minute that proxies keep one."""
BACKLOG = 2_048


def run(settings: Settings) -> None:
    """Serves until told to stop. Raises SetupError where a person must mend something.

    It starts without Kafka and Redis too, is ready while both answer, and serves what it can meanwhile.
    """
    ready = Readiness(settings.run.ready_file, ("gateway",))
    connection = settings.kafka.connection(client_id=f"framecue-gateway-{settings.slot}")
    with (
        reporting(settings.telemetry.reporting("gateway", slot=settings.slot, prometheus="always")),
        contextlib.closing(ReachedBroker(lambda: KafkaBroker(connection))) as broker,
        contextlib.closing(RedisStore(settings.redis.url.get_secret_value(), prefix=settings.redis.prefix)) as store,
        contextlib.closing(listen(settings.gateway)) as listening,
    ):
        app = create_app(
            settings,
            broker=broker,
            store=store,
            faces=open_faces(settings.privacy.faces),
            tell_ready=lambda is_ready: ready.tell("gateway", is_ready),
        )
        serve(app, listening)
        ready.tell("gateway", False)


def listen(settings: GatewaySettings) -> socket.socket:
    """The socket that requests come to; raises SetupError where the address is taken, or none of this machine's."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as e:
        raise SetupError(
            f"the gateway cannot listen on {settings.host} port {settings.port} ({e.strerror or e}); set "
            "FRAMECUE_GATEWAY__PORT to a free one, and FRAMECUE_GATEWAY__HOST to an address of this machine"
        ) from e


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Answers on `listening` until SIGTERM or SIGINT; then what is under way has a moment."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told_already)
    server_of(app).run(sockets=[listening])


def server_of(app: FastAPI) -> uvicorn.Server:
    """What answers, as this gateway wants it; for tests too, which run it on a thread."""
    config = uvicorn.Config(
        app,
        http=BoundedHeads,
        lifespan="on",
        log_config=None,  # as everything else here, by our own handler
        access_log=False,  # its lines have queries in them
        server_header=False,
        proxy_headers=False,  # who asks is who connects: a header is easily made up
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=IDLE_S,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Tells the application that it ends before it waits for answers, which may last as long as somebody listens."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        application = self.config.app
        if isinstance(application, FastAPI):
            application.state.end_lasting()
        await super().shutdown(sockets)


def _told_already(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal it ended for once more, when it is done; by then there is nothing left to do."""
