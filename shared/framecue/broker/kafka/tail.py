"""What comes to topics from now on, or since a time or place, for whoever follows without a group. Commits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafka.errors import OffsetOutOfRangeError
from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.connection import KafkaConnection, broker_errors, missing_topic
from framecue.broker.kafka.reading import BULK_BYTES, open_reader, record_of
from framecue.broker.protocol import Offsets, Record, Start, TopicPartition, known_topic

CHECK_MS = 2_000


class KafkaTail:
    """`broker.protocol.Tail`: what is committed to `topics`, from `start` on, for ever. Used by one thread only.

    Records of a partition come in order; nothing is promised between partitions. Where `start` names places, only the
    partitions that it names are read.
    """

    def __init__(self, connection: KafkaConnection, topics: Sequence[str], *, start: Start | Offsets = "now") -> None:
        self.lost: frozenset[TopicPartition] = frozenset()
        self._connection = connection
        named = {at.topic for at in start} if isinstance(start, Mapping) else topics
        self._names = {connection.topic(known_topic(name).name): name for name in named}
        self._client = open_reader(connection, fetch_bytes=BULK_BYTES, out_of_range="none")
        self._behind: dict[Any, int] = {}
        """Where partitions ended when this was made, of those that were not read up to there yet."""
        try:
            with broker_errors("reading", connection):
                self._place(start)
        except BaseException:
            self.close()
            raise

    @property
    def log_id(self) -> bytes:
        """The ids that Kafka gave the topics when it made them."""
        found = (self._client._cluster.topic_id(full) for full in sorted(self._names))
        return b"".join(b"" if one is None else one.bytes for one in found)

    def positions(self) -> Offsets:
        """Where each partition goes on. Raises BrokerError."""
        with broker_errors("reading", self._connection):
            return {self._ours(key): self._position(key) for key in self._client.assignment()}

    def caught_up(self) -> bool:
        """Whether `poll` gave all that was committed when this was made. Raises BrokerError."""
        with broker_errors("reading", self._connection):
            self._behind = {key: end for key, end in self._behind.items() if self._position(key) < end}
        return not self._behind

    def poll(self, max_records: int, *, timeout_s: float) -> list[Record]:
        """Up to `max_records`, waiting up to `timeout_s` for the first. Raises BrokerError."""
        with broker_errors("reading", self._connection):
            try:
                batch = self._client.poll(timeout_ms=max(timeout_s, 0.005) * 1_000, max_records=max_records)
            except OffsetOutOfRangeError as e:
                self._replace(list(e.args[0]))
                return []
        return [record_of(read, self._names[read.topic]) for records in batch.values() for read in records]

    def check(self) -> None:
        """Raises BrokerError where the broker does not answer; `poll` only waits for it, and goes on then."""
        with broker_errors("reading", self._connection):
            self._client.end_offsets(list(self._client.assignment())[:1], timeout_ms=CHECK_MS)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close(autocommit=False, timeout_ms=2_000)

    def _place(self, start: Start | Offsets) -> None:
        counts = {name: self._count(full, name) for full, name in self._names.items()}
        if isinstance(start, Mapping):
            keys = [self._connection.partition(at) for at in start]
        else:
            keys = [KafkaPartition(full, n) for full, name in self._names.items() for n in range(counts[name])]
        self._client.assign(keys)
        oldest = self._client.beginning_offsets(keys, timeout_ms=self._connection.answer_timeout_ms)
        ends = self._client.end_offsets(keys, timeout_ms=self._connection.answer_timeout_ms)
        places = dict(oldest if start == "oldest" else ends)
        if isinstance(start, Mapping):
            wanted = {self._connection.partition(at): offset for at, offset in start.items()}
            self.lost = frozenset(self._ours(k) for k, n in wanted.items() if not oldest[k] <= n <= ends[k])
            places = {key: oldest[key] if self._ours(key) in self.lost else wanted[key] for key in keys}
        elif isinstance(start, int):
            found = self._client.offsets_for_times(
                dict.fromkeys(keys, start), timeout_ms=self._connection.answer_timeout_ms
            )
            places |= {key: place.offset for key, place in found.items() if place is not None}
        for key, place in places.items():
            self._client.seek(key, place)
        self._behind = {key: ends[key] for key in keys if places[key] < ends[key]}

    def _replace(self, keys: Sequence[Any]) -> None:
        """What was to be read next of these partitions is gone: they go on at the oldest there is."""
        for key, place in self._client.beginning_offsets(keys, timeout_ms=self._connection.answer_timeout_ms).items():
            self._client.seek(key, place)
        self._behind = {key: end for key, end in self._behind.items() if key not in keys}
        self.lost |= {self._ours(key) for key in keys}

    def _count(self, full: str, name: str) -> int:
        numbers = self._client.partitions_for_topic(full)
        if not numbers:
            raise missing_topic(self._connection, name)
        return len(numbers)

    def _position(self, key: Any) -> int:
        found = self._client.position(key, timeout_ms=self._connection.answer_timeout_ms)
        return -1 if found is None else int(found)

    def _ours(self, key: Any) -> TopicPartition:
        return TopicPartition(self._names[key.topic], key.partition)
