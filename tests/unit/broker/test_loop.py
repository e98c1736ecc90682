"""The delivery loop on the memory broker: what is committed, what comes again, what is given up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from framecue.broker.budget import ErrorBudget
from framecue.broker.loop import Loop, LoopSettings
from framecue.broker.memory import MemoryBroker, MemoryConsumer
from framecue.broker.protocol import Consumer, Handover, Message, Record, TopicPartition
from framecue.broker.stage import MapStage, Outputs, Position
from framecue.clock import FixedClock
from framecue.errors import BrokerError, FaultRateError, InternalError, SetupError, StoreError
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.topics import FEATURES
from framecue.telemetry.setup import Reporting, prometheus_text, reporting

Work = Callable[[Sequence[Record]], Outputs]


class Doing(MapStage):
    """A stage made of a function, that notes what it is asked to do."""

    def __init__(self, work: Work) -> None:
        self.batches: list[list[bytes | None]] = []
        self.told: list[str] = []
        self._work = work

    def handle(self, batch: Sequence[Record]) -> Outputs:
        self.batches.append([r.value for r in batch])
        return self._work(batch)

    def take(self, at: TopicPartition, note: str) -> None:
        self.told.append(f"take {at.partition} {note}".strip())

    def leave(self, at: TopicPartition) -> None:
        self.told.append(f"leave {at.partition}")

    def note(self, at: TopicPartition) -> str:
        return f"note {at.partition}"


def copied(batch: Sequence[Record]) -> Outputs:
    return Outputs(tuple((Message("features", r.key or b"k", r.value),) for r in batch))


def failing(*errors: Exception, on: bytes | None = None) -> Work:
    """Raises each of `errors` once, then copies; with `on`, raises the first whenever that record is in the batch."""
    left = list(errors)

    def work(batch: Sequence[Record]) -> Outputs:
        if on is not None and any(r.value == on for r in batch):
            raise errors[0]
        if on is None and left:
            raise left.pop(0)
        return copied(batch)

    return work


def written(broker: MemoryBroker, topic: str = "features") -> list[bytes | None]:
    return [r.value for p in range(broker.partitions(topic)) for r in broker.read(topic, partition=p)]


def reasons(broker: MemoryBroker) -> list[str]:
    records = [r for p in range(broker.partitions("deadletter")) for r in broker.read("deadletter", partition=p)]
    return [parse_dead_letter(r.value or b"", r.headers).reason for r in records]


def filled(count: int, *, partitions: int = 1) -> MemoryBroker:
    broker = MemoryBroker(partitions=partitions, clock=FixedClock(1_000))
    broker.commit([Message("media", b"k", b"%d" % i, partition=i % partitions) for i in range(count)])
    return broker


def loop(broker: MemoryBroker, stage: MapStage, *, max_records: int = 32, **more: object) -> Loop:
    settings = LoopSettings(max_records=max_records)
    return Loop(broker, stage, group="g", topics=["media"], settings=settings, **more)  # type: ignore[arg-type]


def persist(running: Loop, *, turns: int = 200) -> list[Exception]:
    """Turns like `Loop.run`, whatever is raised, until nothing happens any more; what was raised."""
    raised: list[Exception] = []
    for _ in range(turns):
        try:
            if running.run_once() is None:
                return raised
        except FaultRateError:
            raise
        except Exception as e:
            raised.append(e)
    raise AssertionError("the loop never came to rest")


def numbers(count: int) -> list[bytes]:
    return [b"%d" % i for i in range(count)]


def test_run_once_commits_what_the_batch_gave_and_goes_on_after_it() -> None:
    broker = filled(3)
    running = loop(broker, stage := Doing(copied), max_records=2)
    outputs = running.run_once()
    assert outputs is not None
    assert [m.value for m in outputs.messages] == written(broker) == [b"0", b"1"]
    running.run_once()
    assert (stage.batches, running.run_once()) == ([[b"0", b"1"], [b"2"]], None)


def test_drain_ends_when_nothing_is_left() -> None:
    running = loop(filled(5), Doing(copied), max_records=2)
    assert [len(o.messages) for o in running.drain()] == [2, 2, 1]


def test_a_new_loop_goes_on_where_the_last_one_committed() -> None:
    broker = filled(3)
    first = loop(broker, Doing(copied), max_records=2)
    first.run_once()
    first.close()
    second = Doing(copied)
    list(loop(broker, second).drain())
    assert written(broker) == numbers(3)
    assert second.batches == [[b"2"]]


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (failing(InternalError("the device is gone")), InternalError),
        (failing(KeyError("a bug")), KeyError),
        (failing(StoreError("Redis is away")), StoreError),
        (lambda batch: Outputs(((Message("features", b"k", bytes(FEATURES.max_bytes)),),) * len(batch)), InternalError),
        (lambda batch: Outputs(((),)), InternalError),
        (lambda batch: Outputs(((),) * len(batch), failed=11), FaultRateError),
    ],
    ids=["gave up", "a bug", "dependency away", "too large to write", "an answer is missing", "too many failed"],
)
def test_nothing_is_written_when_anything_raises(work: Work, error: type[Exception]) -> None:
    broker = filled(2)
    with pytest.raises(error):
        loop(broker, Doing(work)).run_once()
    assert (written(broker), reasons(broker)) == ([], [])


def test_after_a_failure_state_is_made_again_and_the_batch_comes_again() -> None:
    broker = filled(2)
    running = loop(broker, stage := Doing(failing(StoreError("for now"))))
    with pytest.raises(StoreError):
        running.run_once()
    running.run_once()
    assert stage.batches == [[b"0", b"1"]] * 2
    assert stage.told == ["take 0", "leave 0", "take 0 note 0"]
    assert written(broker) == numbers(2)


def test_what_was_read_of_a_partition_that_could_not_be_taken_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, away, end = filled(8, partitions=2), [BrokerError("away")], MemoryConsumer.end

    def end_once_away(self: MemoryConsumer, at: TopicPartition) -> int:
        if at.partition == 1 and away:
            raise away.pop()
        return end(self, at)

    monkeypatch.setattr(MemoryConsumer, "end", end_once_away)
    assert len(persist(loop(broker, Doing(copied)))) == 1
    assert sorted(v for v in written(broker) if v is not None) == numbers(8)


def test_what_could_not_be_written_before_a_handover_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaving(MemoryBroker):
        """Asks, when told to, for what must be written before a handover; what that raises is only logged."""

        ask = False

        def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
            member = super().consumer(group, topics)
            poll = member.poll

            def asking(max_records: int, *, timeout_s: float = 0.0) -> Sequence[Record]:
                if self.ask and before_handover is not None:
                    self.ask = False
                    monkeypatch.setattr(self, "commit", refused)
                    with contextlib.suppress(BrokerError):
                        before_handover([TopicPartition("media", 1)])
                    monkeypatch.delattr(self, "commit")
                return poll(max_records, timeout_s=timeout_s)

            monkeypatch.setattr(member, "poll", asking)
            return member

    def refused(*_: object, **__: object) -> None:
        raise BrokerError("the group was rebalanced")

    def work(batch: Sequence[Record]) -> Outputs:
        if batch[0].value == b"2":
            assert gate.wait(10)
        return copied(batch)

    broker, gate = Leaving(partitions=2), threading.Event()
    broker.commit([Message("media", None, n, partition=0) for n in numbers(4)])
    with ThreadPoolExecutor(1) as executor:
        settings = LoopSettings(max_records=2, commit_every_ms=60_000)
        stage = Doing(work)
        running = Loop(broker, stage, group="g", topics=["media"], settings=settings, executor=executor)
        _until(running, lambda: len(stage.batches) == 2)  # one waits for its commit, one is under way
        broker.ask = True
        with pytest.raises(BrokerError, match="before a handover"):
            running.run_once()
        gate.set()
        _until(running, lambda: len(written(broker)) >= 4)
    assert written(broker) == numbers(4)


def test_a_record_that_always_raises_costs_itself_alone() -> None:
    broker = filled(20)
    raised = persist(loop(broker, stage := Doing(failing(KeyError("a bug"), on=b"7"))))
    assert written(broker) == [n for n in numbers(20) if n != b"7"]
    assert reasons(broker) == ["'a bug'"]
    assert len(raised) <= 3
    assert max(map(len, stage.batches[1:3])) <= 20 // 6


def test_a_dependency_that_is_away_gives_no_dead_letter() -> None:
    broker = filled(3)
    assert len(persist(loop(broker, Doing(failing(*[StoreError("away")] * 50))))) == 50
    assert (written(broker), reasons(broker)) == (numbers(3), [])


def test_a_handler_that_always_raises_stops_after_its_share() -> None:
    broker = filled(500)

    def work(batch: Sequence[Record]) -> Outputs:
        raise RuntimeError("a bad deploy")

    with pytest.raises(FaultRateError, match="stopping, so that good input does not end in the dead letters"):
        persist(loop(broker, Doing(work)))
    assert len(reasons(broker)) == 10


@pytest.mark.parametrize("killer", [0, 3, 31, 40])
def test_a_record_that_ends_the_process_is_given_up_after_three_times(killer: int) -> None:
    broker = filled(60)

    class Killed(BaseException):
        """Ends the process, as far as the loop can tell."""

    def work(batch: Sequence[Record]) -> Outputs:
        if any(r.value == b"%d" % killer for r in batch):
            raise Killed
        return copied(batch)

    kills = 0
    for _ in range(10):
        running = loop(broker, Doing(work), executor=None)
        try:
            list(running.drain())
            break
        except Killed:
            kills += 1
            running.close()
    assert kills == 3
    assert reasons(broker) == ["3 attempts at it ended the process"]
    assert written(broker) == [n for n in numbers(60) if n != b"%d" % killer]


def test_a_record_behind_what_is_never_read_is_given_up_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction's marker stands at the offset that is committed, so nothing is ever read there."""
    broker, poll = filled(60), MemoryConsumer.poll

    def without_markers(self: MemoryConsumer, n: int, *, timeout_s: float = 0.0) -> Sequence[Record]:
        return [r for r in poll(self, n, timeout_s=timeout_s) if r.offset not in (0, 30, 31)]

    class Killed(BaseException):
        """Ends the process, as far as the loop can tell."""

    def work(batch: Sequence[Record]) -> Outputs:
        if any(r.value in (b"1", b"32") for r in batch):
            raise Killed
        return copied(batch)

    monkeypatch.setattr(MemoryConsumer, "poll", without_markers)
    kills = 0
    for _ in range(20):
        running = loop(broker, Doing(work), max_records=31)
        try:
            list(running.drain())
            break
        except Killed:
            kills += 1
            running.close()
    assert (kills, reasons(broker)) == (6, ["3 attempts at it ended the process"] * 2)
    assert written(broker) == [n for n in numbers(60) if n not in (b"0", b"1", b"30", b"31", b"32")]


