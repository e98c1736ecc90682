"""Crash-only: a partition that is taken over goes on from the log as if nothing had happened, to the byte.

Logs are drawn by seed and folded once straight and once by workers that die after any batch, whose commits fail, and
that hand partitions to each other. What is compared is everything that stands on the topics they write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Literal
from uuid import uuid4

import pytest

from framecue.analysis.settings import MachineSettings
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import create_topics, delete_topics
from framecue.broker.loop import Loop, LoopSettings
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Broker, Message, Record, TopicPartition
from framecue.errors import SetupError
from framecue.models.protocols import Model
from framecue.schemas.annotation import Annotation
from framecue.schemas.codec import pack, unpack_partition
from framecue.schemas.event import Event
from framecue.schemas.features import MEDIA_OFFSET_HEADER
from framecue.schemas.media import Cue, ForgetMedia, Media, Origin, RulesMedia, SegmentMedia, TextMedia, Tick
from framecue.schemas.results import read_result
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CUES_MAX
from framecue.schemas.snapshot import PARTITION_KEY
from framecue.schemas.topics import partition_of
from framecue_services.fusion.worker import FusionWorker
from tests.support.brokers import TidyKafkaBroker
from tests.support.encoders import COLOURS, ColourSpace, light_model
from tests.support.films import cue, segment
from tests.support.script import assert_numbered

PARTITIONS = 2
SEEDS = range(4)
STREAMS = ("cam1", "cam2", "cam3")
WRITTEN = ("features", "annotations", "events", "caption-requests", "deadletter")
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "blue")),),
    events=(
        EventRule(name="blue", picture=("blue",)),
        EventRule(name="goal", text=("/goal/",), picture=("red",), combine="both", when="settled"),
    ),
)
OTHER_RULES = RuleSet(events=(EventRule(name="blue", picture=("blue",)), EventRule(name="said", text=("goal",))))


def test_streams_lie_on_both_partitions() -> None:
    assert {partition_of(stream, PARTITIONS) for stream in STREAMS} == {0, 1}


# logs


@dataclass
class Camera:
    """One stream that is made up as it goes."""

    stream: str
    random: Random
    session: int = 0
    index: int = 0
    told: int = 0

    def film(self, now_ms: int, *, end: bool = False) -> SegmentMedia:
        colours = [self.random.choice(COLOURS[3:6]) for _ in range(2)]
        cues = [self.cue(0, 1500)] if self.random.random() < 0.3 else []
        made = segment(self.index, colours, stream=self.stream, cues=cues, end=end, session=f"s{self.session}")
        self.index += 1
        return made.model_copy(update={"origin": made.origin.model_copy(update={"at_ms": now_ms})})

    def cue(self, lo_ms: int, hi_ms: int) -> Cue:
        at = max(0, self.index * 2000 + self.random.randint(lo_ms, hi_ms))
        return cue(at, at + self.random.choice([500, 3000]), self.random.choice(["a goal", "nothing"]))

    def words(self, now_ms: int, lo_ms: int, hi_ms: int, *, session: str | None = None) -> TextMedia:
        self.told += 1
        origin = Origin(topic="subtitles", partition=0, offset=self.told, at_ms=now_ms)
        cues = tuple(self.cue(lo_ms, hi_ms) for _ in range(self.random.randint(0, 3)))
        return TextMedia(stream=self.stream, origin=origin, session=session, warnings=("odd",), cues=cues)

    def something(self, now_ms: int) -> list[SegmentMedia | TextMedia | ForgetMedia]:
        match self.random.randrange(14):
            case 0:
                self.index += 1  # a segment that never comes
                return [self.film(now_ms)]
            case 1:
                one = self.film(now_ms)
                return [one, one]
            case 2:
                first, second = self.film(now_ms), self.film(now_ms)
                return [second, first]
            case 3:
                ahead = self.words(now_ms, 0, 4000, session=f"s{self.session + 1}")  # waits for its picture
                self.session, self.index = self.session + 1, 0
                return [ahead, self.words(now_ms, 0, 4000, session=f"s{self.session}"), self.film(now_ms)]
            case 4:
                over = self.film(now_ms, end=True)
                self.session, self.index = self.session + 1, 0
                return [over]
            case 5:
                return [ForgetMedia(stream=self.stream, at_ms=now_ms)]
            case 6:
                return [self.words(now_ms, 10_000, 60_000)]
            case 7 | 8:
                return [self.words(now_ms, -9000, 0)]
            case _:
                return [self.film(now_ms)]


def drawn(seed: int, *, steps: int = 45) -> list[Message]:
    """Whatever may stand on `media`."""
    random = Random(seed)
    cameras = [Camera(stream, random) for stream in STREAMS]
    now_ms, out = 1_700_000_000_000, list[Message]()
    for _ in range(steps):
        now_ms += 1000
        camera = random.choice(cameras)
        out += [on_its_partition(media) for media in camera.something(now_ms)]
        out += ticks(now_ms, caught_up=random.random() < 0.8)
        match random.randrange(20):
            case 0 | 1:
                out += everywhere(RulesMedia(rules=random.choice([RULES, OTHER_RULES])))
            case 2:
                for silence_ms in (11_000, 12_000, random.choice([13_000, 330_000])):
                    out += ticks(now_ms + silence_ms)
                now_ms += silence_ms
            case 3:
                out.append(Message("media", b"cam1", b"no media record", partition=random.randrange(PARTITIONS)))
    return out


def on_its_partition(media: SegmentMedia | TextMedia | ForgetMedia) -> Message:
    return Message("media", media.stream.encode(), pack(media), partition=partition_of(media.stream, PARTITIONS))


def everywhere(media: Media) -> list[Message]:
    return [Message("media", None, pack(media), partition=p) for p in range(PARTITIONS)]


def ticks(at_ms: int, *, caught_up: bool = True) -> list[Message]:
    made = (Tick(topic=t, partition=0, caught_up=caught_up, at_ms=at_ms) for t in ("segments", "subtitles"))
    return [message for tick in made for message in everywhere(tick)]


# workers


@dataclass
class Fleet:
    """Workers over one log, by partition, and the time they are told."""

    log: Sequence[Message]
    random: Random
    every_ms: int | None = 0
    model: Model = field(default_factory=light_model)
    other_space: Literal["refuse", "adopt"] = "refuse"
    now: float = 0.0

    def __post_init__(self) -> None:
        self.broker = MemoryBroker(partitions=PARTITIONS)
        self.broker.commit(self.log)
        self.consumer = self.broker.consumer("fusion", ["media"])
        self.consumer.poll(0)
        self.workers = [self.worker(), self.worker()]
        self.owners = dict.fromkeys(sorted(self.consumer.assignment()), 0)
        for at in self.owners:
            self.workers[0].take(at, "")

    def worker(self) -> FusionWorker:
        return FusionWorker(
            self.model,
            settings=MachineSettings(),
            broker=self.broker,
            snapshot_every_ms=self.every_ms,
            now_s=lambda: self.now,
            other_space=self.other_space,
        )

    def run(self, max_records: int, *, dies: float = 0.0, moves: float = 0.0, fails: float = 0.0) -> None:
        """Batch after batch; in between workers die, partitions move to the other worker, commits fail."""
        while batch := self.consumer.poll(self.random.randint(1, max_records)):
            self.now += 1
            for at, owner in self.owners.items():
                if mine := [r for r in batch if r.partition == at.partition]:
                    self.step(at, mine, fails=self.random.random() < fails)
                if self.random.random() < moves:
                    self.workers[owner].leave(at)
                    self.owners[at] = 1 - owner
                    self.workers[1 - owner].take(at, "")
            for n in range(len(self.workers)):
                if self.random.random() < dies:
                    self.reborn(n)

    def reborn(self, n: int) -> None:
        self.workers[n] = self.worker()
        for at in (at for at, owner in self.owners.items() if owner == n):
            self.workers[n].take(at, "")

    def step(self, at: TopicPartition, batch: Sequence[Record], *, fails: bool = False) -> None:
        worker = self.workers[self.owners[at]]
        messages = worker.handle(batch).messages
        if fails:
            worker.leave(at)
            worker.take(at, "")
            messages = worker.handle(batch).messages
        self.broker.commit(messages, consumer=self.consumer, offsets={at: batch[-1].offset + 1})

    def written(self) -> dict[TopicPartition, list[tuple[object, ...]]]:
        return written(self.broker)

    def results(self, partition: int) -> list[Annotation | Event]:
        """Annotations, then events, each in the order of publication."""
        read = [
            read_result(topic, r.value)
            for topic in ("annotations", "events")
            for r in self.broker.read(topic, partition=partition)
        ]
        return [r for r in read if isinstance(r, Annotation | Event)]

    def kept(self, partition: int) -> dict[bytes, bytes | None]:
        """What compaction would leave of the snapshots."""
        return {r.key or b"": r.value for r in self.broker.read("snapshots", partition=partition)}


def written(broker: Broker) -> dict[TopicPartition, list[tuple[object, ...]]]:
    """Everything that fusion has written, bar snapshots."""
    return {
        TopicPartition(topic, p): [(r.key, r.value, r.headers) for r in broker.read(topic, partition=p)]
        for topic in WRITTEN
        for p in range(PARTITIONS)
    }


def straight(log: Sequence[Message]) -> Fleet:
    fleet = Fleet(log, Random(0), every_ms=None)
    fleet.run(1)
    return fleet


@cache
def written_straight(seed: int) -> dict[TopicPartition, list[tuple[object, ...]]]:
    """What a run of the log of `seed` writes that nothing interrupts: the same for all who are compared with it."""
    return straight(drawn(seed)).written()


@pytest.mark.parametrize(
    ("every_ms", "max_records", "dies", "moves", "fails"),
    [
        (0, 1, 1.0, 0.0, 0.0),  # a checkpoint and new workers after every record
        (3_000, 1, 1.0, 0.0, 0.0),  # checkpoints now and then, new workers after every record
        (0, 3, 0.0, 0.5, 0.0),  # partitions that go to and fro
        (2_000, 5, 0.2, 0.2, 0.2),
        (20_000, 9, 0.2, 0.2, 0.2),
        (None, 9, 0.1, 0.1, 0.1),  # no checkpoint at all: from the features alone
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_any_restarts_give_the_same_bytes(
    seed: int, every_ms: int | None, max_records: int, dies: float, moves: float, fails: float
) -> None:
    log = drawn(seed)
    fleet = Fleet(log, Random(seed), every_ms=every_ms)
    fleet.run(max_records, dies=dies, moves=moves, fails=fails)
    assert fleet.written() == written_straight(seed)


def test_restarts_on_a_real_broker_give_the_same_bytes(kafka: str) -> None:
    """Transaction markers between the records, ends that are ahead of what is decided, and the loop itself."""
    connection = KafkaConnection(kafka, prefix=f"t-{uuid4().hex[:12]}.")
    create_topics(connection, partitions=PARTITIONS, replication=1)
    log = drawn(3)
    with closing(TidyKafkaBroker(connection)) as broker:
        broker.commit(log)
        seen, until_s = 0, time.monotonic() + 60
        for upto in (20, 60, len(log)):
            worker = FusionWorker(light_model(), settings=MachineSettings(), broker=broker, snapshot_every_ms=0)
            loop = Loop(broker, worker, group="fusion", topics=["media"], settings=LoopSettings(max_records=10))
            while seen < upto and time.monotonic() < until_s:
                outputs = loop.run_once(timeout_s=0.05)
                seen += 0 if outputs is None else len(outputs.given)
            loop.close()
        restarted = written(broker)
    delete_topics(connection)
    assert restarted == written_straight(3)


def test_the_drawn_logs_hold_what_may_go_wrong() -> None:
    """Else the test above would show little."""
    seen = set()
    for seed in SEEDS:
        for (topic, _), records in written_straight(seed).items():
            results = [read_result(topic, value) for _, value, _ in records if topic == "events"]  # type: ignore[arg-type]
            seen |= {(e.rule, e.reason) for e in results if isinstance(e, Event)}
    reasons = {reason for _, reason in seen}
    assert reasons >= {"score", "signal_lost", "back", "rule", "epoch", "end", "idle"}
    assert {rule for rule, _ in seen} >= {"blue", "goal", "framecue.signal_lost", "framecue.gap", "framecue.warning"}


def live(stream: str, index: int) -> Message:
    made = segment(index, ["red", "blue"], stream=stream)
    at_ms = 1_700_000_000_000 + 2000 * index
    return on_its_partition(made.model_copy(update={"origin": made.origin.model_copy(update={"at_ms": at_ms})}))


def test_a_long_document_is_folded_again_whole() -> None:
    words = [cue(1000 * i, 1000 * i + 500, f"line {i}") for i in range(CUES_MAX + 1)]
    document = TextMedia(stream="cam1", origin=Origin(topic="subtitles", partition=0, offset=0), cues=tuple(words))
    log = [live("cam1", 0), on_its_partition(document), live("cam1", 1), live("cam1", 2)]
    fleet = Fleet(log, Random(0), every_ms=1_000)
    fleet.run(1, dies=1.0)
    assert fleet.written() == straight(log).written()


def test_a_tick_from_before_its_source_was_heard_is_not_recalled() -> None:
    """Whatever a broker's clock does: to a stream a source is unknown until the first tick after its first words."""
    at_ms = 1_700_000_000_000
    words = TextMedia(stream="cam1", origin=Origin(topic="subtitles", partition=0, offset=0, at_ms=at_ms))
    later = at_ms + 400_000
    log = [*ticks(later), live("cam1", 0), live("cam1", 1), on_its_partition(words), live("cam2", 0)]
    film_only = Tick(topic="segments", partition=0, caught_up=True, at_ms=later)
    fleet = Fleet([*log, *everywhere(film_only)], Random(0))
    fleet.run(1, dies=1.0)
    assert fleet.written() == straight(fleet.log).written()


