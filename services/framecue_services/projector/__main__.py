"""The projector as a process: results come in and go to Redis. A wiring diagram.

framecue run projector
"""

from __future__ import annotations

from framecue.broker.protocol import Broker
from framecue.clock import SystemClock
from framecue.schemas.results import RESULT_TOPICS
from framecue.settings import Settings
from framecue.store.redis import RedisStore
from framecue_services.hosting import host
from framecue_services.projector.worker import ProjectorWorker


def run(settings: Settings) -> None:
    """Serves until told to stop; raises as `hosting.host` does."""
    store = RedisStore(settings.redis.url.get_secret_value(), prefix=settings.redis.prefix)

    def stage(broker: Broker) -> ProjectorWorker:
        return ProjectorWorker(store, broker, clock=SystemClock())

    host("projector", settings, topics=RESULT_TOPICS, stage=stage)
