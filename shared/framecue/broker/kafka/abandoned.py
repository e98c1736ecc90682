"""Transactions that are open on a partition and that nobody will end: they hold back whoever reads what is committed.

A coordinator ends each transaction that it knows: with its producer, or when its time is over. One that is open on a
partition while its coordinator knows nothing of it stays open for ever. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from kafka.errors import UnsupportedVersionError
from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.connection import Admin
from framecue.errors import BrokerError

COORDINATORS = "__transaction_state"
"""The topic whose leaders are the coordinators."""
AGAIN_S = 2.0
"""What was found is looked at again: a coordinator may end a transaction before it is asked, or be just starting."""


@dataclass(frozen=True)
class Abandoned:
    """One such transaction on one partition. `topic` is the broker's name; readers get nothing from `start` on.

    `heard_ms` is the time of its last record: the broker's, or the writer's where the topic takes it from there.
    """

    topic: str
    partition: int
    start: int
    heard_ms: int
    producer: int


def abandoned(admin: Admin, partitions: Collection[Any], *, heard_before_ms: int) -> Sequence[Abandoned] | None:
    """Those on `partitions` (the client's names) without a record since `heard_before_ms`; None before Kafka 3.0.

    Raises BrokerError, also while a coordinator is away: what it knows would be taken for abandoned.
    """
    first = _unknown(admin, partitions, heard_before_ms)
    if not first:
        return first
    Event().wait(AGAIN_S)
    there = {KafkaPartition(one.topic, one.partition) for one in first}
    second = _unknown(admin, there, heard_before_ms) or ()
    return [one for one in first if one in second]


def _unknown(admin: Admin, partitions: Collection[Any], heard_before_ms: int) -> Sequence[Abandoned] | None:
    """What is open and old, and no coordinator knows, as it looks now."""
    old = _open(admin, partitions, heard_before_ms)
    if not old:
        return old
    known = _known(admin, {one.producer for one in old})
    if known is None:
        return None
    return [one for one in old if (one.producer, one.topic, one.partition) not in known]


def _open(admin: Admin, partitions: Collection[Any], heard_before_ms: int) -> Sequence[Abandoned] | None:
    def ask(client: Any) -> Any:
        try:
            return client.describe_producers(partitions)
        except UnsupportedVersionError:
            return None

    found = admin.ask("asking for producers", ask)
    if found is None:
        return None
    return [
        Abandoned(at.topic, at.partition, one.current_transaction_start_offset, one.last_timestamp, one.producer_id)
        for at, state in sorted(found.items())
        for one in state.active_producers
        if one.current_transaction_start_offset >= 0 and one.last_timestamp < heard_before_ms
    ]


def _known(admin: Admin, producers: Collection[int]) -> Collection[tuple[int, str, int]] | None:
    """The producer, topic and partition of what the coordinators have open or are about to end."""
    [described] = admin.ask("asking for coordinators", lambda client: client.describe_topics([COORDINATORS]))
    if any(partition["leader_id"] < 0 for partition in described["partitions"]):
        raise BrokerError(
            "a coordinator of transactions is away, so nobody knows whether those that are open will end; "
            "start the brokers that are missing"
        )

    def ask(client: Any) -> Any:
        try:
            listed = client.list_transactions(producer_id_filters=list(producers))
            return client.describe_transactions({one.transactional_id for ones in listed.values() for one in ones})
        except UnsupportedVersionError:
            return None

    found = admin.ask("asking for transactions", ask)
    if found is None:
        return None
    return {(one.producer_id, at.topic, at.partition) for one in found.values() for at in one.topic_partitions}
