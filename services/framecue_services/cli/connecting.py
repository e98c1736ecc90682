"""The servers that the settings name, as commands use them: connected, and let go at the end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from framecue.broker.kafka.broker import KafkaBroker
from framecue.settings import Settings
from framecue.store.redis import RedisStore


@contextmanager
def broker(settings: Settings) -> Generator[KafkaBroker]:
    """The Kafka broker; raises BrokerError in one sentence where none answers."""
    connected = KafkaBroker(settings.kafka.connection())
    try:
        yield connected
    finally:
        connected.close()


@contextmanager
def store(settings: Settings) -> Generator[RedisStore]:
    """The result store, which connects when it is first asked."""
    opened = RedisStore(settings.redis.url.get_secret_value(), prefix=settings.redis.prefix)
    try:
        yield opened
    finally:
        opened.close()