def test_a_checkpoint_writes_what_changed_and_where_it_stands() -> None:
    log = [*everywhere(RulesMedia(rules=RULES)), live("cam1", 0), *ticks(1_700_000_000_100), live("cam2", 0)]
    assert partition_of("cam1", PARTITIONS) == partition_of("cam3", PARTITIONS) != partition_of("cam2", PARTITIONS)
    p = partition_of("cam1", PARTITIONS)
    fleet = Fleet([*log, live("cam3", 0)], Random(0))
    fleet.run(1)
    written = [(r.key, len(r.value or b"")) for r in fleet.broker.read("snapshots", partition=p)]
    keys = [(key or b"").decode() for key, _ in written]
    (rules,) = {key for key in keys if key.startswith("rules/")}
    stream = ["stream/cam1/core/0", "partition"]
    assert keys == [rules, "partition", *stream, "partition", "partition", "stream/cam3/core/0", "partition"]
    snapshot = unpack_partition(fleet.kept(p)[PARTITION_KEY] or b"")
    offsets = [int(dict(r.headers)[MEDIA_OFFSET_HEADER]) for r in fleet.broker.read("features", partition=p)]
    assert (snapshot.media_offset, snapshot.features_end) == (offsets[-1], len(offsets) - 1)
    assert [(t.topic, t.at_ms) for t in snapshot.ticks] == [
        ("segments", 1_700_000_000_100),
        ("subtitles", 1_700_000_000_100),
    ]


