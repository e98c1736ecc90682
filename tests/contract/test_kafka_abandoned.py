"""Transactions that nobody will end, on a real Kafka: each is found, and none that somebody will end is named."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest

from framecue.broker.kafka.cluster import KafkaCluster
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import delete_topics
from framecue.errors import BrokerError
from tests.support.abandoned import abandoned_transaction, open_transaction
from tests.support.brokers import TidyKafkaBroker, new_topics

THEN_MS = 1_700_000_000_000


@pytest.fixture
def connection(kafka: str) -> Generator[KafkaConnection]:
    connection = new_topics(kafka, transaction_timeout_ms=100)
    yield connection
    delete_topics(connection)


@pytest.fixture
def cluster(connection: KafkaConnection) -> Generator[KafkaCluster]:
    cluster = KafkaCluster(connection)
    yield cluster
    cluster.close()


def test_a_transaction_that_no_coordinator_knows_is_found_until_it_is_aborted(
    connection: KafkaConnection, cluster: KafkaCluster
) -> None:
    with abandoned_transaction(connection, "annotations", 2, at_ms=THEN_MS):
        found = cluster.abandoned(heard_before_ms=THEN_MS + 1)
        assert cluster.abandoned(heard_before_ms=THEN_MS) == [], "it is young"
    assert found is not None
    [one] = found
    assert (one.topic, one.partition, one.start, one.heard_ms) == (connection.topic("annotations"), 2, 0, THEN_MS)
    assert cluster.abandoned(heard_before_ms=THEN_MS + 1) == []


def test_a_transaction_that_its_coordinator_will_end_is_not_named_however_old(
    connection: KafkaConnection, cluster: KafkaCluster
) -> None:
    with open_transaction(connection, "annotations", 2, at_ms=THEN_MS):
        assert cluster.abandoned(heard_before_ms=THEN_MS + 1) == []


def test_a_reader_that_is_held_back_says_who_may_know_why(connection: KafkaConnection) -> None:
    broker = TidyKafkaBroker(replace(connection, answer_timeout_ms=1_000))
    with (
        abandoned_transaction(connection, "annotations", 2, at_ms=THEN_MS),
        pytest.raises(BrokerError, match=r"gives nothing from 0 on, .* 1: a transaction .*`framecue doctor` names it"),
    ):
        list(broker.read("annotations", partition=2))
    broker.close()
