"""What delivery costs: exactly once against at least once, and the loop against the bare client. On one real broker.

*Exactly once*: 20 KB come in, 2 KB go out, through `broker.loop.Loop` over eight partitions; beside it the same loop on
a broker that sends without a transaction, waits for its sends and then commits the offsets, at the same cadence. The
handler does nothing, which is where transactions cost most.

*Reading*: records of 1 MiB through the loop with a handler that gives nothing, beside the client's own consumer,
read-committed and with the same fetch sizes.

Every round reads the same records again, in turns, for at least two seconds each; the clock starts after the first
batch and stops with the last commit. How long a result takes from end to end is `tests.benchmarks.bench_latency`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer as Client
from kafka import KafkaProducer
from kafka.structs import OffsetAndMetadata

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.consumer import FETCH_BYTES, PARTITION_BYTES
from framecue.broker.kafka.producer import producer_config
from framecue.broker.kafka.topics import create_topics
from framecue.broker.loop import BUSY_S, IDLE_S, Loop
from framecue.broker.protocol import Consumer, Message, Notes, Offsets, Record
from framecue.broker.stage import MapStage, Outputs
from tests.benchmarks.report import Row
from tests.support.servers import new_kafka, running

ROUNDS = 5
SMALL, SMALL_BYTES, RESULT_BYTES = 24_000, 20_000, 2_000
LARGE, LARGE_BYTES = 800, 1 << 20
PARTITIONS = 8


def run() -> list[Row]:
    """Both, on a broker of their own."""
    with TemporaryDirectory() as folder, running(new_kafka(Path(folder))) as server:
        return [_exactly_once(server.bootstrap), _reading(server.bootstrap)]


def _exactly_once(bootstrap: str) -> Row:
    connection = _filled(bootstrap, count=SMALL, size=SMALL_BYTES)
    with opened(KafkaBroker(connection)) as exact, opened(AtLeastOnce(connection)) as least:
        ratio = in_turns(
            lambda: through_loop(exact, Giving(), count=SMALL), lambda: through_loop(least, Giving(), count=SMALL)
        )
    return Row("exactly once, records/s", ratio, "x", ">= 0.80", "the same loop at least once, 20 KB in, 2 KB out")


def _reading(bootstrap: str) -> Row:
    connection = _filled(bootstrap, count=LARGE, size=LARGE_BYTES)
    with opened(KafkaBroker(connection)) as broker:
        ratio = in_turns(
            lambda: through_loop(broker, Taking(), count=LARGE), lambda: through_client(connection, count=LARGE)
        )
    return Row("the loop, bytes/s", ratio, "x", ">= 0.80", "kafka-python's own consumer, records of 1 MiB")


def in_turns(task: Callable[[], float], beside: Callable[[], float], *, rounds: int = ROUNDS) -> float:
    """The rate of `task` as a multiple of what runs beside it: the median over pairs run back to back."""
    task(), beside()  # what is cold is not what is asked
    return median(task() / beside() for _ in range(rounds))


class Giving(MapStage):
    """Gives a small result for each record."""

    def handle(self, batch: Sequence[Record]) -> Outputs:
        return Outputs(tuple((Message("annotations", r.key, bytes(RESULT_BYTES)),) for r in batch))


class Taking(MapStage):
    """Gives nothing."""

    def handle(self, batch: Sequence[Record]) -> Outputs:
        return Outputs(((),) * len(batch))


class AtLeastOnce(KafkaBroker):
    """Sends, waits until all is written, then commits the offsets: a crash in between does the work again."""

    def __init__(self, connection: KafkaConnection) -> None:
        super().__init__(connection)
        self._producer = KafkaProducer(**connection.client(), **producer_config(connection))

    def commit(
        self,
        messages: Sequence[Message],
        *,
        consumer: Consumer | None = None,
        offsets: Offsets | None = None,
        notes: Notes | None = None,
    ) -> None:
        sends = [self._checked(message) for message in messages]
        sent: list[Any] = [
            self._producer.send(s.topic, s.message.value, key=s.message.key, partition=s.partition) for s in sends
        ]
        self._producer.flush()
        for future in sent:
            future.get(timeout=0)
        if offsets and consumer is not None:
            client: Any = consumer._client  # type: ignore[attr-defined]
            client.commit(
                {
                    self._connection.partition(at): OffsetAndMetadata(offset, (notes or {}).get(at, ""), -1)
                    for at, offset in offsets.items()
                }
            )

    def close(self) -> None:
        self._producer.close()
        super().close()


@contextmanager
def opened(broker: KafkaBroker) -> Iterator[KafkaBroker]:
    """`broker`, closed at the end."""
    try:
        yield broker
    finally:
        broker.close()


def through_loop(broker: KafkaBroker, stage: MapStage, *, count: int) -> float:
    """Records per second, as a group that has read nothing yet; the loop runs as services run it."""
    committed, first, began_s = 0, 0, 0.0
    with ThreadPoolExecutor(1) as executor:
        loop = Loop(broker, stage, group=f"bench-{uuid4().hex[:8]}", topics=["segments"], executor=executor)
        try:
            while committed < count:
                outputs = loop.run_once(timeout_s=BUSY_S if loop._working or loop._chores else IDLE_S)
                committed += 0 if outputs is None else len(outputs.given)
                if outputs is not None and not first:
                    first, began_s = committed, time.perf_counter()
            return (committed - first) / (time.perf_counter() - began_s)
        finally:
            loop.close()


def through_client(connection: KafkaConnection, *, count: int) -> float:
    """Records per second, by the client alone."""
    client = Client(
        **connection.client(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        group_id=f"{connection.prefix}bench-{uuid4().hex[:8]}",
        max_partition_fetch_bytes=PARTITION_BYTES,
        fetch_max_bytes=FETCH_BYTES,
    )
    read, first, began_s = 0, 0, 0.0
    try:
        client.subscribe([connection.topic("segments")])
        client.partitions_for_topic(connection.topic("segments"))
        while read < count:
            read += sum(len(records) for records in client.poll(timeout_ms=1_000).values())
            if read and not first:
                first, began_s = read, time.perf_counter()
        return (read - first) / (time.perf_counter() - began_s)
    finally:
        client.close()


def _filled(bootstrap: str, *, count: int, size: int) -> KafkaConnection:
    """Topics of their own, with `count` records of `size` random bytes in `segments`."""
    connection = KafkaConnection(bootstrap, prefix=f"bench-{uuid4().hex[:8]}.")
    create_topics(connection, partitions=PARTITIONS, replication=1)
    producer = KafkaProducer(**connection.client(), **producer_config(connection))
    try:
        for begin in range(0, count, 32):
            for i in range(begin, min(begin + 32, count)):
                producer.send(
                    connection.topic("segments"), os.urandom(size), key=b"cam%d" % i, partition=i % PARTITIONS
                )
            producer.flush()
    finally:
        producer.close()
    return connection


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