def test_what_is_no_longer_needed_is_deleted() -> None:
    rules = everywhere(RulesMedia(rules=RULES)), everywhere(RulesMedia(rules=OTHER_RULES))
    log = [*rules[0], live("cam1", 0), *rules[1], on_its_partition(ForgetMedia(stream="cam1"))]
    fleet = Fleet(log, Random(0))
    fleet.run(1, dies=0.5)
    kept = fleet.kept(partition_of("cam1", PARTITIONS))
    assert sorted(k.decode().split("/")[0] for k, v in kept.items() if v is None) == ["rules", "stream"]
    assert sorted(k.decode().split("/")[0] for k, v in kept.items() if v is not None) == ["partition", "rules"]


def test_forgetting_is_not_put_off() -> None:
    fleet = Fleet([live("cam1", 0), on_its_partition(ForgetMedia(stream="cam1"))], Random(0), every_ms=3_600_000)
    p = partition_of("cam1", PARTITIONS)
    (first, second) = fleet.consumer.poll(9)
    at = TopicPartition("media", p)
    fleet.step(at, [first])
    fleet.reborn(0)  # what was folded again is due at once
    fleet.step(at, [second])
    assert {k for k, v in fleet.kept(p).items() if v is not None} == {PARTITION_KEY}
    assert fleet.written() == straight(fleet.log).written()


