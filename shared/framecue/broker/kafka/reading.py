"""Reading without a group: single records and whole partitions. Commits nothing, ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from kafka import KafkaConsumer

from framecue.broker.kafka.connection import KafkaConnection, broker_errors, connect
from framecue.broker.protocol import Record, TopicPartition
from framecue.errors import BrokerError

POLL_S = 0.25
BULK_BYTES = 8 << 20
SINGLE_BYTES = 64 << 10
"""For one record: the broker gives it whole, however large, and little behind it."""


def record_of(read: Any, topic: str) -> Record:
    """What the client read, under the table's name of its topic."""
    return Record(topic, read.partition, read.offset, read.timestamp, read.key, read.value, tuple(read.headers))


class Readers:
    """Consumers without a group, one at a time to whoever asks. From any thread."""

    def __init__(self, connection: KafkaConnection, *, fetch_bytes: int) -> None:
        self._connection, self._fetch_bytes = connection, fetch_bytes
        self._free: list[Any] = []
        self._lock = threading.Lock()
        self._closed = False

    def fetch(self, at: TopicPartition, offset: int) -> Record | None:
        """The committed record at `offset`; None where there is none, or none yet."""
        with self._borrowed(at) as (client, key):
            if offset >= client.end_offsets([key], timeout_ms=self._connection.answer_timeout_ms)[key]:
                return None
            client.seek(key, offset)
            for read in self._each(client, key, offset + 1):
                return record_of(read, at.topic) if read.offset == offset else None
        return None

    def read(self, at: TopicPartition, start: int, *, end: int) -> Generator[Record]:
        """The committed records from `start` up to `end`; waits for what is being decided before it."""
        if start >= end:
            return
        with self._borrowed(at) as (client, key):
            client.seek(key, start)
            for read in self._each(client, key, end):
                if read.offset >= end:
                    return
                yield record_of(read, at.topic)

    def close(self) -> None:
        """Ends those that nobody has; the others end when they are given back."""
        with self._lock:
            self._closed, free, self._free = True, self._free, []
        for client in free:
            client.close(autocommit=False, timeout_ms=2_000)

    def _each(self, client: Any, key: Any, end: int) -> Iterator[Any]:
        """What `client` reads of `key`, until its position is `end`; raises BrokerError when nothing moves for long."""
        patience_s = self._connection.undecided_ms / 1_000
        moved_s, before = time.monotonic(), -1
        while (
            position := client.position(key, timeout_ms=self._connection.answer_timeout_ms)
        ) is None or position < end:
            if position != before:
                moved_s, before = time.monotonic(), position
            elif time.monotonic() - moved_s > patience_s:
                raise BrokerError(
                    f"{key.topic} {key.partition} gives nothing from {position} on, although it ends at {end}:"
                    " a transaction that nobody ends may hold it back; `framecue doctor` names it"
                )
            for records in client.poll(timeout_ms=POLL_S * 1_000).values():
                yield from records

    @contextmanager
    def _borrowed(self, at: TopicPartition) -> Generator[tuple[Any, Any]]:
        key = self._connection.partition(at)
        with broker_errors(f"reading {at.topic}", self._connection):
            with self._lock:
                client = self._free.pop() if self._free else None
            if client is None:
                client = open_reader(self._connection, fetch_bytes=self._fetch_bytes)
            try:
                client.assign([key])
                yield client, key
            except GeneratorExit:  # whoever read had enough
                self._give_back(client)
                raise
            except BaseException:
                client.close(autocommit=False, timeout_ms=0)
                raise
            self._give_back(client)

    def _give_back(self, client: Any) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(client)
                return
        client.close(autocommit=False, timeout_ms=2_000)


def open_reader(
    connection: KafkaConnection, *, fetch_bytes: int, out_of_range: Literal["earliest", "none"] = "earliest"
) -> Any:
    """A consumer without a group that reads what is committed; `out_of_range` "none" raises where a place is gone."""
    return connect(
        KafkaConsumer,
        connection,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset=out_of_range,
        allow_auto_create_topics=False,
        request_timeout_ms=connection.answer_timeout_ms,
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_bytes=4 * fetch_bytes,
        metrics_enabled=False,
    )
