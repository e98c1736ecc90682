"""Sending without a transaction: what clients that push use. Idempotent, in order, bounded. It reads nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from framecue.broker.kafka.connection import Admin, KafkaConnection, broker_error, connect, missing_topic
from framecue.broker.kafka.producer import IN_FLIGHT_BYTES, Send, abandon, hand_over, producer_config
from framecue.broker.protocol import Message, check_size, known_topic, placed, size
from framecue.errors import BrokerError

DELIVERY_MS = 120_000
"""How long a message is tried again while the broker is away."""


class KafkaSender:
    """Messages to the broker, at least once and in the order of each partition. Used by one thread only."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._counts: dict[str, int] = {}
        self._in_flight: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._unwritten: list[KafkaError] = []
        self._producer: Any = self._connect()

    def send(self, message: Message) -> None:
        """Hands `message` over, waiting while too much is in flight; raises BrokerError as `Broker.commit` does."""
        check_size(message)
        send = Send(self._connection.topic(message.topic), placed(message, self._partitions(message.topic)), message)
        while self._in_flight and (self._bytes + size(message) > IN_FLIGHT_BYTES or self._in_flight[0][0].is_done):
            self._take_oldest()
        if self._unwritten:
            self.flush()
        try:
            self._in_flight.append((hand_over(self._producer, send), size(message)))
        except (KafkaError, ValueError) as e:
            raise broker_error(f"sending to {message.topic}", e, self._connection) from e
        self._bytes += size(message)

    def flush(self) -> None:
        """Waits until all is written; raises BrokerError when something was not, and forgets it."""
        while self._in_flight:
            self._take_oldest()
        if not self._unwritten:
            return
        failed, self._unwritten = self._unwritten, []
        abandon(self._producer)  # after a failure nobody knows what it still takes
        self._producer = None
        self._producer = self._connect()
        raise BrokerError(f"{len(failed)} messages were not written: {type(failed[0]).__name__}: {failed[0]}")

    def close(self) -> None:
        """Ends without waiting: what must be written is flushed before."""
        if self._producer is not None:
            abandon(self._producer)
            self._producer = None

    def _connect(self) -> Any:
        return connect(
            KafkaProducer,
            self._connection,
            **producer_config(self._connection),
            enable_idempotence=True,
            delivery_timeout_ms=DELIVERY_MS,
        )

    def _take_oldest(self) -> None:
        future, taken = self._in_flight.popleft()
        self._bytes -= taken
        try:
            future.get(timeout=DELIVERY_MS / 1_000 + 10)
        except KafkaError as e:
            self._unwritten.append(e)

    def _partitions(self, topic: str) -> int:
        name = known_topic(topic).name
        if name not in self._counts:
            admin = Admin(self._connection)
            try:
                self._counts |= admin.counts([name])
            finally:
                admin.close()
        if name not in self._counts:
            raise missing_topic(self._connection, name)
        return self._counts[name]