def test_a_stage_whose_work_is_harmless_loses_nothing_however_often_it_is_killed() -> None:
    broker = filled(40)

    class Killed(BaseException):
        """From outside."""

    class Harmless(Doing):
        is_risky = False

    def work(batch: Sequence[Record]) -> Outputs:
        raise Killed

    for _ in range(10):
        running = loop(broker, Harmless(work))
        with pytest.raises(Killed):
            running.run_once()
        running.close()
    list(loop(broker, Harmless(copied)).drain())
    assert (reasons(broker), written(broker)) == ([], numbers(40))


def test_processes_that_die_elsewhere_cost_no_record() -> None:
    broker = filled(4)
    for i in range(20):
        running = loop(broker, Doing(copied), max_records=2)
        list(running.drain())
        running.close()  # without a word: as if killed while nothing was to do
        broker.commit([Message("media", b"k", b"more%d" % i)])
    list(loop(broker, Doing(copied)).drain())
    assert reasons(broker) == []
    assert len(written(broker)) == 24


def test_a_loop_that_ends_in_good_order_says_that_nothing_died() -> None:
    broker = filled(4)
    running = loop(broker, Doing(copied), max_records=2)
    running.run_once()
    running.run(_set())
    consumer = broker.consumer("g", ["media"])
    consumer.poll(0)
    assert consumer.note(TopicPartition("media", 0)) == "0 note 0"


