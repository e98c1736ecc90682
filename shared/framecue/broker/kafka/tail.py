"""What comes to topics from now on, or since a time, for whoever subscribes without a group. Commits nothing, ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.connection import ANSWER_MS, KafkaConnection, broker_errors, missing_topic
from framecue.broker.kafka.reading import BULK_BYTES, open_reader, record_of
from framecue.broker.protocol import Record, known_topic

CHECK_MS = 2_000
Start = int | Literal["oldest", "now"]
"""Where to begin: a time in ms, or one of these words."""


class KafkaTail:
    """What is committed to `topics`, from `start` on, for ever. Used by one thread only.

    Records of a partition come in order; nothing is promised between partitions.
    """

    def __init__(self, connection: KafkaConnection, topics: Sequence[str], *, start: Start = "now") -> None:
        self._connection = connection
        self._names = {connection.topic(known_topic(name).name): name for name in topics}
        self._client = open_reader(connection, fetch_bytes=BULK_BYTES)
        try:
            with broker_errors("reading", connection):
                self._place(start)
        except BaseException:
            self.close()
            raise

    def poll(self, max_records: int, *, timeout_s: float) -> list[Record]:
        """Up to `max_records`, waiting up to `timeout_s` for the first. Raises BrokerError."""
        with broker_errors("reading", self._connection):
            batch = self._client.poll(timeout_ms=max(timeout_s, 0.005) * 1_000, max_records=max_records)
        return [record_of(read, self._names[read.topic]) for records in batch.values() for read in records]

    def check(self) -> None:
        """Raises BrokerError where the broker does not answer; `poll` only waits for it, and goes on then."""
        with broker_errors("reading", self._connection):
            self._client.end_offsets(list(self._client.assignment())[:1], timeout_ms=CHECK_MS)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close(autocommit=False, timeout_ms=2_000)

    def _place(self, start: Start) -> None:
        keys = []
        for full, name in self._names.items():
            numbers = self._client.partitions_for_topic(full)
            if not numbers:
                raise missing_topic(self._connection, name)
            keys += [KafkaPartition(full, number) for number in sorted(numbers)]
        self._client.assign(keys)
        if start == "oldest":
            places = self._client.beginning_offsets(keys, timeout_ms=ANSWER_MS)
        else:
            places = self._client.end_offsets(keys, timeout_ms=ANSWER_MS)
        if isinstance(start, int):
            found = self._client.offsets_for_times(dict.fromkeys(keys, start), timeout_ms=ANSWER_MS)
            places |= {key: place.offset for key, place in found.items() if place is not None}
        for key, place in places.items():
            self._client.seek(key, place)
