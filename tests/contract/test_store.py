"""What every store keeps: one suite, run on the memory twin here and on real servers where there are some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecue.clock import FixedClock
from framecue.schemas.annotation import Annotation, JoinedText
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.store.memory import MemoryStore
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX, TTL_MS, Latest, Store


@dataclass(frozen=True)
class Fresh:
    """An empty store and the clock it lives by."""

    store: Store
    clock: FixedClock


def memory() -> Fresh:
    clock = FixedClock(1_000_000_000_000)
    return Fresh(MemoryStore(clock), clock)


FACTORIES: list[Callable[[], Fresh]] = [memory]
every_store = pytest.mark.parametrize("make", FACTORIES)


def annotation(start_ms: int = 0, *, revision: int = 1, epoch: int = 0, stream: str = "cam1") -> Annotation:
    return Annotation(
        id=f"{stream}/{epoch}/{start_ms}+2000",
        revision=revision,
        stream=stream,
        epoch=epoch,
        start_ms=start_ms,
        end_ms=start_ms + 2000,
        settled_until_ms=0,
        text=JoinedText(state="none"),
        model="m",
        space="s",
    )


def event(first_ms: int = 0, *, sequence: int = 1, phase: str = "started", **more: Any) -> Event:
    epoch, stream = more.pop("epoch", 0), more.pop("stream", "cam1")
    fields = {"start_ms": first_ms, "rule": "goal", "model": "m", "space": "s"} | more
    event_id = f"{stream}/{epoch}/goal/{first_ms}"
    return Event.model_validate(
        {"id": event_id, "sequence": sequence, "phase": phase, "stream": stream, "epoch": epoch} | fields
    )


def caption(start_ms: int = 0, *, epoch: int = 0) -> Caption:
    name = f"cam1/{epoch}/{start_ms}+2000"
    return Caption(id=name, stream="cam1", epoch=epoch, start_ms=start_ms, end_ms=start_ms + 2000, model="m")


@every_store
def test_an_empty_store_knows_nothing(make: Callable[[], Fresh]) -> None:
    store = make().store
    assert (store.streams(), store.latest("cam1"), store.timeline("cam1"), store.events("cam1")) == ((), None, (), ())
    assert store.evidence("cam1/0/goal/0") is None


@every_store
@pytest.mark.parametrize(
    ("held", "put", "changes"),
    [
        (annotation(revision=1), annotation(revision=1), False),  # a repeat
        (annotation(revision=2), annotation(revision=1), False),  # an older revision
        (annotation(revision=1), annotation(revision=2), True),
        (annotation(2000), annotation(0), True),  # an older window still belongs on the timeline
    ],
    ids=["repeat", "older", "newer", "another window"],
)
def test_put_annotation_says_whether_it_changed_anything(
    make: Callable[[], Fresh], held: Annotation, put: Annotation, changes: bool
) -> None:
    store = make().store
    store.put_annotation(held)
    before = store.timeline("cam1")
    assert store.put_annotation(put) is changes
    assert (store.timeline("cam1") != before) is changes


@every_store
def test_latest_is_the_last_window_of_the_last_epoch(make: Callable[[], Fresh]) -> None:
    store = make().store
    last = annotation(0, epoch=8)
    for one in (annotation(6000, epoch=7), last, annotation(8000, epoch=7, revision=3)):
        store.put_annotation(one)
    assert store.latest("cam1") == Latest(last, (), None)


@every_store
def test_an_event_is_open_until_it_ends(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put_event(event(2000))
    assert [e.id for e in _open(store)] == ["cam1/0/goal/2000"]
    store.put_event(event(2000, sequence=2, phase="ended", end_ms=6000, reason="score"))
    assert _open(store) == ()
    store.put_event(event(2000, sequence=3, phase="updated"))
    assert [e.sequence for e in _open(store)] == [3]


def _open(store: Store) -> tuple[Event, ...]:
    latest = store.latest("cam1")
    assert latest is not None
    return latest.open_events


@every_store
def test_a_retracted_event_is_gone_and_an_older_state_does_not_bring_it_back(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put_event(event(2000, sequence=2, phase="retracted"))
    assert store.put_event(event(2000)) is False
    assert store.events("cam1") == ()


@every_store
def test_the_newest_caption_stays(make: Callable[[], Fresh]) -> None:
    store = make().store
    assert [store.put_caption(c) for c in (caption(4000), caption(0), caption(4000), caption(0, epoch=1))] == [
        True,
        False,
        False,
        True,
    ]
    latest = store.latest("cam1")
    assert latest is not None
    assert latest.caption == caption(0, epoch=1)


@every_store
def test_the_timeline_is_bounded_and_keeps_the_newest(make: Callable[[], Fresh]) -> None:
    store = make().store
    for i in range(TIMELINE_MAX + 5):
        store.put_annotation(annotation(2000 * i))
    assert [a.start_ms for a in store.timeline("cam1")] == [2000 * i for i in range(5, TIMELINE_MAX + 5)]
    assert store.put_annotation(annotation(0)) is False
    assert [a.start_ms for a in store.timeline("cam1", limit=1)] == [2000 * (TIMELINE_MAX + 4)]
    assert store.timeline("cam1", limit=0) == ()


@every_store
def test_events_are_bounded_by_their_first_start_which_sticks(make: Callable[[], Fresh]) -> None:
    store = make().store
    for i in range(1, EVENTS_MAX + 1):
        store.put_event(event(2000 * i))
    assert store.put_event(event(0, sequence=2, phase="updated", start_ms=10_000_000)) is False
    assert store.events("cam1")[0].id == "cam1/0/goal/2000"


@every_store
def test_streams_come_most_recently_active_first(make: Callable[[], Fresh]) -> None:
    fresh = make()
    for name in ("a", "b", "a"):
        fresh.store.put_annotation(annotation(fresh.clock.now_ms(), stream=name))
        fresh.clock.advance(1000)
    assert fresh.store.streams() == ("a", "b")


@every_store
def test_everything_is_gone_a_day_after_its_last_change(make: Callable[[], Fresh]) -> None:
    fresh = make()
    fresh.store.put_annotation(annotation())
    fresh.store.put_event(event())
    fresh.store.put_evidence("cam1/0/goal/0", b"jpeg")
    fresh.clock.advance(TTL_MS - 1)
    assert (fresh.store.streams(), fresh.store.evidence("cam1/0/goal/0")) == (("cam1",), b"jpeg")
    fresh.store.put_annotation(annotation(revision=2))
    fresh.clock.advance(1)
    assert (fresh.store.streams(), fresh.store.evidence("cam1/0/goal/0")) == (("cam1",), None)
    fresh.clock.advance(TTL_MS)
    assert (fresh.store.streams(), fresh.store.latest("cam1")) == ((), None)


@every_store
def test_evidence_is_replaced(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put_evidence("e", b"start")
    store.put_evidence("e", b"peak")
    assert store.evidence("e") == b"peak"


@every_store
@given(order=st.permutations(range(18)), repeats=st.lists(st.integers(0, 17), max_size=6))
def test_results_in_any_order_end_the_same(make: Callable[[], Fresh], order: list[int], repeats: list[int]) -> None:
    annotations = [annotation(2000 * i, revision=r, epoch=e) for e in (1, 2) for i in range(2) for r in (1, 2, 3)]
    phases = ("started", "updated", "retracted")
    events = [event(t, sequence=i + 1, phase=p) for t in (0, 4000) for i, p in enumerate(phases[: 2 + (t == 0)])]
    results: list[Annotation | Event] = [*annotations, *events, event(8000)]
    straight, shuffled = make().store, make().store
    for i in range(len(results)):
        _put(straight, results[i])
    for i in (*order, *repeats):
        _put(shuffled, results[i])
    assert _view(shuffled) == _view(straight)


def _put(store: Store, result: Annotation | Event) -> None:
    if isinstance(result, Annotation):
        store.put_annotation(result)
    else:
        store.put_event(result)


def _view(store: Store) -> tuple[Latest | None, tuple[Annotation, ...], tuple[Event, ...]]:
    return store.latest("cam1"), store.timeline("cam1"), store.events("cam1")
