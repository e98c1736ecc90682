"""What goes wrong on a real Kafka, and what the broker makes of it: nothing half done, nobody stuck, nothing believed.

It must not know how the client says so: only what callers see.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.producer import Send, Transactions
from framecue.broker.kafka.sending import KafkaSender
from framecue.broker.kafka.tail import KafkaTail
from framecue.broker.kafka.topics import check_topics, create_topics, delete_topics
from framecue.broker.protocol import Consumer, Message, Record, TopicPartition
from framecue.broker.watchdog import Watchdog
from framecue.errors import BrokerError, DisplacedError, SetupError
from framecue_services.cli.local.kafka_server import KafkaServer
from tests.support.brokers import PARTITIONS, TidyKafkaBroker, new_topics

PATIENCE_S = 40.0
SESSION_S = 30.0
"""Nothing here waits for it: what takes less is said at once, however busy the machine is."""
AT = TopicPartition("media", 1)
OUT = Message("features", None, b"out", partition=1)

# The client forgets the sockets of attempts that failed; they go when their memory does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def forgotten_sockets() -> Generator[None]:
    yield
    gc.collect()


@pytest.fixture
def connection(kafka: str) -> Generator[KafkaConnection]:
    """Topics of this test, with a transaction time-out that it can wait for."""
    connection = new_topics(kafka, transaction_timeout_ms=2_000, session_timeout_ms=int(1_000 * SESSION_S))
    yield connection
    delete_topics(connection)


@pytest.fixture
def worker(connection: KafkaConnection) -> Generator[Callable[[str], TidyKafkaBroker]]:
    """Makes the broker of the worker with this slot."""
    made: list[TidyKafkaBroker] = []

    def make(slot: str) -> TidyKafkaBroker:
        made.append(TidyKafkaBroker(connection, slot=slot))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


def wait_for(what: Callable[[], object], *polled: Consumer) -> None:
    """Until `what` holds; the consumers stay in their group meanwhile."""
    until_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until_s, "it did not come to that"
        for consumer in polled:
            consumer.poll(0, timeout_s=0.02)


def owns_all(consumer: Consumer) -> Callable[[], bool]:
    return lambda: len(consumer.assignment()) == PARTITIONS


def read_one(consumer: Consumer) -> Record:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        if records := consumer.poll(1, timeout_s=0.1):
            return records[0]
    raise AssertionError("no record came")


def written(broker: TidyKafkaBroker) -> list[bytes | None]:
    return [record.value for record in broker.read("features", partition=1)]


def test_work_of_a_member_that_the_group_gave_up_is_refused_and_nobody_sees_it(
    worker: Callable[[str], TidyKafkaBroker],
) -> None:
    gone, stays = worker("0"), worker("1")
    gone.commit([Message("media", None, b"in", partition=1)])
    old = gone.consumer("g", ["media"])
    record = read_one(old)
    membership = old._client.group_metadata()  # type: ignore[attr-defined]
    stays._admin.remove_member(membership.group_id, membership.group_instance_id, membership.member_id)
    new = stays.consumer("g", ["media"])
    wait_for(owns_all(new), new)
    with pytest.raises(BrokerError, match="rebalanced"):
        gone.commit([OUT], consumer=old, offsets={AT: record.offset + 1})
    assert (written(stays), new.committed(AT)) == ([], 0)
    gone.commit([OUT])  # the producer is well
    assert written(stays) == [b"out"]


def test_offsets_that_were_refused_do_not_come_with_the_next_ones(worker: Callable[[str], TidyKafkaBroker]) -> None:
    """The client keeps them over an abort: records whose results were never written would count as done."""
    broker, other = worker("0"), worker("1")
    broker.commit([Message("media", None, b"in", partition=1)])
    consumer = broker.consumer("g", ["media"])
    record, before = read_one(consumer), dict(consumer.assignment())
    membership = consumer._client.group_metadata()  # type: ignore[attr-defined]
    other._admin.remove_member(membership.group_id, membership.group_instance_id, membership.member_id)
    with pytest.raises(BrokerError, match="rebalanced"):
        broker.commit([OUT], consumer=consumer, offsets={AT: record.offset + 1})
    wait_for(lambda: owns_all(consumer)() and not before.items() & consumer.assignment().items(), consumer)
    broker.commit((), consumer=consumer, offsets={TopicPartition("media", 2): 0})
    assert (written(broker), consumer.committed(AT)) == ([], 0)


def test_a_producer_that_lost_its_id_is_made_again(
    connection: KafkaConnection, worker: Callable[[str], TidyKafkaBroker]
) -> None:
    broker = worker("0")
    consumer = broker.consumer("g", ["media"])
    wait_for(owns_all(consumer), consumer)
    usurper = Transactions(connection, f"{connection.group('g')}-0", Watchdog(60))
    usurper.ready()
    with pytest.raises(BrokerError) as refused:
        broker.commit([OUT], consumer=consumer, offsets={AT: 0})
    assert not isinstance(refused.value, DisplacedError)
    broker.commit([OUT], consumer=consumer, offsets={AT: 0})
    usurper.close()
    assert written(broker) == [b"out"]


def test_a_transaction_that_timed_out_is_never_reported_as_committed(
    connection: KafkaConnection, worker: Callable[[str], TidyKafkaBroker]
) -> None:
    broker = worker("0")
    transactions = Transactions(connection, "slow", Watchdog(60))

    class Slow(list[Send]):
        """The second message is sent when the broker has given up on the first."""

        def __iter__(self) -> Iterator[Send]:
            yield self[0]
            wait_for(lambda: broker.end("features", partition=1) == 2)
            yield self[1]

    lost = Slow([Send(connection.topic("features"), 1, Message("features", None, b"lost"))] * 2)
    with pytest.raises(BrokerError):
        transactions.commit(lost, None)
    transactions.commit([Send(connection.topic("features"), 1, OUT)], None)
    transactions.close()
    consumer = broker.consumer("reader", ["features"])
    assert (read_one(consumer).value, written(broker)) == (b"out", [b"out"])
    place = TopicPartition("features", 1)
    wait_for(lambda: consumer.position(place) >= consumer.end(place), consumer)


def test_a_record_that_the_broker_refuses_leaves_a_producer_that_works(
    connection: KafkaConnection, worker: Callable[[str], TidyKafkaBroker]
) -> None:
    broker = worker("0")
    small = {"max.message.bytes": "1000"}
    broker._admin.ask(
        "limiting",
        lambda client: client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, connection.topic("features"), configs=small)]
        ),
    )
    refused: list[str] = []

    def is_refused() -> bool:
        try:
            broker.commit([Message("features", None, bytes(5_000), partition=2)])
        except BrokerError as e:
            refused.append(str(e))
        return bool(refused)

    wait_for(is_refused)  # the broker takes a moment to make the setting its own
    assert "TooLarge" in refused[0]
    broker.commit([OUT])
    assert written(broker) == [b"out"]


def test_a_worker_whose_slot_another_one_takes_is_told(worker: Callable[[str], TidyKafkaBroker]) -> None:
    first, second = worker("0"), worker("0")
    old = first.consumer("g", ["media"])
    wait_for(owns_all(old), old)
    new = second.consumer("g", ["media"])
    wait_for(owns_all(new), new)
    with pytest.raises(DisplacedError, match="FRAMECUE_SLOT"):
        first.commit([OUT], consumer=old, offsets={AT: 0})
    with pytest.raises(DisplacedError, match="FRAMECUE_SLOT"):
        wait_for(lambda: False, old)
    old.close()  # and does not take the place from its successor
    second.commit([OUT], consumer=new, offsets={AT: 0})
    assert written(second) == [b"out"]


def test_a_worker_that_comes_back_has_its_partitions_at_once(worker: Callable[[str], TidyKafkaBroker]) -> None:
    killed = worker("0")
    before = killed.consumer("g", ["media"])
    wait_for(owns_all(before), before)
    after = worker("0").consumer("g", ["media"])
    started_s = time.monotonic()
    wait_for(owns_all(after), after)
    assert time.monotonic() - started_s < SESSION_S


def test_what_a_closed_member_owned_goes_on_at_once(worker: Callable[[str], TidyKafkaBroker]) -> None:
    leaves, stays = worker("0").consumer("g", ["media"]), worker("1").consumer("g", ["media"])
    wait_for(lambda: len(leaves.assignment()) == len(stays.assignment()) == PARTITIONS // 2, leaves, stays)
    started_s = time.monotonic()
    leaves.close()
    wait_for(owns_all(stays), stays)
    assert time.monotonic() - started_s < SESSION_S


def test_the_last_commit_before_a_handover_counts(worker: Callable[[str], TidyKafkaBroker]) -> None:
    broker, newcomer = worker("0"), worker("1")
    told: list[Collection[TopicPartition]] = []

    def finish(leaving: Collection[TopicPartition]) -> None:
        told.append(leaving)
        broker.commit([OUT], consumer=owner, offsets=dict.fromkeys(leaving, 7))

    owner = broker.consumer("g", ["media"], before_handover=finish)
    wait_for(owns_all(owner), owner)
    other = newcomer.consumer("g", ["media"])
    wait_for(lambda: len(other.assignment()) == PARTITIONS // 2, owner, other)
    assert [set(leaving) for leaving in told] == [set(other.assignment())]
    assert {other.committed(at) for at in other.assignment()} == {7}
    with pytest.raises(BrokerError, match="no longer owns"):
        broker.commit([OUT], consumer=owner, offsets=dict.fromkeys(other.assignment(), 8))
    assert written(newcomer) == [b"out"]


def test_who_is_left_out_while_it_joins_hands_nothing_over(worker: Callable[[str], TidyKafkaBroker]) -> None:
    """The client says nothing of it: it joins as somebody new, and believes to own what it did."""
    told: list[Collection[TopicPartition]] = []
    first, second, third = worker("0"), worker("1"), worker("2")
    out = first.consumer("g", ["media"], before_handover=told.append)
    slow = second.consumer("g", ["media"])
    wait_for(lambda: len(out.assignment()) == len(slow.assignment()) == PARTITIONS // 2, out, slow)
    told.clear()
    membership = out._client.group_metadata()  # type: ignore[attr-defined]
    newcomer = third.consumer("g", ["media"])
    wait_for(lambda: out._client._coordinator.rejoining, out, newcomer)  # type: ignore[attr-defined]
    third._admin.remove_member(membership.group_id, membership.group_instance_id, membership.member_id)
    wait_for(lambda: len(slow.assignment()) + len(newcomer.assignment()) == PARTITIONS, slow, newcomer)
    members = (out, slow, newcomer)
    wait_for(lambda: sum(len(m.assignment()) for m in members) == PARTITIONS and out.assignment(), *members)
    assert told == []


def test_a_broker_that_stands_still_or_goes_away_costs_no_more_than_a_commit(own_kafka: KafkaServer) -> None:
    limits = {"transaction_timeout_ms": 1_000, "session_timeout_ms": 6_000, "answer_timeout_ms": 3_000}
    connection = new_topics(own_kafka.bootstrap, **limits)
    broker = TidyKafkaBroker(connection, slot="0")
    broker.commit([Message("media", None, b"in", partition=1)])
    consumer = broker.consumer("g", ["media"])
    record = read_one(consumer)
    for cut, mend in (
        (lambda: os.kill(own_kafka.pid, signal.SIGSTOP), lambda: os.kill(own_kafka.pid, signal.SIGCONT)),
        (own_kafka.kill, own_kafka.start),
    ):
        cut()
        with pytest.raises(BrokerError):
            broker.commit([OUT], consumer=consumer, offsets={AT: record.offset + 1})
        mend()
        until_s = time.monotonic() + PATIENCE_S
        while not _committed(broker, consumer, record):
            assert time.monotonic() < until_s, "the broker is back, and nothing goes through"
    broker.close()
    assert set(written_by(connection)) == {b"out"}


def _committed(broker: TidyKafkaBroker, consumer: Consumer, record: Record) -> bool:
    try:
        consumer.poll(0, timeout_s=0.1)
        broker.commit([OUT], consumer=consumer, offsets={AT: record.offset + 1})
    except BrokerError:
        return False
    return True


def written_by(connection: KafkaConnection) -> list[bytes | None]:
    broker = TidyKafkaBroker(connection)
    try:
        return written(broker)
    finally:
        broker.close()


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at 127\.0\.0\.1:1; start one with `framecue up`"):
        TidyKafkaBroker(KafkaConnection("127.0.0.1:1", connect_timeout_ms=500))


def test_topics_that_are_not_there_name_their_cure(kafka: str) -> None:
    empty = KafkaConnection(kafka, prefix="nothing-here.")
    broker = TidyKafkaBroker(empty)
    for asked in (lambda: broker.partitions("media"), lambda: broker.consumer("g", ["media"])):
        with pytest.raises(SetupError, match="framecue topics create"):
            asked()
    with pytest.raises(SetupError, match="framecue topics create"):
        KafkaTail(empty, ["media"])
    broker.close()


def test_a_topic_that_is_missing_gets_as_many_partitions_as_the_others(connection: KafkaConnection) -> None:
    broker = TidyKafkaBroker(connection)
    name = connection.topic("events")
    broker._admin.ask("losing a topic", lambda client: client.delete_topics([name]))
    wait_for(lambda: "events" not in broker._admin.counts(["events"]))
    assert create_topics(connection, partitions=PARTITIONS + 1, replication=1) == [name]
    assert broker._admin.counts(["events"]) == {"events": PARTITIONS}
    broker.close()


def test_topics_are_made_once_and_what_differs_is_found(connection: KafkaConnection) -> None:
    assert create_topics(connection, partitions=PARTITIONS, replication=1) == []
    assert check_topics(connection) == []
    broker = TidyKafkaBroker(connection)
    wrong = {"message.timestamp.type": "CreateTime", "retention.ms": "1000", "max.message.bytes": "1000"}
    resource: Any = ConfigResource(ConfigResourceType.TOPIC, connection.topic("segments"), configs=wrong)
    broker._admin.ask("spoiling", lambda client: client.alter_configs([resource]))
    wait_for(lambda: len(check_topics(connection)) == 3)
    broker.close()
    found = {finding.wrong.split()[0] for finding in check_topics(connection)}
    assert found == set(wrong)


def test_what_is_sent_without_a_transaction_reaches_whoever_follows(connection: KafkaConnection) -> None:
    sender = KafkaSender(connection)
    sender.send(Message("events", b"cam1", b"before"))
    sender.flush()
    now, oldest = KafkaTail(connection, ["events"]), KafkaTail(connection, ["events"], start="oldest")
    sender.send(Message("events", b"cam1", b"after"))
    sender.flush()
    sender.close()
    followed = {"now": _values(now, 1), "oldest": _values(oldest, 2)}
    assert followed == {"now": [b"after"], "oldest": [b"before", b"after"]}


def _values(tail: KafkaTail, count: int) -> list[bytes | None]:
    out: list[bytes | None] = []
    until_s = time.monotonic() + PATIENCE_S
    while len(out) < count and time.monotonic() < until_s:
        out += [record.value for record in tail.poll(10, timeout_s=0.1)]
    tail.close()
    return out
