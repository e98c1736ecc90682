"""Kafka brokers for tests: topics of their own on the shared server, and nothing left open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Consumer, Handover

PARTITIONS = 4


def new_topics(bootstrap: str, **given: Any) -> KafkaConnection:
    """A connection under a prefix that nobody else has, whose topics are there and empty."""
    connection = replace(KafkaConnection(bootstrap, prefix=f"t-{uuid4().hex[:12]}."), **given)
    create_topics(connection, partitions=PARTITIONS, replication=1)
    return connection


class TidyKafkaBroker(KafkaBroker):
    """Closes with it the consumers that a test leaves open."""

    def __init__(self, connection: KafkaConnection, **given: Any) -> None:
        super().__init__(connection, **given)
        self.opened: list[Consumer] = []

    def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
        self.opened.append(super().consumer(group, topics, before_handover=before_handover))
        return self.opened[-1]

    def close(self) -> None:
        for consumer in self.opened:
            consumer.close()
        super().close()