def test_a_checkpoint_that_cannot_be_read_is_made_again_from_the_features(caplog: pytest.LogCaptureFixture) -> None:
    """After an update that keeps state in another form, say."""
    log, more = drawn(1), drawn(2)
    fleet = Fleet(log, Random(1))
    fleet.run(5)
    for p in range(PARTITIONS):
        kept = [key for key, value in fleet.kept(p).items() if value is not None]
        fleet.broker.commit([Message("snapshots", key, b"\x81\xa1v\x09", partition=p) for key in kept])
    fleet.broker.commit(more)
    with caplog.at_level(logging.WARNING):
        fleet.reborn(0)
        told = len([r for r in caplog.records if "all features are folded again" in r.getMessage()])
        fleet.run(5)
        caplog.clear()
        fleet.reborn(0)
    assert (told, caplog.text) == (PARTITIONS, "")
    assert fleet.written() == straight([*log, *more]).written()


def test_another_model_is_refused() -> None:
    fleet = Fleet([live("cam1", 0)], Random(0))
    fleet.run(1)
    fleet.model = replace(light_model(), name="newer", space=ColourSpace(id="light-2"))
    with pytest.raises(SetupError, match=r"space light-1, and the model newer has the space light-2.*--adopt-model"):
        fleet.reborn(0)


