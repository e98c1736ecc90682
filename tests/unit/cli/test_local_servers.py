"""Kafka and Redis as `framecue up` starts them: they keep their data and port over a stop and over a kill."""

from __future__ import annotations

from collections.abc import Callable

from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer
from framecue_services.cli.local.server import Server, taken


def test_kafka_when_killed_and_stopped(own_kafka: Callable[[], KafkaServer]) -> None:
    server = own_kafka()
    _check_restarts(server, server.port)


def test_redis_when_killed_and_stopped(own_redis: Callable[[], RedisServer]) -> None:
    server = own_redis()
    _check_restarts(server, server.port)


def test_redis_answers_when_of_each_version(redis_urls: str) -> None:
    assert taken(int(redis_urls.rpartition(":")[2].partition("/")[0]))


def _check_restarts(server: Server, port: int) -> None:
    for end in (server.kill, server.stop):
        before = server.pid
        end()
        assert not server.running
        assert not taken(port)
        server.start()
        assert server.answers()
        assert server.pid != before
