"""Atomic commits: one transactional producer, made again after everything that leaves it in doubt.

The client does not say reliably which errors end a producer, and its commit may return although nothing was committed
(a transaction that timed out, a batch that expired): so every send is checked before the offsets, and after any error
but a refused offset the producer is dropped. What was decided is what the broker says. It must not know any consumer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
)

from framecue.broker.kafka.connection import KafkaConnection, broker_error, broker_errors, connect
from framecue.broker.protocol import Message, size
from framecue.broker.watchdog import Watchdog
from framecue.errors import BrokerError
from framecue.schemas.topics import DEADLETTER_MAX_BYTES, Topic

FRAMING_BYTES = 64 << 10
"""What a batch may have beside keys, values and headers: 61 bytes, and about 10 for each header."""
REQUEST_BYTES = DEADLETTER_MAX_BYTES + FRAMING_BYTES
IN_FLIGHT_BYTES = 32 << 20
"""What the client holds at most: it copies, and never says that it has enough."""
FENCED = (ProducerFencedError, InvalidProducerEpochError)
"""Another producer took the transactional id, or the broker gave up on our transaction; the class says not which."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Send:
    """One message with the broker's names."""

    topic: str
    partition: int
    message: Message


@dataclass(frozen=True)
class GroupOffsets:
    """Offsets for the client: `offsets` by its partitions, `membership` as the consumer has it now."""

    offsets: Mapping[Any, Any]
    membership: Any


@dataclass(frozen=True)
class Written:
    """What a commit wrote: the client's metadata of each send, and when (monotonic) all of it was there."""

    records: Sequence[Any]
    at_s: float


class FencedError(BrokerError):
    """Somebody has the transactional id, or the transaction took too long."""


def topic_bytes(row: Topic) -> int:
    """The most that a batch of `row` may have on the broker."""
    return row.max_bytes + FRAMING_BYTES


def producer_config(connection: KafkaConnection) -> dict[str, Any]:
    """What every producer of ours is configured with."""
    return {
        "max_request_size": REQUEST_BYTES,
        "batch_size": 64 << 10,
        "retry_backoff_ms": 5,  # the default of 100 is what each transaction would wait for the one before
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
        "max_block_ms": connection.answer_timeout_ms,
        "request_timeout_ms": connection.answer_timeout_ms,
    }


def abandon(producer: Any) -> None:
    """Ends `producer` without waiting for a broker; what it has not written is lost."""
    producer._unregister_cleanup()
    producer._sender.force_close()  # its close() waits for ever, or raises and leaves the thread
    producer._sender.join(2.0)
    producer._closed = True


class Transactions:
    """Commits under one transactional id. From any thread, one at a time."""

    def __init__(self, connection: KafkaConnection, transactional_id: str, watchdog: Watchdog) -> None:
        self._connection, self._id, self._watchdog = connection, transactional_id, watchdog
        self._patience_ms = connection.transaction_timeout_ms + connection.answer_timeout_ms // 2
        self._producer: Any = None
        self._lock = threading.RLock()
        self._closed = False

    def ready(self) -> None:
        """Ends what a predecessor left open, so that its offsets are decided. Raises BrokerError."""
        with self._lock, self._watchdog.guard("opening a producer"):
            self._opened()

    def commit(self, sends: Sequence[Send], group: GroupOffsets | None) -> Written:
        """All of `sends` and `group`, or neither; raises BrokerError when it was neither or nobody knows."""
        with self._lock, self._watchdog.guard("a commit"):
            # 1. Begin late: until the end of this the broker holds back what others read behind it.
            producer = self._opened()
            try:
                producer.begin_transaction()
                # 2. Send, and check every send: only then is it known to be in this transaction.
                written = self._send(producer, sends)
                # 3. Offsets, fenced by the generation of the group.
                transaction = producer._transaction_manager
                if group is not None:
                    self._wait(transaction.send_offsets_to_transaction(group.offsets, group.membership))
                # 4. Commit. From here on only the broker knows.
                self._wait(transaction.begin_commit())
            except BaseException as e:
                raise self._failed(e) from e
        return written

    def close(self) -> None:
        """Ends the producer. A transaction that is open is aborted by the broker, or by the next owner of the id."""
        with self._lock:
            self._closed = True
            self._drop()

    def _opened(self) -> Any:
        if self._closed:
            raise BrokerError("this broker is closed")
        if self._producer is None:
            timeout_ms = self._connection.transaction_timeout_ms
            producer = connect(
                KafkaProducer,
                self._connection,
                transactional_id=self._id,
                transaction_timeout_ms=timeout_ms,
                delivery_timeout_ms=timeout_ms + self._connection.answer_timeout_ms,
                **producer_config(self._connection),
            )
            try:
                with broker_errors("opening a producer", self._connection):
                    producer.init_transactions()
            except BaseException:
                abandon(producer)
                raise
            self._producer = producer
        return self._producer

    def _send(self, producer: Any, sends: Sequence[Send]) -> Written:
        timeout_s = self._patience_ms / 1_000
        futures, pending = [], 0
        for send in sends:
            if pending and pending + size(send.message) > IN_FLIGHT_BYTES:
                producer.flush(timeout_s)
                pending = 0
            futures.append(hand_over(producer, send))
            pending += size(send.message)
        producer.flush(timeout_s)
        return Written([future.get(timeout=0) for future in futures], time.monotonic())

    def _wait(self, result: Any) -> None:
        """Waits for the sender, which the client's own methods do without a limit."""
        self._producer._sender.wakeup()
        if not result.wait(self._patience_ms):
            raise KafkaTimeoutError("no answer")

    def _failed(self, e: BaseException) -> BaseException:
        """What to raise for `e`, after what it makes of the producer: the one place where that is decided."""
        if isinstance(e, CommitFailedError | FencedInstanceIdError):
            self._abort()  # the transaction is refused, the producer is well
        else:
            self._drop()
        if isinstance(e, CommitFailedError):
            return BrokerError(f"the group was rebalanced, and nothing was committed: {e}")
        if isinstance(e, FENCED):
            return FencedError("the transaction took too long, or another worker has its place; nothing was committed")
        if isinstance(e, KafkaError | ValueError):  # ValueError: metadata that changed under us
            return broker_error("the outcome of the commit is not known", e, self._connection)
        return e

    def _abort(self) -> None:
        try:
            transaction = self._producer._transaction_manager
            self._wait(transaction.begin_abort())
            transaction._pending_txn_offset_commits.clear()  # else the refused ones come with the next transaction
        except KafkaError as e:
            _log.warning("%s: the abort failed (%s), the producer is made again", self._id, type(e).__name__)
            self._drop()

    def _drop(self) -> None:
        if self._producer is not None:
            abandon(self._producer)
            self._producer = None


def hand_over(producer: Any, send: Send) -> Any:
    """The client's future of `send`."""
    message = send.message
    return producer.send(
        send.topic, message.value, key=message.key, headers=list(message.headers), partition=send.partition
    )