@pytest.mark.parametrize("every_ms", [0, 7_000, None])
@pytest.mark.parametrize("seed", range(3))
def test_another_model_is_adopted_where_that_is_asked_for(
    seed: int, every_ms: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    log = drawn(seed, steps=60)
    fleet = Fleet(log[: len(log) // 2], Random(seed), every_ms=every_ms)
    fleet.run(3)
    before = [fleet.results(p) for p in range(PARTITIONS)]
    fleet.model = replace(light_model(), name="newer", space=ColourSpace(id="light-2"))
    fleet.other_space = "adopt"
    with caplog.at_level(logging.WARNING):
        fleet.reborn(0)
        fleet.reborn(0)  # nothing was written yet: it is adopted again
        fleet.broker.commit(log[len(log) // 2 :])
        fleet.run(3)
        fleet.reborn(0)  # once only
    assert sum("go on under the model newer" in r.getMessage() for r in caplog.records) == 2 * PARTITIONS
    for p in range(PARTITIONS):
        results = fleet.results(p)
        assert_numbered(results)
        old = {r.id: r for r in results if isinstance(r, Event) and r.space == "light-1"}
        assert [e.id for e in old.values() if e.end_ms is None and e.phase != "retracted"] == []
        new = [r for r in results if r.space == "light-2"]
        assert {r.model for r in new} == {"newer"}
        assert {(r.stream, r.epoch) for r in new}.isdisjoint((r.stream, r.epoch) for r in before[p])
        assert {s.stream for s in new if isinstance(s, Annotation)} == {s for s in STREAMS if partition_of(s, 2) == p}


def test_features_that_cannot_be_read_stop_with_a_sentence() -> None:
    fleet = Fleet([], Random(0))
    fleet.broker.commit([Message("features", b"cam1", b"garbage", partition=1)])
    with pytest.raises(SetupError, match=r"features 1/0 cannot be read.*newer version"):
        fleet.reborn(0)
