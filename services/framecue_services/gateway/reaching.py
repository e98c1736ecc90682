"""A broker that may be away, now or at the start: met when it is first needed, and again after a moment.

The gateway starts and serves what needs no Kafka while there is none. While it is away one call a second tries, and all
others hear at once that it is: else each would wait for as long as Kafka is given to answer, and hold a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from framecue.broker.protocol import Broker, Consumer, Handover, Message, Notes, Offsets, Record, Start, Tail
from framecue.errors import BrokerError, FrameCueError

AGAIN_S = 1.0
"""After a failed attempt: until then everybody hears of that one, and nobody waits."""
SLOW_S = 2.0
"""What fails sooner was refused, which says nothing of whether the broker is there."""
T = TypeVar("T")


class ReachedBroker:
    """`broker.protocol.Broker`: the one that `connect` gives, once it does; until then BrokerError."""

    def __init__(self, connect: Callable[[], Broker]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._broker: Broker | None = None
        self._failed: FrameCueError | None = None
        self._failed_at_s = 0.0
        self._is_closed = False

    def partitions(self, topic: str) -> int:
        return self._ask(lambda broker: broker.partitions(topic))

    def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
        return self._ask(lambda broker: broker.consumer(group, topics, before_handover=before_handover))

    def commit(
        self,
        messages: Sequence[Message],
        *,
        consumer: Consumer | None = None,
        offsets: Offsets | None = None,
        notes: Notes | None = None,
    ) -> None:
        self._ask(lambda broker: broker.commit(messages, consumer=consumer, offsets=offsets, notes=notes))

    def fetch(self, topic: str, *, partition: int, offset: int) -> Record | None:
        return self._ask(lambda broker: broker.fetch(topic, partition=partition, offset=offset))

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        records = self._ask(lambda broker: broker.read(topic, partition=partition, start=start))
        while True:
            try:
                record = self._ask(lambda _: next(records))
            except StopIteration:
                return
            yield record

    def tail(self, topics: Sequence[str], *, start: Start | Offsets = "now") -> Tail:
        return self._ask(lambda broker: broker.tail(topics, start=start))

    def end(self, topic: str, *, partition: int) -> int:
        return self._ask(lambda broker: broker.end(topic, partition=partition))

    def offset_at(self, topic: str, *, partition: int, at_ms: int) -> int:
        return self._ask(lambda broker: broker.offset_at(topic, partition=partition, at_ms=at_ms))

    def now_ms(self) -> int | None:
        return self._reached().now_ms()  # asks nobody

    def close(self) -> None:
        """Ends the broker that was reached, and reaches no other."""
        with self._lock:
            self._is_closed, broker, self._broker = True, self._broker, None
        if broker is not None:
            broker.close()

    def _ask(self, question: Callable[[Broker], T]) -> T:
        """What the broker says; BrokerError at once where it is away and somebody tried a moment ago."""
        broker, began_s = self._reached(), time.monotonic()
        with self._lock:
            if (away := self._failed) is not None:
                if began_s - self._failed_at_s < AGAIN_S:
                    raise away.with_traceback(None)
                self._failed_at_s = began_s  # this one tries
        try:
            answer = question(broker)
        except BrokerError as e:
            if time.monotonic() - began_s > SLOW_S:
                self._failed, self._failed_at_s = e, time.monotonic()
            raise
        self._failed = None
        return answer

    def _reached(self) -> Broker:
        if (broker := self._broker) is not None:
            return broker
        with self._lock:
            if self._broker is None:
                self._broker = self._try()
            return self._broker

    def _try(self) -> Broker:
        if self._is_closed:
            raise BrokerError("the gateway is ending")
        if self._failed is not None and time.monotonic() - self._failed_at_s < AGAIN_S:
            raise self._failed.with_traceback(None)
        try:
            broker = self._connect()
            self._failed = None
            return broker
        except FrameCueError as e:  # SetupError too: what a person mends now may be right in a moment
            self._failed, self._failed_at_s = e, time.monotonic()
            raise
