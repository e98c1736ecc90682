"""Projector as a stage: what was committed is what the store shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from framecue.broker.loop import Loop
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.broker.publishing import result_message
from framecue.clock import FixedClock
from framecue.errors import StoreError
from framecue.schemas.annotation import FrameRef
from framecue.schemas.event import Event, Evidence
from framecue.schemas.results import RESULT_TOPICS, PublishedResult
from framecue.store.memory import MemoryStore
from framecue.store.protocol import Latest
from framecue_services.projector.worker import ProjectorWorker
from tests.contract.test_store import annotation, caption, event
from tests.support.films import jpeg, media_log, segment


class Shown:
    """A projector over a memory broker and store."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.broker = MemoryBroker(partitions=1)
        self.store = store or MemoryStore(FixedClock(0))
        self._loop = Loop(
            self.broker, ProjectorWorker(self.store, self.broker), group="projector", topics=RESULT_TOPICS
        )

    def publish(self, *results: PublishedResult) -> None:
        self.broker.commit([result_message(r, None) for r in results])

    def run(self) -> None:
        for _ in self._loop.drain():
            pass


def seen(*, index: int, offset: int = 0, **more: Any) -> Event:
    ref = FrameRef(partition=0, offset=offset, index=index, at_ms=0)
    return event(**more).model_copy(update={"evidence": Evidence(frames=(ref,))})


def test_results_are_shown_side_by_side() -> None:
    shown = Shown()
    shown.publish(annotation(), event(), caption(), annotation(revision=2))
    shown.run()
    assert shown.store.latest("cam1") == Latest(annotation(revision=2), (event(),), caption())


def test_reading_everything_again_changes_nothing() -> None:
    shown = Shown()
    results = (annotation(), event(), event(sequence=2, phase="ended", end_ms=4000), caption(), annotation(2000))
    shown.publish(*results)
    shown.run()
    before = (shown.store.latest("cam1"), shown.store.timeline("cam1"), shown.store.events("cam1"))
    shown.publish(*results)
    shown.run()
    assert (shown.store.latest("cam1"), shown.store.timeline("cam1"), shown.store.events("cam1")) == before


@pytest.mark.parametrize(
    ("changes", "picture"),
    [
        ([seen(index=0)], "red"),
        ([seen(index=0), seen(index=1, sequence=2, phase="updated", peak=0.9)], "blue"),  # a better peak
        ([seen(index=1, sequence=2, phase="updated"), seen(index=0)], "blue"),  # an older state comes late
        ([seen(index=0), seen(index=1, sequence=2, phase="retracted")], "red"),
        ([event()], None),
        ([seen(index=0, offset=9)], None),
    ],
    ids=["starts", "peaks", "repeats", "retracted", "no frames", "expired"],
)
def test_an_event_keeps_the_picture_of_its_peak(changes: list[Event], picture: str | None) -> None:
    shown = Shown()
    media_log(segment(0, ["red", "blue"]), broker=shown.broker)
    shown.publish(*changes)
    shown.run()
    assert shown.store.evidence("cam1/0/goal/0") == (None if picture is None else jpeg(picture))


def test_what_is_no_result_is_a_dead_letter_and_the_rest_goes_on() -> None:
    shown = Shown()
    shown.broker.commit([Message("annotations", b"cam1", b"{}")])
    shown.publish(annotation())
    shown.run()
    (letter,) = shown.broker.consumer("g", ["deadletter"]).poll(10)
    assert letter.value == b"{}"
    assert shown.store.timeline("cam1") == (annotation(),)


class Away(MemoryStore):
    """Cannot be reached for the first write."""

    down = True

    def put(self, results: Sequence[PublishedResult]) -> tuple[bool, ...]:
        if self.down:
            self.down = False
            raise StoreError("the store is away")
        return super().put(results)


def test_results_wait_while_the_store_is_away() -> None:
    shown = Shown(Away(FixedClock(0)))
    shown.publish(annotation(), annotation(2000))
    with pytest.raises(StoreError):
        shown.run()
    shown.run()
    assert shown.store.timeline("cam1") == (annotation(), annotation(2000))


@pytest.mark.parametrize("ref", [(7, 0, 0), (-1, 0, 0), (0, 2**70, 0), (0, 0, 9), (0, 0, -1)])
def test_a_frame_that_cannot_be_is_a_dead_letter_and_the_event_is_shown(ref: tuple[int, int, int]) -> None:
    shown = Shown()
    media_log(segment(0, ["red"]), broker=shown.broker)
    partition, offset, index = ref
    named = FrameRef(partition=partition, offset=offset, index=index, at_ms=0)
    shown.publish(event().model_copy(update={"evidence": Evidence(frames=(named,))}), annotation())
    shown.run()
    assert len(shown.broker.consumer("g", ["deadletter"]).poll(10)) == 1
    assert len(shown.store.events("cam1")) == len(shown.store.timeline("cam1")) == 1


def test_what_no_store_can_order_is_a_dead_letter() -> None:
    shown = Shown()
    shown.publish(event().model_copy(update={"id": "cam1/0/goal"}), annotation(epoch=2**60), annotation())
    shown.run()
    assert len(shown.broker.consumer("g", ["deadletter"]).poll(10)) == 2
    assert shown.store.timeline("cam1") == (annotation(),)


class Killed(BaseException):
    """As SIGKILL: nobody handles it."""


class Dying(MemoryStore):
    """Its process is killed after it was written to; `pictures_only`: between pictures and results."""

    pictures_only = False
    alive = False

    def put(self, results: Sequence[PublishedResult]) -> tuple[bool, ...]:
        if self.alive or not self.pictures_only:
            super().put(results)
        if not self.alive:
            raise Killed
        return ()


@pytest.mark.parametrize("pictures_only", [True, False])
def test_killed_before_the_commit_the_next_worker_shows_it_all(pictures_only: bool) -> None:
    store = Dying(FixedClock(0))
    store.pictures_only = pictures_only
    shown = Shown(store)
    media_log(segment(0, ["red"]), broker=shown.broker)
    shown.publish(seen(index=0), annotation(), caption())
    with pytest.raises(Killed):
        shown.run()
    store.alive = True
    shown.run()
    assert store.latest("cam1") == Latest(annotation(), (seen(index=0),), caption())
    assert store.evidence("cam1/0/goal/0") == jpeg("red")
