"""What a loop shows of what waits: never what is somebody else's, never an age that nothing has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from framecue.broker.loop import Loop
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.broker.stage import MapStage, Outputs
from framecue.clock import FixedClock
from framecue.errors import BrokerError, InternalError
from framecue.telemetry.setup import Reporting, prometheus_text, reporting
from tests.unit.broker.test_loop import Doing, copied, failing

PARTITIONS = 2


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    with reporting(Reporting("test", prometheus="always")):
        yield


class Turning:
    """A loop whose monotonic clock is moved by hand, so that each turn is one that shows."""

    def __init__(self, broker: MemoryBroker, stage: MapStage) -> None:
        self.now_s = 0.0
        self.loop = Loop(broker, stage, group="g", topics=["media", "segments"], monotonic=lambda: self.now_s)

    def turn(self) -> Outputs | None:
        self.now_s += 10
        return self.loop.run_once()


def shown(metric: str, **labels: str) -> float | None:
    """What stands on the page."""
    wanted = ",".join(f'{name}="{value}"' for name, value in sorted({"group": "g", **labels}.items()))
    found = re.search(rf"^framecue_{metric}{{{wanted}}} (\S+)$", prometheus_text().decode(), re.M)
    return None if found is None else float(found[1])


def filled(clock: FixedClock, *counts: int) -> MemoryBroker:
    broker = MemoryBroker(partitions=PARTITIONS, clock=clock)
    broker.commit([Message("media", b"k", b"x", partition=p) for p, count in enumerate(counts) for _ in range(count)])
    return broker


def test_nothing_waits_when_all_is_committed() -> None:
    turning = Turning(filled(FixedClock(1_000), 2, 3), Doing(copied))
    while turning.turn() is not None:
        pass
    assert shown("records_behind", topic="media") == 0
    assert shown("records_behind", topic="segments") == 0
    assert (shown("media_seconds_behind"), shown("queue_records"), shown("partitions")) == (0, 0, 4)
    assert shown("records_total", topic="media") == 5


def test_what_cannot_be_worked_on_is_as_old_as_the_oldest_of_it() -> None:
    clock = FixedClock(1_000)
    turning = Turning(filled(clock, 2, 3), Doing(failing(InternalError("always"), on=b"x")))
    clock.advance(7_000)
    for _ in range(2):
        with pytest.raises(InternalError):
            turning.turn()
    turning.loop._not_before = 1e9  # as while it waits for its next attempt
    turning.turn()
    assert shown("records_behind", topic="media") == 5
    assert shown("queue_records") == 5
    assert shown("queue_size_bytes") == 10
    assert shown("media_seconds_behind") == 7


def test_what_stands_there_and_does_not_come_is_as_old_as_the_last_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that gets nothing would else be taken for one that is caught up."""
    clock = FixedClock(1_000)
    broker = filled(clock, 1, 0)
    turning = Turning(broker, Doing(copied))
    while turning.turn() is not None:
        pass
    monkeypatch.setattr(turning.loop._consumer, "poll", lambda *_, **__: ())
    broker.commit([Message("media", b"k", b"x", partition=0)])
    turning.turn(), turning.turn()
    assert shown("records_behind", topic="media") == 1
    assert shown("media_seconds_behind") == 20


def test_what_went_to_another_worker_is_not_shown() -> None:
    broker = filled(FixedClock(1_000), 4, 4)
    turning = Turning(broker, Doing(copied))
    turning.turn()
    turning.loop._not_before = 1e9
    broker.commit([Message("media", b"k", b"x", partition=p) for p in range(PARTITIONS)])
    turning.turn()
    assert (shown("records_behind", topic="media"), shown("partitions")) == (2, 4)
    other = broker.consumer("g", ["media", "segments"])
    other.poll(0)
    turning.turn()
    assert (shown("records_behind", topic="media"), shown("partitions")) == (1, 2)
    turning.loop.close()
    for gauge in ("media_seconds_behind", "queue_records", "partitions"):
        assert shown(gauge) == 0, "who left waits for nothing"
    assert shown("records_behind", topic="media") == 0


@pytest.mark.parametrize(
    ("work", "faults", "letters", "reason"),
    [
        (copied, 0, 0, "all went well"),
        (failing(KeyError("a bug"), on=b"x"), 1, 1, "it fails alone too, and is given up once, however often tried"),
    ],
)
def test_what_was_given_up_counts_once(work: Callable[..., Outputs], faults: int, letters: int, reason: str) -> None:
    turning = Turning(filled(FixedClock(1_000), 1, 0), Doing(work))
    for _ in range(6):
        try:
            turning.turn()
        except KeyError:
            continue
    assert shown("faults_total") == faults, reason
    found = shown("dead_letters_total", error="KeyError")
    assert (found or 0) == letters, reason
    assert shown("records_total", topic="media") == 1


def test_a_partition_that_nobody_answers_for_hardly_holds_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a leader: asked with the patience of a commit, each turn would wait for it, and nothing be done."""
    turning = Turning(filled(FixedClock(1_000), 90, 0), Doing(copied))
    patience: list[float | None] = []

    def unanswered(_: object, *, within_s: float | None = None) -> None:
        patience.append(within_s)
        raise BrokerError("the end is not known")

    monkeypatch.setattr(turning.loop._consumer, "ends", unanswered)
    for _ in range(6):  # a minute, in turns of 10 s
        turning.turn()
    assert all(within_s is not None and within_s <= 0.5 for within_s in patience)
    assert 1 <= len(patience) <= 4, "not every turn"
    assert shown("records_total", topic="media") == 90


def test_a_loop_that_is_not_watched_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    turning = Turning(filled(FixedClock(1_000), 1, 0), Doing(copied))
    asked: list[object] = []
    monkeypatch.setattr("framecue.broker.backlog.is_on", lambda: False)
    monkeypatch.setattr(turning.loop._consumer, "ends", asked.append)
    while turning.turn() is not None:
        pass
    assert asked == []
