"""The broker on Apache Kafka: `broker.protocol.Broker` with everything of a batch in one transaction.

It must not know the settings, and the only file that knows which errors a commit survives is `producer`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

from framecue.broker.kafka.clock import BrokerTime
from framecue.broker.kafka.connection import Admin, KafkaConnection, displaced, missing_topic
from framecue.broker.kafka.consumer import KafkaConsumer
from framecue.broker.kafka.producer import FencedError, Send, Transactions, Written
from framecue.broker.kafka.reading import BULK_BYTES, SINGLE_BYTES, Readers
from framecue.broker.kafka.tail import KafkaTail
from framecue.broker.protocol import (
    Consumer,
    Handover,
    Message,
    Notes,
    Offsets,
    Record,
    Start,
    TopicPartition,
    check_size,
    known_topic,
    placed,
)
from framecue.broker.watchdog import Watchdog
from framecue.clock import Clock, SystemClock
from framecue.errors import BrokerError
from framecue.schemas.topics import TOPICS

LATEST = -1
"""What Kafka calls the offset after the last record."""


class KafkaBroker:
    """`broker.protocol.Broker`. Raises BrokerError when no broker answers.

    `slot` says which worker of its groups this is: a worker that comes back under it has its place at once, and ends
    what it left open. Without one, members and transactions have names of their own for once: for commands and tests.
    `clock` says the time until the broker has.
    """

    def __init__(self, connection: KafkaConnection, *, slot: str | None = None, clock: Clock | None = None) -> None:
        self._connection, self._slot, self._clock = connection, slot, clock or SystemClock()
        self._once = uuid4().hex
        self._watchdog = Watchdog(3 * connection.transaction_timeout_ms / 1_000 + 60)
        self._admin = Admin(connection)
        self._single = Readers(connection, fetch_bytes=SINGLE_BYTES)
        self._bulk = Readers(connection, fetch_bytes=BULK_BYTES)
        self._transactions: dict[str | None, Transactions] = {}
        self._counts: dict[str, int] = {}
        self._time = BrokerTime()
        self._lock = threading.Lock()
        try:
            self._counts.update(self._admin.counts(list(TOPICS)))
        except BaseException:
            self._admin.close()  # whoever tries again makes another one
            raise

    def partitions(self, topic: str) -> int:
        name = known_topic(topic).name
        if name not in self._counts:
            self._counts.update(self._admin.counts([name]))
        if name not in self._counts:
            raise missing_topic(self._connection, name)
        return self._counts[name]

    def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
        for topic in topics:
            self.partitions(topic)
        transactions = self._transactions_of(self._connection.group(group))
        transactions.ready()  # before anything is read: what a predecessor left open is decided
        return KafkaConsumer(
            self._connection,
            group,
            topics=topics,
            slot=self._slot,
            admin=self._admin,
            settle=transactions.ready,
            before_handover=before_handover,
        )

    def commit(
        self,
        messages: Sequence[Message],
        *,
        consumer: Consumer | None = None,
        offsets: Offsets | None = None,
        notes: Notes | None = None,
    ) -> None:
        sends = [self._checked(message) for message in messages]
        ours = consumer if isinstance(consumer, KafkaConsumer) else None
        group = None
        if offsets:
            if ours is None:
                raise BrokerError("offsets can be committed only through a consumer of this broker that is open")
            group = ours.group_offsets(offsets, notes or {})
        elif not sends:
            return
        try:
            # Also without offsets under the group's id: what a worker leaves open when it dies, its successor ends.
            self._learn(sends, self._transactions_of(ours and ours.group).commit(sends, group))
        except FencedError as e:
            if ours is not None and ours.is_displaced():
                raise displaced(self._connection) from e
            raise

    def fetch(self, topic: str, *, partition: int, offset: int) -> Record | None:
        return self._single.fetch(self._checked_place(topic, partition), offset)

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        at = self._checked_place(topic, partition)
        return self._bulk.read(at, start, end=self._admin.offset(at, LATEST))

    def tail(self, topics: Sequence[str], *, start: Start | Offsets = "now") -> KafkaTail:
        return KafkaTail(self._connection, topics, start=start)

    def end(self, topic: str, *, partition: int) -> int:
        return self._admin.offset(self._checked_place(topic, partition), LATEST)

    def offset_at(self, topic: str, *, partition: int, at_ms: int) -> int:
        at = self._checked_place(topic, partition)
        found = self._admin.offset(at, max(at_ms, 0))
        return found if found >= 0 else self._admin.offset(at, LATEST)

    def now_ms(self) -> int | None:
        with self._lock:
            known = self._time.now_ms(time.monotonic())
        return self._clock.now_ms() if known is None else known

    def close(self) -> None:
        for transactions in self._transactions.values():
            transactions.close()
        for readers in (self._single, self._bulk):
            readers.close()
        self._admin.close()
        self._watchdog.close()

    def _transactions_of(self, group: str | None) -> Transactions:
        """Those of a group; those of none are this process's own: they need no successor, and are over at once."""
        with self._lock:
            if group not in self._transactions:
                owner = self._once if group is None or self._slot is None else self._slot
                name = f"{group or self._connection.group('messages')}-{owner}"
                self._transactions[group] = Transactions(self._connection, name, self._watchdog)
            return self._transactions[group]

    def _checked(self, message: Message) -> Send:
        """`message` with its place; raises BrokerError for what Kafka would refuse, before anything is sent."""
        partition = placed(message, self.partitions(message.topic))
        check_size(message)
        if message.key is None and message.value is None:
            raise BrokerError(f"a message for {message.topic} has neither key nor value")
        return Send(self._connection.topic(message.topic), partition, message)

    def _checked_place(self, topic: str, partition: int) -> TopicPartition:
        if not 0 <= partition < self.partitions(topic):
            raise BrokerError(f"{topic} has no partition {partition}")
        return TopicPartition(topic, partition)

    def _learn(self, sends: Sequence[Send], written: Written) -> None:
        times = [
            record.timestamp
            for send, record in zip(sends, written.records, strict=True)
            if TOPICS[send.message.topic].log_append_time
        ]
        if times:
            with self._lock:
                self._time.learn(max(times), written.at_s)
