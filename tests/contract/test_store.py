"""What every store keeps: one suite, run on the memory twin and on real servers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from framecue.clock import FixedClock
from framecue.errors import MessageError
from framecue.schemas.annotation import Annotation, JoinedText
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, to_json
from framecue.store.memory import MemoryStore
from framecue.store.protocol import (
    EVENTS_MAX,
    TIMELINE_MAX,
    TTL_MS,
    Activity,
    Held,
    HeldEvent,
    Latest,
    LatestJson,
    News,
    Store,
    place,
)
from framecue.store.redis import RedisStore
from tests.support.servers import new_redis, redis_program, running

START_MS = 1_000_000_000_000
SOON, LATER, LATEST = "2001-09-09T01:00:00Z", "2001-09-09T01:10:00Z", "2001-09-09T01:20:00Z"
"""Before START_MS, by less than a day."""
MINUTE_MS = 60_000
"""Real servers go by their own clock as well: nothing here hangs on less."""

_prefixes = (f"test{n}:" for n in count())


@dataclass(frozen=True)
class Fresh:
    """An empty store, the clock it lives by, and what else must happen as time goes by."""

    store: Store
    clock: FixedClock
    aged: Callable[[int], None] = lambda by_ms: None

    def advance(self, by_ms: int) -> None:
        self.clock.advance(by_ms)
        self.aged(by_ms)


def memory() -> Fresh:
    clock = FixedClock(START_MS)
    return Fresh(MemoryStore(clock), clock)


def on_redis(client: redis.Redis, url: str) -> Fresh:
    """A store with a prefix of its own; as time goes by, so much is taken from what its keys have left to live."""
    clock, prefix = FixedClock(START_MS), next(_prefixes)

    def aged(by_ms: int) -> None:
        for key in client.scan_iter(match=f"{prefix}*"):
            left_ms = client.pttl(key)
            assert left_ms > 0, f"{key!r} would stay for ever"
            client.pexpire(key, max(0, left_ms - by_ms))

    return Fresh(RedisStore(url, prefix=prefix, clock=clock), clock, aged)


@pytest.fixture(scope="module", params=["memory", "6.2", "7.0", "8.2"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[], Fresh]]:
    """Gives empty stores: in memory, and on a real Redis of each version that is promised."""
    if request.param == "memory":
        yield memory
        return
    folder = tmp_path_factory.mktemp("redis")
    if (program := redis_program(request.param, folder)) is None:
        pytest.skip(f"there is no Redis {request.param} here")
    with running(new_redis(folder, program)) as server, closing(redis.Redis.from_url(server.url)) as client:
        yield lambda: on_redis(client, server.url)


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


def test_an_empty_store_knows_nothing(make: Callable[[], Fresh]) -> None:
    store = make().store
    assert (store.streams(), store.latest("cam1"), store.timeline("cam1"), store.events("cam1")) == ((), None, (), ())
    assert store.evidence("cam1/0/goal/0") is None


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
    store.put([held])
    before = store.timeline("cam1")
    assert store.put([put]) == (changes,)
    assert (store.timeline("cam1") != before) is changes


def test_latest_is_the_last_window_of_the_last_epoch(make: Callable[[], Fresh]) -> None:
    store = make().store
    last = annotation(0, epoch=8)
    store.put([annotation(6000, epoch=7), last, annotation(8000, epoch=7, revision=3)])
    assert store.latest("cam1") == Latest(last, (), None)


def test_an_event_is_open_until_it_ends(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([event(2000)])
    assert [e.id for e in _open(store)] == ["cam1/0/goal/2000"]
    store.put([event(2000, sequence=2, phase="ended", end_ms=6000, reason="score")])
    assert _open(store) == ()
    store.put([event(2000, sequence=3, phase="updated")])
    assert [e.sequence for e in _open(store)] == [3]


def _open(store: Store) -> tuple[Event, ...]:
    latest = store.latest("cam1")
    assert latest is not None
    return latest.open_events


def test_a_retracted_event_is_gone_and_an_older_state_does_not_bring_it_back(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([event(2000, sequence=2, phase="retracted")])
    assert store.put([event(2000)]) == (False,)
    assert store.events("cam1") == ()


def test_the_newest_caption_stays(make: Callable[[], Fresh]) -> None:
    store = make().store
    changed = store.put([caption(4000), caption(0), caption(4000), caption(0, epoch=1)])
    assert changed == (True, False, False, True)
    latest = store.latest("cam1")
    assert latest is not None
    assert latest.caption == caption(0, epoch=1)


def test_the_timeline_is_bounded_and_keeps_the_newest(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([annotation(2000 * i) for i in range(TIMELINE_MAX + 5)])
    assert [a.start_ms for a in store.timeline("cam1")] == [2000 * i for i in range(5, TIMELINE_MAX + 5)]
    assert store.put([annotation(0)]) == (False,)
    assert [a.start_ms for a in store.timeline("cam1", limit=1)] == [2000 * (TIMELINE_MAX + 4)]
    assert store.timeline("cam1", limit=0) == ()


def test_events_are_bounded_by_their_first_start_which_sticks(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([event(2000 * i) for i in range(1, EVENTS_MAX + 1)])
    assert store.put([event(0, sequence=2, phase="updated", start_ms=10_000_000)]) == (False,)
    assert store.events("cam1")[0].id == "cam1/0/goal/2000"


def test_streams_come_most_recently_active_first(make: Callable[[], Fresh]) -> None:
    fresh = make()
    for name in ("a", "b", "a"):
        fresh.store.put([annotation(fresh.clock.now_ms(), stream=name)])
        fresh.advance(1000)
    assert fresh.store.streams() == ("a", "b")


def test_many_streams_are_asked_for_at_once_and_each_has_its_own_answer(make: Callable[[], Fresh]) -> None:
    fresh = make()
    fresh.store.put([annotation(), event()])
    fresh.advance(MINUTE_MS)
    fresh.store.put([annotation(stream="cam2")])
    asked = ["cam2", "nobody", "cam1"]
    assert fresh.store.latest_of(asked) == tuple(fresh.store.latest(stream) for stream in asked)
    assert fresh.store.activity() == (Activity(START_MS + MINUTE_MS, "cam2"), Activity(START_MS, "cam1"))
    assert fresh.store.latest_of([]) == ()
    assert [fresh.store.active_ms(name) for name in ("cam1", "nobody")] == [START_MS, None]


@pytest.mark.parametrize(
    ("event_id", "sequence"),
    [
        ("cam1/0/goal/2000", 2),
        ("cam1/7/goal/-2000", 1),  # before the start of its clock
        ("cam1/0/goal/4000", None),  # retracted
        ("cam1/0/goal/200", None),  # a beginning of one that is there
        ("cam1/1/goal/2000", None),  # of another epoch
        ("cam2/0/goal/2000", None),  # of another stream
        ("cam1/0/goal", None),  # no id of an event
        ("", None),
        ("cam1/0/\udcff/2000", None),  # no text that could be one
    ],
)
def test_an_event_is_found_by_its_id_in_its_newest_state(
    make: Callable[[], Fresh], event_id: str, sequence: int | None
) -> None:
    store = make().store
    newest = event(2000, sequence=2, phase="ended", end_ms=6000)
    store.put([event(2000), newest, event(-2000, epoch=7), event(4000), event(4000, sequence=2, phase="retracted")])
    found, again = store.find_events([event_id, "cam1/0/goal/2000"])
    assert (found and (found.id, found.sequence)) == (sequence and (event_id, sequence))
    assert again == newest


def test_what_is_handed_on_is_what_was_put(make: Callable[[], Fresh]) -> None:
    """Answers for those who need no more than the JSON are the same as those for who reads it."""
    store = make().store
    put = [annotation(), annotation(revision=2), event(2000), event(4000, phase="ended", end_ms=6000), caption()]
    store.put([*put, event(6000, phase="retracted")])
    kept = store.latest_json_of(["cam1", "nobody"])
    assert kept == (LatestJson(to_json(put[1]), (to_json(put[2]),), to_json(put[4])), None)
    found = store.find_events_json([put[3].id, "cam1/0/goal/6000", "cam1/0/goal/8000", put[2].id])
    assert found == (HeldEvent(False, to_json(put[3])), None, None, HeldEvent(True, to_json(put[2])))
    assert store.find_events_json([]) == store.latest_json_of([]) == ()


@pytest.mark.parametrize(
    "put",
    [event(2000, sequence=2, phase="retracted"), event(2000, phase="ended", end_ms=6000), event(2000), caption()],
    ids=["retracted", "ended", "open", "caption"],
)
def test_a_stream_is_known_by_whatever_came_of_it(make: Callable[[], Fresh], put: PublishedResult) -> None:
    store = make().store
    store.put([put])
    (latest,) = store.latest_json_of(["cam1"])
    assert latest is not None
    assert (store.latest("cam1") is not None, latest.annotation) == (True, None)


def test_the_newest_come_a_few_at_a_time_and_go_on_where_they_were_left(make: Callable[[], Fresh]) -> None:
    """Across epochs, times before the start of a clock, several of one start, and ones that were taken back."""
    store = make().store
    windows = [annotation(start, epoch=epoch) for epoch in (-3, 0, 8) for start in (-4000, -2000, 0, 2000)]
    events = [event(start) for start in (-6000, 0, 2000, 4000)] + [event(2000, id="cam1/0/goal/2000.2")]
    store.put([*windows, *events, event(0, sequence=2, phase="retracted"), event(4000, sequence=2, phase="retracted")])
    for kind, kept in (("annotation", store.timeline("cam1")), ("event", store.events("cam1"))):
        shown: list[Held] = []
        while page := store.newest(kind, "cam1", limit=2, before=shown[-1].at if shown else None):  # type: ignore[arg-type]
            shown += page
        assert shown == [Held(place(one), to_json(one)) for one in reversed(kept)]
        assert len(shown) == (12 if kind == "annotation" else 3)
        assert store.newest(kind, "nobody", limit=2) == store.newest(kind, "cam1", limit=0) == ()  # type: ignore[arg-type]


def test_news_of_all_streams_come_newest_first_and_go_on_where_they_were_left(make: Callable[[], Fresh]) -> None:
    """Four at one instant, since a batch is published at one: no page may end in the middle and begin anew."""
    store = make().store
    shown = [event(0, stream=f"cam{n}", published_at=SOON) for n in range(4)]
    cut = event(9000, rule="framecue.shot_cut", published_at=LATER)
    cut = cut.model_copy(update={"id": "cam1/0/framecue.shot_cut/9000"})
    store.put([*shown, cut, event(2000, published_at=LATER)])
    pages, before = list[News](), None
    while page := store.news(limit=1, before=before):
        pages += page
        before = page[-1]
    order = ["goal/2000", "framecue.shot_cut/9000", "goal/0", "goal/0", "goal/0", "goal/0"]
    assert [news.event_id.split("/", 2)[2] for news in pages] == order
    assert [news.event_id[:4] for news in pages[2:]] == ["cam3", "cam2", "cam1", "cam0"]
    assert store.news(limit=100) == tuple(pages)


def test_an_event_with_news_moves_to_the_top_and_older_states_do_not_bring_it_back(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([event(0, published_at=SOON), event(2000, published_at=LATER)])
    store.put([event(0, sequence=2, phase="ended", published_at=LATEST), event(0, published_at=SOON)])
    assert [news.event_id for news in store.news(limit=9)] == ["cam1/0/goal/0", "cam1/0/goal/2000"]
    store.forget("cam1")
    assert store.news(limit=9) == ()


def test_everything_is_gone_a_day_after_its_last_change(make: Callable[[], Fresh]) -> None:
    fresh = make()
    fresh.store.put([annotation(), event(), caption()])
    fresh.store.put_evidence("cam1/0/goal/0", b"jpeg", sequence=1)
    fresh.advance(TTL_MS - MINUTE_MS)
    assert (fresh.store.streams(), fresh.store.evidence("cam1/0/goal/0")) == (("cam1",), b"jpeg")
    fresh.store.put([annotation(revision=2), event()])
    fresh.advance(MINUTE_MS)
    assert (fresh.store.streams(), fresh.store.evidence("cam1/0/goal/0")) == (("cam1",), None)
    assert fresh.store.latest("cam1") == Latest(annotation(revision=2), (event(),), caption())
    fresh.advance(TTL_MS)
    assert (fresh.store.streams(), fresh.store.latest("cam1")) == ((), None)
    assert (fresh.store.timeline("cam1"), fresh.store.events("cam1")) == ((), ())


def test_evidence_is_replaced_by_that_of_a_later_state(make: Callable[[], Fresh]) -> None:
    store = make().store
    given = ((1, b"start"), (3, b"peak"), (3, b"again"), (2, b"older"))
    assert [store.put_evidence("e", jpeg, sequence=n) for n, jpeg in given] == [True, True, False, False]
    assert store.evidence("e") == b"peak"


def test_a_picture_goes_with_its_event(make: Callable[[], Fresh]) -> None:
    store = make().store
    late, first = event(0), event(2000)
    for one in (late, first):
        store.put_evidence(one.id, b"jpeg", sequence=1)
    store.put([event(2000 * i) for i in range(1, EVENTS_MAX + 1)])
    assert store.put([late]) == (False,)
    assert (store.evidence(late.id), store.evidence(first.id)) == (None, b"jpeg")
    store.put([event(2000 * (EVENTS_MAX + 1))])
    assert store.evidence(first.id) is None


def test_a_forgotten_stream_leaves_nothing_and_the_others_stay(make: Callable[[], Fresh]) -> None:
    store = make().store
    store.put([annotation(), event(), caption(), annotation(stream="cam2")])
    pictures = (event().id, event(2000).id, event(stream="cam10").id)
    for name in pictures:
        store.put_evidence(name, b"jpeg", sequence=1)
    store.forget("cam1")
    assert (store.streams(), store.latest("cam1")) == (("cam2",), None)
    assert [store.evidence(name) for name in pictures] == [None, None, b"jpeg"]
    assert (store.timeline("cam1"), store.events("cam1")) == ((), ())
    assert store.timeline("cam2") == (annotation(stream="cam2"),)


def test_order_is_that_of_numbers_not_of_their_spelling(make: Callable[[], Fresh]) -> None:
    store, starts = make().store, (-20_000, -2_000, 0, 2_000, 10_000)
    store.put([one for at in reversed(starts) for one in (annotation(at), event(at))])
    assert [a.start_ms for a in store.timeline("cam1")] == list(starts)
    assert [e.start_ms for e in store.events("cam1")] == list(starts)


@pytest.mark.parametrize(
    "rule",
    ["late goal", "goal/0#2 open {", "ゴール", "100%", "a\nb"],
    ids=["space", "own syntax", "not latin", "percent", "line break"],
)
def test_a_rule_may_have_any_name(make: Callable[[], Fresh], rule: str) -> None:
    store = make().store
    first = event().model_copy(update={"id": f"cam1/0/{rule}/0", "rule": rule})
    ended = first.model_copy(update={"sequence": 2, "phase": "ended"})
    store.put([event(), first])
    assert {e.id for e in _open(store)} == {event().id, first.id}
    assert store.put([ended, first]) == (True, False)
    assert (_open(store), len(store.events("cam1"))) == ((event(),), 2)


@pytest.mark.parametrize(
    "bad",
    [
        event().model_copy(update={"id": "cam1/0/goal"}),
        event().model_copy(update={"id": "cam1/0/goal/x.y"}),
        event().model_copy(update={"sequence": 2**53}),
        annotation(epoch=10**400),
        caption(2**60),
    ],
    ids=["no start", "no number", "sequence", "epoch", "caption"],
)
def test_what_cannot_be_ordered_is_refused_and_nothing_is_put(make: Callable[[], Fresh], bad: PublishedResult) -> None:
    store = make().store
    with pytest.raises(MessageError):
        store.put([annotation(), bad])
    assert store.streams() == ()


@given(order=st.permutations(range(18)), repeats=st.lists(st.integers(0, 17), max_size=6))
def test_results_in_any_order_end_the_same(make: Callable[[], Fresh], order: list[int], repeats: list[int]) -> None:
    annotations = [annotation(2000 * i, revision=r, epoch=e) for e in (1, 2) for i in range(2) for r in (1, 2, 3)]
    phases = ("started", "updated", "retracted")
    events = [event(t, sequence=i + 1, phase=p) for t in (0, 4000) for i, p in enumerate(phases[: 2 + (t == 0)])]
    results: list[Annotation | Event] = [*annotations, *events, event(8000)]
    straight, shuffled = make().store, make().store
    straight.put(results)
    shuffled.put([results[i] for i in (*order, *repeats)])
    assert _view(shuffled) == _view(straight)


def _view(store: Store) -> tuple[Latest | None, tuple[Annotation, ...], tuple[Event, ...]]:
    return store.latest("cam1"), store.timeline("cam1"), store.events("cam1")