def test_the_next_owner_hears_what_was_noted() -> None:
    broker = filled(2)
    first = loop(broker, Doing(copied))
    first.run_once()
    first.close()
    loop(broker, stage := Doing(copied)).run_once()
    assert stage.told == ["take 0 note 0"]


def test_the_next_owner_hears_what_was_noted_before_where_the_stage_had_not_taken_it_yet() -> None:
    class Remembering(Doing):
        """Knows only what it was told."""

        known = ""

        def take(self, at: TopicPartition, note: str) -> None:
            self.known = note

        def note(self, at: TopicPartition) -> str:
            return self.known

    broker, at, gate = filled(2), TopicPartition("media", 0), threading.Event()
    before = broker.consumer("g", ["media"])
    before.poll(0)
    broker.commit((), consumer=before, offsets={at: 1}, notes={at: "0 of long ago"})
    before.close()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, 10)
        running = loop(broker, Remembering(copied), executor=executor)
        running.run_once()
        running.run(_set())
        gate.set()
    after = broker.consumer("g", ["media"])
    after.poll(0)
    assert after.note(at) == "0 of long ago"


def test_what_went_to_another_member_is_not_written_here() -> None:
    broker = filled(8, partitions=2)
    gate, started = threading.Event(), threading.Event()

    def work(batch: Sequence[Record]) -> Outputs:
        started.set()
        assert gate.wait(10)
        return copied(batch)

    with ThreadPoolExecutor(1) as executor:
        running = loop(broker, stage := Doing(work), executor=executor)
        _until(running, started.is_set)
        other = broker.consumer("g", ["media"])  # takes one of the two partitions
        other.poll(0)
        (moved,) = other.assignment()
        running.run_once()  # hears that the partition went, while its records are being worked on
        gate.set()
        _until(running, lambda: f"leave {moved.partition}" in stage.told)
        _until(running, lambda: len(written(broker)) == 4)
        running.run_once()
    kept = 1 - moved.partition
    assert written(broker) == [b"%d" % i for i in range(kept, 8, 2)]
    assert other.committed(moved) == 0


