"""Transactions as a broker leaves them that lost their markers, on a broker that does not; and ones that are just open.

It must not know who looks at them.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer
from kafka.admin import AbortTransactionSpec, AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.connection import Admin, KafkaConnection, connect
from framecue.broker.kafka.producer import abandon

PATIENCE_S = 20.0
CHECKED = "transaction.partition.verification.enable"


@contextmanager
def open_transaction(connection: KafkaConnection, topic: str, partition: int, *, at_ms: int) -> Generator[None]:
    """A transaction with one record of `at_ms` that its coordinator will end; here it is aborted at the end."""
    producer = _begun(connection)
    try:
        _send(producer, KafkaPartition(connection.topic(topic), partition), at_ms)
        yield
        producer.abort_transaction()
    finally:
        abandon(producer)


@contextmanager
def abandoned_transaction(connection: KafkaConnection, topic: str, partition: int, *, at_ms: int) -> Generator[None]:
    """A transaction with one record of `at_ms` that no coordinator knows: nobody told it of the partition.

    Brokers refuse such a record, unless they are told not to ask. At the end it is aborted as Kafka's own tool does it.
    """
    admin, at = Admin(connection), KafkaPartition(connection.topic(topic), partition)
    try:
        with _unchecked(admin):
            left = _left_open(connection, at, at_ms)
        yield
        spec = AbortTransactionSpec(at, left.producer_id, left.epoch)
        admin.ask("aborting", lambda client: client.abort_transaction(spec))
    finally:
        admin.close()


def _left_open(connection: KafkaConnection, at: KafkaPartition, at_ms: int) -> Any:
    """The client's name of a producer that is gone, and told no coordinator of its record."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        producer = _begun(connection)
        transaction = producer._transaction_manager
        transaction._partitions_in_transaction.add(at)
        try:
            _send(producer, at, at_ms)
            return transaction.producer_id_and_epoch
        except KafkaError:  # the broker takes a moment to make the setting its own
            if time.monotonic() > until_s:
                raise
        finally:
            abandon(producer)


@contextmanager
def _unchecked(admin: Admin) -> Generator[None]:
    """Meanwhile the brokers take it from a producer that its coordinator knows of its partitions."""

    nodes = admin.ask("asking for brokers", lambda client: client.describe_cluster())["brokers"]

    def alter(operation: AlterConfigOp) -> None:
        configs = {CHECKED: (operation, "false")}
        changed = [ConfigResource(ConfigResourceType.BROKER, str(n["broker_id"]), configs=configs) for n in nodes]
        admin.ask("altering", lambda client: client.alter_configs(changed))

    alter(AlterConfigOp.SET)
    try:
        yield
    finally:
        alter(AlterConfigOp.DELETE)


def _begun(connection: KafkaConnection) -> Any:
    producer = connect(KafkaProducer, connection, transactional_id=f"{connection.prefix}{uuid4().hex}")
    producer.init_transactions()
    producer.begin_transaction()
    return producer


def _send(producer: Any, at: KafkaPartition, at_ms: int) -> None:
    producer.send(at.topic, b"held back", partition=at.partition, timestamp_ms=at_ms).get(timeout=PATIENCE_S)
