"""Forgetting a stream: the log first, Redis last, and plain words about what stays."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record, TopicPartition
from framecue.clock import FixedClock
from framecue.errors import SetupError
from framecue.schemas.codec import unpack_media
from framecue.schemas.media import ForgetMedia
from framecue.schemas.topics import ANNOTATIONS, CAPTION_REQUESTS, MEDIA, TOPICS, partition_of
from framecue.store.memory import MemoryStore
from framecue_services.cli.forget import forget, kept, run_forget
from tests.unit.cli.results import annotation

PARTITIONS = 4
STREAM = "film"
AT = partition_of(STREAM, PARTITIONS)


class Services:
    """The groups as a broker tells of them. Whoever runs has read to the end each time it is asked after."""

    def __init__(self, broker: MemoryBroker, *, running: frozenset[str]) -> None:
        self._broker, self._running = broker, running
        self.asked: list[str] = []

    def progress(self, group: str) -> Mapping[TopicPartition, int]:
        self.asked.append(group)
        if group not in self._running:
            return {}
        return {TopicPartition(t, AT): self._broker.end(t, partition=AT) for t in TOPICS if TOPICS[t].keyed}


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(partitions=PARTITIONS, clock=FixedClock(1000))


@pytest.fixture
def store() -> MemoryStore:
    filled = MemoryStore(FixedClock(1000))
    filled.put([annotation(0)])
    return filled


def everyone(broker: MemoryBroker) -> Services:
    return Services(broker, running=frozenset({"fusion", "captioner", "projector"}))


def test_a_record_ends_the_run_before_redis_is_cleared(broker: MemoryBroker, store: MemoryStore) -> None:
    done = forget(broker, store, STREAM, progress=everyone(broker).progress, wait_s=0)
    records: list[Record] = list(broker.read(MEDIA.name, partition=AT))
    assert [unpack_media(r.value or b"") for r in records] == [ForgetMedia(stream=STREAM, at_ms=1000)]
    assert done.behind == ()
    assert store.latest(STREAM) is None


@pytest.mark.parametrize(
    ("running", "unread", "behind"),
    [
        ({"captioner", "projector"}, (), ("fusion",)),
        ({"fusion", "projector"}, (CAPTION_REQUESTS.name,), ("captioner",)),
        ({"fusion", "captioner"}, (ANNOTATIONS.name,), ("projector",)),
        ({"fusion"}, (), ()),  # nothing of the stream waits for the others
        (set(), (CAPTION_REQUESTS.name, ANNOTATIONS.name), ("fusion", "captioner", "projector")),
    ],
)
def test_who_has_not_come_along_is_named_and_redis_is_cleared_all_the_same(
    broker: MemoryBroker, store: MemoryStore, running: set[str], unread: tuple[str, ...], behind: tuple[str, ...]
) -> None:
    for topic in unread:
        broker.commit([Message(topic, STREAM.encode(), b"x"), Message(topic, b"another", b"x", partition=AT)])
    services = Services(broker, running=frozenset(running))
    assert forget(broker, store, STREAM, progress=services.progress, wait_s=0).behind == behind
    assert store.latest(STREAM) is None


def test_what_waits_of_other_streams_is_not_waited_for(broker: MemoryBroker, store: MemoryStore) -> None:
    broker.commit([Message(ANNOTATIONS.name, b"another", b"x", partition=AT)])
    services = Services(broker, running=frozenset({"fusion"}))
    assert forget(broker, store, STREAM, progress=services.progress, wait_s=0).behind == ()


def test_an_impossible_id_is_refused_before_anything_is_written(broker: MemoryBroker, store: MemoryStore) -> None:
    with pytest.raises(SetupError, match="stream id"):
        forget(broker, store, "a b", progress=everyone(broker).progress)
    assert all(broker.end(MEDIA.name, partition=p) == 0 for p in range(PARTITIONS))


def test_what_stays_is_said_topic_by_topic(broker: MemoryBroker, store: MemoryStore) -> None:
    out = Console(file=io.StringIO(), width=200, markup=False)
    retention_ms = {"segments": 21_600_000, "features": 30 * 86_400_000, "media": -1, "snapshots": -1, "control": -1}
    services = Services(broker, running=frozenset())
    progress = services.progress
    code = run_forget(broker, store, STREAM, progress=progress, retention_ms=retention_ms, wait_s=0, console=out)
    assert isinstance(out.file, io.StringIO)
    said = out.file.getvalue()
    assert code == 1
    assert "framecue run fusion" in said
    assert dict(kept(retention_ms)) == {
        "segments": "6 hours",
        "features": "30 days",
        "media": "for ever: its retention.ms has no end",
        "snapshots": "until the broker compacts it, within minutes to hours",
    }
    assert all(f"{topic:<17} {how_long}" in said for topic, how_long in kept(retention_ms))
    assert run_forget(broker, store, STREAM, progress=everyone(broker).progress, retention_ms={}, console=out) == 0