def test_the_thread_that_polls_goes_on_while_work_is_done() -> None:
    broker = filled(1)
    gate = threading.Event()

    def work(batch: Sequence[Record]) -> Outputs:
        assert gate.wait(10)
        return copied(batch)

    with ThreadPoolExecutor(1) as executor:
        running = loop(broker, Doing(work), executor=executor)
        for _ in range(5):
            assert running.run_once() is None
        newcomer = broker.consumer("g", ["media"])  # it would wait for a member that does not poll
        running.run_once()
        assert newcomer.poll(0) == []
        gate.set()
        newcomer.close()
        _until(running, lambda: written(broker) == [b"0"])


def test_partitions_pause_while_too_much_waits() -> None:
    broker = MemoryBroker(partitions=1)
    broker.commit([Message("media", b"k", bytes(1000)) for _ in range(100)])
    gate, started = threading.Event(), threading.Event()

    def work(batch: Sequence[Record]) -> Outputs:
        started.set()
        assert gate.wait(10)
        return copied(batch)

    with ThreadPoolExecutor(1) as executor:
        settings = LoopSettings(max_records=10, queue_bytes=20_000)
        running = Loop(broker, stage := Doing(work), group="g", topics=["media"], settings=settings, executor=executor)
        _until(running, started.is_set)
        for _ in range(10):
            running.run_once()
        assert running.waiting_records <= 30
        gate.set()
        _until(running, lambda: len(written(broker)) == 100)
    assert sum(map(len, stage.batches)) == 100


