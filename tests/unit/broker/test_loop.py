"""The delivery loop: all of a batch or nothing, and a limit on faults of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from framecue.broker.loop import ErrorBudget, Loop, MapStage, Outputs
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.errors import BrokerError, InternalError
from framecue.schemas.topics import MEDIA


class Doing(MapStage):
    """A stage made of a function, that notes its batches."""

    def __init__(self, work: Callable[[Sequence[Record]], Outputs]) -> None:
        self.batches: list[list[bytes | None]] = []
        self._work = work

    def handle(self, batch: Sequence[Record]) -> Outputs:
        self.batches.append([r.value for r in batch])
        return self._work(batch)


def copied(batch: Sequence[Record]) -> Outputs:
    return Outputs(tuple((Message("features", r.key, r.value),) for r in batch))


def sent(broker: MemoryBroker) -> list[bytes | None]:
    return [r.value for r in broker.consumer("reader", ["features"]).poll(1000)]


def filled(count: int) -> MemoryBroker:
    broker = MemoryBroker(partitions=1)
    broker.commit([Message("media", b"k", b"%d" % i) for i in range(count)])
    return broker


def test_run_once_commits_what_the_batch_gave_and_goes_on_after_it() -> None:
    broker = filled(3)
    loop = Loop(broker, stage := Doing(copied), group="g", topics=["media"], max_records=2)
    outputs = loop.run_once()
    assert outputs is not None
    assert [m.value for m in outputs.messages] == sent(broker) == [b"0", b"1"]
    loop.run_once()
    assert (stage.batches, loop.run_once()) == ([[b"0", b"1"], [b"2"]], None)


def test_drain_ends_when_nothing_is_left() -> None:
    broker = filled(5)
    loop = Loop(broker, Doing(copied), group="g", topics=["media"], max_records=2)
    assert [len(o.messages) for o in loop.drain()] == [2, 2, 1]


def test_a_new_loop_goes_on_where_the_last_one_committed() -> None:
    broker = filled(3)
    first = Loop(broker, Doing(copied), group="g", topics=["media"], max_records=2)
    first.run_once()
    first.close()
    second = Doing(copied)
    list(Loop(broker, second, group="g", topics=["media"]).drain())
    assert second.batches == [[b"2"]]


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (InternalError("the device is gone"), InternalError),
        (KeyError("a bug"), KeyError),
        (Outputs(((Message("features", b"k", b"x"), Message("media", b"k", bytes(MEDIA.max_bytes))),)), BrokerError),
        (Outputs(((Message("features", b"k", b"x"),),), failed=11), InternalError),
    ],
    ids=["the handler gave up", "the handler has a bug", "the broker refused", "too many failed"],
)
def test_nothing_happened_when_anything_raises(first: Exception | Outputs, error: type[Exception]) -> None:
    broker = filled(2)
    answers = iter([first])

    def work(batch: Sequence[Record]) -> Outputs:
        answer = next(answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer or copied(batch)

    loop = Loop(broker, Doing(work), group="g", topics=["media"])
    with pytest.raises(error):
        loop.run_once()
    assert sent(broker) == []


def test_a_batch_comes_again_after_a_failure() -> None:
    broker = filled(2)
    answers = iter([InternalError("for now")])

    def work(batch: Sequence[Record]) -> Outputs:
        for error in answers:
            raise error
        return copied(batch)

    loop = Loop(broker, stage := Doing(work), group="g", topics=["media"])
    with pytest.raises(InternalError):
        loop.run_once()
    loop.run_once()
    assert (stage.batches, sent(broker)) == ([[b"0", b"1"], [b"0", b"1"]], [b"0", b"1"])


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
            budget.spend(records, failed)
        except InternalError:
            stopped = i
            break
    assert stopped == stops_at
