"""What every broker keeps: one suite, run on the memory twin and on a real Kafka.

It must not know anything that `broker.protocol` does not promise: offsets may skip, partitions may interleave.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Generator, Sequence
from itertools import pairwise

import pytest

from framecue.broker.kafka.topics import delete_topics
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Broker, Consumer, Message, Record, Tail, TopicPartition
from framecue.clock import FixedClock
from framecue.errors import BrokerError
from framecue.schemas.topics import DEADLETTER, MEDIA, TOPICS, partition_of
from tests.support.brokers import PARTITIONS, TidyKafkaBroker, new_topics

PATIENCE_S = 30.0
"""What should come has come by then; nothing waits that long where all is well."""


@pytest.fixture(params=["memory", "kafka"])
def broker(request: pytest.FixtureRequest) -> Generator[Broker]:
    """A broker whose topics are empty."""
    if request.param == "memory":
        yield MemoryBroker(partitions=PARTITIONS, clock=FixedClock(1_000))
        return
    connection = new_topics(request.getfixturevalue("kafka"))
    broker = TidyKafkaBroker(connection)
    yield broker
    broker.close()
    delete_topics(connection)


def messages(topic: str, *values: bytes, key: bytes = b"cam1") -> list[Message]:
    return [Message(topic, key, value) for value in values]


def read(consumer: Consumer, count: int, *, paused: Collection[TopicPartition] = ()) -> list[Record]:
    """`count` records, or fewer where all is read that is owned and not `paused`."""
    out: list[Record] = []
    until_s = time.monotonic() + PATIENCE_S
    while len(out) < count and time.monotonic() < until_s:
        records = consumer.poll(count - len(out), timeout_s=0.02)
        out += records
        owned = consumer.assignment().keys() - set(paused)
        if not records and owned and all(consumer.position(at) >= consumer.end(at) for at in owned):
            break
    return out


def settle(*members: Consumer, topics: Sequence[str] = ("media",)) -> None:
    """Polls, without reading, until `members` share all partitions of `topics`, each with some."""
    everything = {TopicPartition(topic, p) for topic in topics for p in range(PARTITIONS)}
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        for member in members:
            member.poll(0, timeout_s=0.01)
        owned = [set(member.assignment()) for member in members]
        if all(owned) and sum(map(len, owned)) == len(everything) and set().union(*owned) == everything:
            return
    raise AssertionError(f"the group did not settle: {[member.assignment() for member in members]}")


def after(records: Sequence[Record]) -> dict[TopicPartition, int]:
    return {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}


def test_partitions_are_those_of_the_table(broker: Broker) -> None:
    counts = {name: broker.partitions(name) for name in TOPICS}
    assert {counts[t.name] for t in TOPICS.values() if t.keyed} == {PARTITIONS}


def test_partitions_raises_for_a_topic_that_is_not_in_the_table(broker: Broker) -> None:
    with pytest.raises(BrokerError, match="no topic 'segmetns'"):
        broker.partitions("segmetns")


def test_a_record_reads_back_as_it_was_written(broker: Broker) -> None:
    written = Message("media", b"cam1", b"\x00\xff", (("a", b"1"), ("a", b"2")))
    consumer = broker.consumer("g", ["media"])
    broker.commit([written])
    (record,) = read(consumer, 1)
    assert (record.topic, record.key, record.value, record.headers) == ("media", b"cam1", b"\x00\xff", written.headers)


def test_a_key_finds_its_partition_by_murmur2(broker: Broker) -> None:
    keys = [f"cam{i}" for i in range(20)]
    broker.commit([Message("media", key.encode(), b"") for key in keys])
    records = read(broker.consumer("g", ["media"]), len(keys))
    assert {r.key.decode(): r.partition for r in records if r.key} == {k: partition_of(k, PARTITIONS) for k in keys}


def test_a_message_goes_where_it_says(broker: Broker) -> None:
    broker.commit([Message("media", None, b"tick", partition=3)])
    (record,) = read(broker.consumer("g", ["media"]), 1)
    assert (record.partition, record.key) == (3, None)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Message("nowhere", b"k", b""), "no topic 'nowhere'"),
        (Message("media", None, b""), "neither key nor partition"),
        (Message("media", b"k", b"", partition=PARTITIONS), f"there is no {PARTITIONS}"),
        (Message("media", b"k", bytes(MEDIA.max_bytes)), f"{MEDIA.max_bytes + 1} bytes; the topic takes"),
        (Message("deadletter", b"k", b"", (("h", bytes(DEADLETTER.max_bytes)),)), "the topic takes"),
    ],
    ids=["unknown topic", "no place", "no such partition", "value too large", "headers count too"],
)
def test_commit_writes_nothing_when_one_message_is_refused(broker: Broker, message: Message, complaint: str) -> None:
    consumer = broker.consumer("g", ["media"])
    with pytest.raises(BrokerError, match=complaint):
        broker.commit([Message("media", b"cam1", b"good"), message])
    assert read(consumer, 1) == []


def test_offsets_grow_in_the_order_of_the_messages(broker: Broker) -> None:
    broker.commit(messages("media", *(bytes([i]) for i in range(10))))
    broker.commit(messages("media", *(bytes([i]) for i in range(10, 20))))
    records = read(broker.consumer("g", ["media"]), 20)
    assert [r.value for r in records] == [bytes([i]) for i in range(20)]
    assert all(a.offset < b.offset for a, b in pairwise(records))


def test_poll_gives_at_most_what_was_asked_for(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2", b"3"))
    consumer = broker.consumer("g", ["media"])
    assert [r.value for r in read(consumer, 2)] == [b"1", b"2"]
    assert [r.value for r in read(consumer, 2)] == [b"3"]


def test_poll_wakes_when_another_thread_writes(broker: Broker) -> None:
    consumer = broker.consumer("g", ["media"])
    writer = threading.Thread(target=lambda: broker.commit(messages("media", b"late")))
    writer.start()
    records = consumer.poll(1, timeout_s=10)
    writer.join()
    assert [r.value for r in records] == [b"late"]


def test_a_group_goes_on_where_it_committed(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2", b"3"))
    first = broker.consumer("g", ["media"])
    done = read(first, 2)
    broker.commit(messages("features", b"out"), consumer=first, offsets=after(done))
    first.close()
    assert [r.value for r in read(broker.consumer("g", ["media"]), 3)] == [b"3"]


def test_what_was_read_and_not_committed_comes_again(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2"))
    first = broker.consumer("g", ["media"])
    assert len(read(first, 2)) == 2
    first.close()
    assert [r.value for r in read(broker.consumer("g", ["media"]), 2)] == [b"1", b"2"]


def test_rewinding_to_committed_reads_again_after_a_failed_commit(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2"))
    consumer = broker.consumer("g", ["media"])
    first, second = read(consumer, 2)
    broker.commit([], consumer=consumer, offsets=after([first]))
    with pytest.raises(BrokerError):
        broker.commit([Message("media", b"k", bytes(MEDIA.max_bytes))], consumer=consumer, offsets=after([second]))
    (at,) = after([first])
    assert consumer.committed(at) == second.offset
    consumer.seek(at, consumer.committed(at))
    assert [r.value for r in read(consumer, 2)] == [b"2"]


def test_groups_read_for_themselves(broker: Broker) -> None:
    broker.commit(messages("media", b"1"))
    one = broker.consumer("one", ["media"])
    broker.commit([], consumer=one, offsets=after(read(one, 1)))
    assert len(read(broker.consumer("two", ["media"]), 1)) == 1


def test_two_members_share_the_partitions_and_equal_numbers_go_together(broker: Broker) -> None:
    members = [broker.consumer("g", ["segments", "subtitles"]) for _ in range(2)]
    settle(*members, topics=["segments", "subtitles"])
    owned = [member.assignment() for member in members]
    assert owned[0].keys() | owned[1].keys() == {
        TopicPartition(t, p) for t in ("segments", "subtitles") for p in range(PARTITIONS)
    }
    assert not owned[0].keys() & owned[1].keys()
    by_topic: defaultdict[str, set[int]] = defaultdict(set)
    for at in owned[0]:
        by_topic[at.topic].add(at.partition)
    assert by_topic["segments"] == by_topic["subtitles"] != set()


def test_what_a_member_leaves_goes_to_the_others(broker: Broker) -> None:
    broker.commit([Message("media", None, bytes([p]), partition=p) for p in range(PARTITIONS)])
    stays, leaves = (broker.consumer("g", ["media"]) for _ in range(2))
    settle(stays, leaves)
    mine = read(stays, PARTITIONS)
    leaves.close()
    settle(stays)
    assert {r.partition for r in mine + read(stays, PARTITIONS)} == set(range(PARTITIONS))


def test_a_paused_partition_keeps_still(broker: Broker) -> None:
    broker.commit([Message("media", None, b"", partition=p) for p in range(PARTITIONS)])
    consumer = broker.consumer("g", ["media"])
    settle(consumer)
    at = TopicPartition("media", 0)
    consumer.pause([at])
    assert {r.partition for r in read(consumer, PARTITIONS, paused=[at])} == set(range(1, PARTITIONS))
    consumer.resume([at])
    assert {r.partition for r in read(consumer, 1)} == {0}


def test_position_reaches_the_end_when_caught_up(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2", key=b"cam1"))
    consumer = broker.consumer("g", ["media"])
    at = TopicPartition("media", partition_of("cam1", PARTITIONS))
    read(consumer, 1)
    assert consumer.position(at) < consumer.end(at)
    read(consumer, 1)
    assert read(consumer, 1) == []
    assert consumer.position(at) >= consumer.end(at)
    elsewhere = TopicPartition("media", (at.partition + 1) % PARTITIONS)
    assert consumer.ends([at, elsewhere]) == {at: consumer.end(at), elsewhere: 0}
    assert consumer.ends([]) == {}


def test_position_and_seek_raise_where_nothing_is_owned(broker: Broker) -> None:
    consumer = broker.consumer("g", ["media"])
    elsewhere = TopicPartition("features", 0)
    with pytest.raises(BrokerError, match="does not own features 0"):
        consumer.position(elsewhere)
    with pytest.raises(BrokerError, match="does not own features 0"):
        consumer.seek(elsewhere, 0)


def test_a_member_that_left_cannot_commit(broker: Broker) -> None:
    broker.commit(messages("media", b"1"))
    consumer = broker.consumer("g", ["media"])
    done = read(consumer, 1)
    consumer.close()
    with pytest.raises(BrokerError):
        broker.commit(messages("features", b"out"), consumer=consumer, offsets=after(done))
    assert read(broker.consumer("h", ["features"]), 1) == []


def test_fetch_gives_one_record_by_its_place(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2"))
    records = read(broker.consumer("g", ["media"]), 2)
    fetched = [broker.fetch("media", partition=r.partition, offset=r.offset) for r in records]
    assert fetched == records


def test_fetch_gives_none_where_there_is_nothing(broker: Broker) -> None:
    assert broker.fetch("media", partition=0, offset=10_000) is None


def test_notes_stay_beside_the_offset_until_the_next_commit(broker: Broker) -> None:
    broker.commit(messages("media", b"1", b"2"))
    consumer = broker.consumer("g", ["media"])
    first, second = read(consumer, 2)
    (at,) = after([first])
    assert consumer.note(at) == ""
    broker.commit([], consumer=consumer, offsets=after([first]), notes={at: "attempt 2"})
    assert consumer.note(at) == "attempt 2"
    broker.commit([], consumer=consumer, offsets=after([second]))
    assert consumer.note(at) == ""


def test_a_partition_that_came_back_has_another_number(broker: Broker) -> None:
    stays = broker.consumer("g", ["media"])
    settle(stays)
    before = dict(stays.assignment())
    other = broker.consumer("g", ["media"])
    settle(stays, other)
    gone = before.keys() - stays.assignment().keys()
    other.close()
    settle(stays)
    assert {at: n != before[at] for at, n in stays.assignment().items()} == {at: at in gone for at in before}


def test_read_gives_what_is_committed_up_to_now(broker: Broker) -> None:
    broker.commit([Message("media", None, bytes([n]), partition=1) for n in range(5)])
    records = list(broker.read("media", partition=1))
    assert [r.value for r in records] == [bytes([n]) for n in range(5)]
    assert [r.value for r in broker.read("media", partition=1, start=records[3].offset)] == [b"\x03", b"\x04"]
    assert list(broker.read("media", partition=1, start=broker.end("media", partition=1))) == []
    assert list(broker.read("media", partition=0)) == []


def test_what_is_written_after_end_stands_at_or_after_it(broker: Broker) -> None:
    broker.commit([Message("media", None, b"old", partition=1)])
    end = broker.end("media", partition=1)
    broker.commit([Message("media", None, b"new", partition=1)])
    assert [r.value for r in broker.read("media", partition=1, start=end)] == [b"new"]


def test_offset_at_finds_the_first_record_of_a_time(broker: Broker) -> None:
    broker.commit([Message("media", None, b"1", partition=1)])
    (record,) = broker.read("media", partition=1)
    assert record.timestamp_ms is not None
    assert broker.offset_at("media", partition=1, at_ms=record.timestamp_ms) == record.offset
    later = broker.offset_at("media", partition=1, at_ms=record.timestamp_ms + 3_600_000)
    assert later == broker.end("media", partition=1)


def test_the_brokers_time_is_not_ahead_of_what_it_writes_next(broker: Broker) -> None:
    broker.commit([Message("media", None, b"1", partition=1)])
    now_ms = broker.now_ms()
    broker.commit([Message("media", None, b"2", partition=1)])
    *_, last = broker.read("media", partition=1)
    assert now_ms is not None
    assert last.timestamp_ms is not None
    assert last.timestamp_ms - 1_000 <= now_ms <= last.timestamp_ms


def followed(tail: Tail, count: int) -> list[bytes | None]:
    """The values of `count` records, or of all where they are fewer."""
    out: list[bytes | None] = []
    until_s = time.monotonic() + PATIENCE_S
    while (len(out) < count or not tail.caught_up()) and time.monotonic() < until_s:
        out += [record.value for record in tail.poll(10, timeout_s=0.1)]
    return out


def test_a_tail_goes_on_at_the_places_it_is_given_and_reads_no_other_partition(broker: Broker) -> None:
    """Who was told how far it read misses nothing and reads nothing twice, whatever lies between two offsets."""
    for value in (b"a", b"b", b"c"):
        broker.commit([Message("events", b"k", value, partition=1), Message("events", b"k", b"other", partition=2)])
    first = broker.tail(["events"], start="oldest")
    records = [r for r in _all(first, 6) if r.partition == 1]
    after_a = {TopicPartition("events", 1): records[0].offset + 1}
    again = broker.tail((), start=after_a)
    assert (again.lost, dict(again.positions()), again.caught_up()) == (frozenset(), after_a, False)
    assert followed(again, 2) == [b"b", b"c"]
    assert again.log_id == first.log_id != b""
    first.close()
    again.close()


def test_a_tail_says_which_places_there_are_none_of_and_goes_on_at_the_oldest(broker: Broker) -> None:
    """As after a topic was deleted and made again: what was read last there says nothing any more."""
    broker.commit([Message("events", b"k", b"a", partition=1), Message("events", b"k", b"b", partition=2)])
    ends = {p: broker.end("events", partition=p) for p in (1, 2)}
    places = {TopicPartition("events", 1): ends[1] + 100, TopicPartition("events", 2): ends[2]}
    tail = broker.tail((), start=places)
    assert (tail.lost, followed(tail, 1)) == ({TopicPartition("events", 1)}, [b"a"])
    tail.close()


def _all(tail: Tail, count: int) -> list[Record]:
    out: list[Record] = []
    until_s = time.monotonic() + PATIENCE_S
    while len(out) < count and time.monotonic() < until_s:
        out += tail.poll(10, timeout_s=0.1)
    return out
