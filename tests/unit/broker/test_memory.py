"""What the memory twin promises beyond the contract: one order for all, time from the clock given, bounded memory."""

from __future__ import annotations

import threading

import pytest

from framecue.broker.memory import KEEP_BYTES, MemoryBroker
from framecue.broker.protocol import Message, TopicPartition
from framecue.clock import FixedClock
from framecue.errors import BrokerError
from framecue.schemas.topics import TOPICS


def test_poll_gives_records_in_the_order_they_were_written_across_partitions() -> None:
    broker = MemoryBroker(partitions=3)
    sent = [("segments", 2), ("subtitles", 0), ("segments", 1), ("subtitles", 2), ("segments", 0)]
    broker.commit([Message(topic, b"k", b"", partition=p) for topic, p in sent])
    records = broker.consumer("g", ["subtitles", "segments"]).poll(10)
    assert [(r.topic, r.partition) for r in records] == sent


def test_records_carry_the_time_of_the_clock() -> None:
    clock = FixedClock(5)
    broker = MemoryBroker(partitions=1, clock=clock)
    broker.commit([Message("segments", b"k", b"")])
    clock.advance(10)
    broker.commit([Message("segments", b"k", b"")])
    assert [r.timestamp_ms for r in broker.consumer("g", ["segments"]).poll(10)] == [5, 15]


def test_records_have_no_time_without_a_clock() -> None:
    broker = MemoryBroker(partitions=1)
    broker.commit([Message("segments", b"k", b"")])
    assert [r.timestamp_ms for r in broker.consumer("g", ["segments"]).poll(1)] == [None]


def test_a_topic_drops_its_oldest_records_once_they_are_read() -> None:
    broker = MemoryBroker(partitions=1, keep_bytes={"media": 20})
    consumer = broker.consumer("g", ["media"])
    broker.commit([Message("media", b"", bytes(10), partition=0) for _ in range(5)])
    at = TopicPartition("media", 0)
    kept = [[_there(broker, i) for i in range(5)]]
    for read in (1, 4, 5):
        broker.commit([], consumer=_polled(consumer), offsets={at: read})
        kept.append([_there(broker, i) for i in range(5)])
    assert kept == [
        [True] * 5,  # nobody has read anything
        [False, True, True, True, True],
        [False, False, False, True, True],  # within the bound again
        [False, False, False, True, True],
    ]


def test_every_topic_that_may_grow_has_a_bound() -> None:
    assert {name for name, topic in TOPICS.items() if not topic.compacted} == KEEP_BYTES.keys()


def test_headers_count_against_the_bound() -> None:
    broker = MemoryBroker(partitions=1, keep_bytes={"deadletter": 100})
    for _ in range(3):
        broker.commit([Message("deadletter", b"k", b"", (("reason", bytes(60)),))])
    assert broker.fetch("deadletter", partition=0, offset=0) is None
    assert [r.offset for r in broker.consumer("g", ["deadletter"]).poll(10)] == [2]


def _there(broker: MemoryBroker, offset: int) -> bool:
    return broker.fetch("media", partition=0, offset=offset) is not None


def _polled(consumer):
    consumer.poll(0)
    return consumer


def test_a_topic_that_nobody_reads_is_bounded_too() -> None:
    broker = MemoryBroker(partitions=1, keep_bytes={"features": 20})
    broker.commit([Message("features", b"", bytes(10), partition=0) for _ in range(5)])
    kept = [broker.fetch("features", partition=0, offset=i) is not None for i in range(5)]
    assert kept == [False, False, False, True, True]


def test_a_topic_without_a_bound_keeps_everything() -> None:
    broker = MemoryBroker(partitions=1)
    consumer = broker.consumer("g", ["annotations"])
    broker.commit([Message("annotations", b"k", b"1")])
    record = consumer.poll(1)[0]
    broker.commit([], consumer=consumer, offsets={TopicPartition("annotations", record.partition): 1})
    assert broker.fetch("annotations", partition=record.partition, offset=0) == record


def test_a_new_group_starts_at_the_oldest_record_that_is_left() -> None:
    broker = MemoryBroker(partitions=1, keep_bytes={"media": 0})
    first = broker.consumer("g", ["media"])
    broker.commit([Message("media", b"k", b"1")])
    first.poll(1)
    broker.commit([Message("media", b"k", b"2")], consumer=first, offsets={TopicPartition("media", 0): 1})
    second = broker.consumer("h", ["media"])
    assert [r.value for r in second.poll(10)] == [b"2"]
    second.seek(TopicPartition("media", 0), 0)
    assert [r.value for r in second.poll(10)] == [b"2"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda broker, mine: broker.consumer("g", ["media"]), "rebalanced"),
        (lambda broker, mine: (broker.consumer("g", ["media"]), mine.poll(0)), "no longer owns media 1"),
        (lambda broker, mine: mine.close(), "is open"),
    ],
    ids=["a member joined since the last poll", "the partition went to it", "left the group"],
)
def test_commit_is_fenced_when_the_group_changed(change, complaint: str) -> None:
    broker = MemoryBroker(partitions=2)
    consumer = broker.consumer("g", ["media"])
    broker.commit([Message("media", b"k", b"", partition=1)])
    consumer.poll(1)
    change(broker, consumer)
    with pytest.raises(BrokerError, match=complaint):
        broker.commit([Message("features", b"k", b"")], consumer=consumer, offsets={TopicPartition("media", 1): 1})
    assert broker.consumer("h", ["features"]).poll(1) == []


def test_many_writers_lose_nothing() -> None:
    broker = MemoryBroker(partitions=2)
    writers = [
        threading.Thread(
            target=lambda n=n: [broker.commit([Message("media", b"k", b"%d %d" % (n, i))]) for i in range(50)]
        )
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    values = [r.value for r in broker.consumer("g", ["media"]).poll(1000)]
    assert sorted(values) == sorted(b"%d %d" % (n, i) for n in range(4) for i in range(50))
    assert [v for v in values if v.startswith(b"0 ")] == [b"0 %d" % i for i in range(50)]