def test_ticks_tell_what_is_committed_of_how_much() -> None:
    broker, now = filled(3), [0.0]
    seen: list[tuple[Mapping[TopicPartition, Position], int]] = []

    class Ticking(Doing):
        tick_every_s = 1.0

        def tick(self, positions: Mapping[TopicPartition, Position], *, now_ms: int) -> tuple[Message, ...]:
            seen.append((positions, now_ms))
            return (Message("media", None, b"tick", partition=0),)

    running = loop(broker, Ticking(copied), max_records=2, monotonic=lambda: now[0])
    running.run_once()
    running.run_once()
    now[0] = 1.0
    running.run_once()
    at = TopicPartition("media", 0)
    assert seen == [({at: Position(2, 3)}, 1_000), ({at: Position(4, 4)}, 1_000)]
    assert written(broker, "media") == [*numbers(3), b"tick", b"tick"]


def test_run_goes_on_through_failures_and_says_when_it_is_settled() -> None:
    broker, stop, heard = filled(3), threading.Event(), list[bool]()

    def work(batch: Sequence[Record]) -> Outputs:
        outputs = failing_first(batch)
        stop.set()
        return outputs

    failing_first = failing(StoreError("away"), BrokerError("away"), StoreError("away"))
    loop(broker, Doing(work)).run(stop, on_settled=heard.append)
    assert written(broker) == numbers(3)
    assert heard[-2:] == [True, False]


def test_run_waits_longer_each_time_and_is_not_settled_while_a_dependency_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop, heard, left = threading.Event(), list[bool](), [StoreError("away")] * 3

    def work(batch: Sequence[Record]) -> Outputs:
        if left:
            raise left.pop()
        stop.set()
        return copied(batch)

    with ThreadPoolExecutor(1) as executor:
        loop(filled(3), Doing(work), executor=executor).run(stop, on_settled=heard.append)
    pauses = [m.rpartition("again in ")[2] for m in caplog.messages if "again in" in m]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s"]
    assert heard.count(True) <= 2  # before the first failure, and after the last


def test_run_promises_no_other_attempt_when_it_is_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is that a failure to count: work that can be cut short ends so at every stop."""
    broker, stop = filled(1), threading.Event()

    def work(_: Sequence[Record]) -> Outputs:
        stop.set()
        raise InternalError("cut short")

    with reporting(Reporting("test", prometheus="always")):
        loop(broker, Doing(work)).run(stop)
        assert b'framecue_retries_total{error="InternalError",group="g"} 0.0' in prometheus_text()
    assert [m for m in caplog.messages if "cut short" in m] == [
        "g: what was not committed will be done again: cut short"
    ]
    list(loop(broker, Doing(copied)).drain())
    assert (written(broker), reasons(broker)) == (numbers(1), [])


@pytest.mark.parametrize("error", [SetupError("another model"), FaultRateError("too many")])
def test_run_stops_where_going_on_would_do_harm(error: Exception) -> None:
    heard: list[bool] = []
    with pytest.raises(type(error)):
        loop(filled(1), Doing(failing(error))).run(threading.Event(), on_settled=heard.append)
    assert heard[-1] is False


@pytest.mark.parametrize(
    ("batches", "stops_at"),
    [
        ([(1, 1)] * 10, None),  # a young worker may meet ten odd records
        ([(1, 1)] * 11, 10),  # and not one more
        ([(32, 0)] * 40 + [(1, 1)] * 11, 50),  # a good past buys nothing
        ([(100, 1)] * 100, None),  # 1 % for ever
        ([(100, 2)] * 100, 5),
        ([(1, 1)] * 10 + [(1000, 0)] + [(1, 1)] * 10, None),  # what lies further back is forgotten
        ([(2000, 10)], None),
        ([(2000, 11)], 0),
    ],
)
def test_error_budget_stops_past_one_percent_of_the_last_thousand(
    batches: list[tuple[int, int]], stops_at: int | None
) -> None:
    budget, stopped = ErrorBudget(), None
    for i, (records, failed) in enumerate(batches):
        try:
            budget.check(records, failed)
        except FaultRateError:
            stopped = i
            break
        budget.spend(records, failed)
    assert stopped == stops_at


def _set() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


def _until(running: Loop, true: Callable[[], object], *, turns: int = 2_000) -> None:
    for _ in range(turns):
        if true():
            return
        running.run_once(timeout_s=0.005)
    raise AssertionError("it never came true")
