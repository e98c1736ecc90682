"""What holds for every log, not for one: restoring anywhere, any order that keeps topics' own, repeats, swaps, losses.

Logs are drawn by hypothesis, the same ones every time. Numbers of logs are small because each is folded many times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.analysis.machine import Result
from framecue.clock import FixedClock
from framecue.schemas.annotation import Annotation
from framecue.schemas.codec import pack, unpack_features
from framecue.schemas.event import GAP, Event
from framecue.schemas.features import CueFeatures, Features, SegmentFeatures, TextFeatures
from framecue.store.memory import MemoryStore
from tests.support.script import END, assert_numbered, assert_ordered, assert_settling, feed, machine, push, reborn
from tests.support.streams import STREAM, SUBTITLES, Log, cue, flat_grid, noise_grid, rule, rules

WINDOW_MS, SETTLE_MS, TOLERANCE_MS = 2_000, 10_000, 4_000
SETTLED = ("kept", "said", "sum", "sure")

LOOK = rule("look", picture=["dial 0"])
KEPT = {"picture": ["dial 1"], "when": "settled", "for": "4s", "cooldown": "6s"}
SIDES = {"picture": ["dial 0"], "text": ["/goal/"]}
SURE = rule("sure", combine="both", tolerance="4s", when="settled", **SIDES)
RULES = rules(
    LOOK,
    rule("kept", **KEPT),
    rule("said", text=["/goal/"]),
    rule("any", combine="either", when="early", **SIDES),
    rule("both", combine="both", tolerance="4s", when="early", **SIDES),
    rule("sum", combine="weighted", tolerance="2s", when="settled", **SIDES),
    SURE,
    labels=["dial 5", "dial 6"],
)
OTHER_RULES = rules(LOOK, SURE, rule("kept", **KEPT | {"enter": 0.5}), rule("new", text=["/goal/"], when="early"))

randoms = st.randoms(use_true_random=False)
few, some = settings(max_examples=10), settings(max_examples=25)


# logs


@dataclass
class Scene:
    """A stream that is made up as it goes; `tagged` ones carry sessions, numbers and starts."""

    random: Random
    tagged: bool
    log: Log = field(default_factory=Log)
    at_ms: int = 0
    own_ms: int = 0
    """Own clock - media time."""
    session: int = 0
    seq: int = 0

    def segment(self, *, ms: int | None = None, cues: Sequence[CueFeatures] = (), **facts: object) -> SegmentFeatures:
        """The next one."""
        begin, self.at_ms = self.at_ms, self.at_ms + (ms or self.random.choice([2000, 2000, 2000, 1300, 3500]))
        levels = [self.random.choice([0.1, 0.35, 0.45, 0.7, 0.9]) for _ in range(3)]
        grid = self.random.choice([noise_grid, noise_grid, lambda _: flat_grid(0), lambda _: noise_grid(1)])
        headers = {"session": f"run {self.session}", "seq": self.seq} if self.tagged else {}
        self.seq += 1
        return self.log.segment(
            begin,
            self.at_ms,
            scores=lambda t: {0: levels[t // 1000 % 3], 1: levels[t // 1500 % 3], 5: levels[0], 6: 0.2},
            grid=grid,
            own=Fraction(begin + self.own_ms, 1000),
            cues=cues,
            **headers | facts,
        )

    def cue(self, lo_ms: int, hi_ms: int, source: str = "document") -> CueFeatures:
        """One that begins so far from the end of the last segment."""
        at = max(0, self.at_ms + self.random.randint(lo_ms, hi_ms))
        said = self.random.choice(["a goal", "nothing", "words"])
        return cue(at, at + self.random.choice([0, 700, 1500, 5000]), said, source=source)

    def text(self, lo_ms: int, hi_ms: int) -> TextFeatures:
        """One to three cues in a message."""
        cues = [self.cue(lo_ms, hi_ms) for _ in range(self.random.randint(1, 3))]
        return self.log.text(*cues, at_ms=self._now_ms)

    @property
    def _now_ms(self) -> int:
        return 1_000_000 + self.at_ms + 500

    def skip(self) -> list[Features]:
        """A segment that never comes."""
        self.at_ms, self.seq = self.at_ms + 2000, self.seq + 1
        return [self.segment()]

    def swapped(self) -> list[Features]:
        first, second = self.segment(), self.segment()
        return [second, first]

    def repeated(self) -> list[Features]:
        segment = self.segment()
        return [segment, segment]

    def stray(self) -> list[Features]:
        own = Fraction(9_000_000 + self.at_ms, 1000)
        tags = {"session": f"run {self.session}", "seq": 10_000 + self.seq, "start": False} if self.tagged else {}
        return [self.log.segment(self.at_ms, self.at_ms + 2000, own=own, content="stray", **tags), self.segment()]

    def jumped(self) -> list[Features]:
        """An hour on; or another run, which begins at 0."""
        if self.tagged:
            self.session, self.seq, self.at_ms = self.session + 1, 0, 0
        else:
            self.own_ms += 3_600_000
        return [self.segment(), self.segment()]

    def silent(self) -> list[Features]:
        """Ticks until the signal is lost, perhaps until the stream is idle."""
        seconds = self.random.choice([[5, 11, 12], [11, 400]])
        topics = ("framecue.segments", SUBTITLES)
        return [self.log.tick(self._now_ms + s * 1000, topic=topic) for s in seconds for topic in topics]

    def steps(self) -> Iterator[list[Features]]:
        """One of everything that can happen."""
        acts: list[Callable[[], list[Features]]] = [
            self.skip,
            self.swapped,
            self.repeated,
            self.stray,
            self.jumped,
            self.silent,
            lambda: [self.text(-9000, -1)],
            lambda: [self.text(0, 9000)],
            lambda: [self.text(-30_000, -9000)],
            lambda: [self.log.live("a goal", self._now_ms + self.random.randint(0, 3000))],
            lambda: [self.random.choice([RULES, OTHER_RULES])],
            lambda: [self.segment(cues=[self.cue(0, 2000, "container")])],
            lambda: [self.segment(damaged="bits are missing", warnings=("no track",))],
        ]
        yield [RULES]
        for _ in range(self.random.randint(4, 14)):
            yield [self.segment()]
            yield self.random.choice(acts)()
        if self.tagged:
            yield [self.segment(end=True)]


def mixed_log(random: Random) -> list[Features]:
    """Whatever may come, in the order of one log."""
    return [record for step in Scene(random, tagged=random.random() < 0.5).steps() for record in step]


def film(random: Random, *, tagged: bool, seconds: int = 30) -> list[SegmentFeatures]:
    """A run without holes; some segments carry cues of a track.

    Two segments are shorter than `settle` less `tolerance`: no cue is late when they are swapped.
    """
    scene, out = Scene(random, tagged), list[SegmentFeatures]()
    while scene.at_ms < seconds * 1000:
        cues = [scene.cue(0, 1500, "container")] if random.random() < 0.2 else ()
        out.append(scene.segment(ms=random.choice([2000, 2000, 1300, 2900]), cues=cues))
    return out


# what is compared


def in_bytes(results: Iterable[Result]) -> list[str]:
    """Results as they leave, to the byte."""
    return [f"{r}" if not isinstance(r, Annotation | Event) else r.model_dump_json() for r in results]


def last_annotations(results: Iterable[Result]) -> dict[int, Annotation]:
    """The last revision of each by start, less what may depend on the order in which things came, and the run."""
    blank = {"id": "", "epoch": 0, "revision": 1, "settled_until_ms": 0, "wall_at": None}
    return {r.start_ms: r.model_copy(update=blank) for r in results if isinstance(r, Annotation)}


def closed_events(results: Iterable[Result]) -> list[tuple[object, ...]]:
    """Spans and peaks of events; of settled rules also what they began as, and the evidence. Retracted are none."""
    made = []
    for e in last_events(results).values():
        if e.phase != "retracted":
            seen = (e.rule, e.start_ms, e.end_ms, e.reason, e.peak, e.message)
            made.append((*seen, e.id.rpartition("/")[2], e.evidence) if e.rule in SETTLED else seen)
    return sorted(made, key=str)


def last_events(results: Iterable[Result]) -> dict[str, Event]:
    return {r.id: r for r in results if isinstance(r, Event)}


def assert_same_end(one: Sequence[Result], other: Sequence[Result]) -> None:
    assert last_annotations(one) == last_annotations(other)
    assert closed_events(one) == closed_events(other)


# snapshots


def assert_restorable(records: Sequence[Features], offsets: Iterable[int]) -> None:
    """A snapshot before record k, restored elsewhere, goes on as the straight run does."""
    straight, old = machine(), machine()
    expected = [in_bytes(straight.push(record)) for record in records] + [in_bytes(straight.finish())]
    wanted = set(offsets)
    for k, record in enumerate([*records, END]):
        if k in wanted:
            new = reborn(old)
            assert [in_bytes(push(new, r)) for r in [*records[k:], END]] == expected[k:], f"restored before record {k}"
        push(old, record)


@pytest.mark.parametrize("tagged", [True, False], ids=["with headers", "without"])
def test_restored_run_equals_straight_run_at_every_offset(tagged: bool) -> None:
    records = [r for step in Scene(Random(4), tagged).steps() for r in step]
    assert_restorable(records, range(len(records) + 1))


def test_restored_run_equals_straight_run_when_a_whole_film_of_words_waits() -> None:
    scene = Scene(Random(1), tagged=True)
    words = scene.log.text(*(cue(i * 2667, i * 2667 + 1800, f"goal {i}" if i % 7 == 0 else "-") for i in range(900)))
    records = [RULES, words, *(scene.segment() for _ in range(12)), scene.text(-5000, 0), *scene.jumped()]
    assert_restorable(records, range(len(records) + 1))


@some
@given(randoms)
def test_a_run_that_is_restored_after_every_record_equals_the_straight_run(random: Random) -> None:
    records = [*mixed_log(random), END]
    straight, hopping = machine(), machine()
    for record in records:
        assert in_bytes(push(straight, record)) == in_bytes(push(hopping, record))
        hopping = reborn(hopping)


@few
@given(randoms)
def test_folding_what_the_log_holds_again_gives_equal_bytes(random: Random) -> None:
    records = mixed_log(random)
    written = [unpack_features(pack(record)) for record in records]
    assert in_bytes(feed(machine(), [*records, END])) == in_bytes(feed(machine(), [*written, END]))


# numbers, and what may change


@some
@given(randoms)
def test_results_are_numbered_ordered_and_never_change_once_final(random: Random) -> None:
    fold, out = machine(), list[Result]()
    for record in [*mixed_log(random), END]:
        left = fold.push(record) if not isinstance(record, str) else fold.finish()
        assert_ordered(left)
        assert_closed_stay_closed(out, left)
        out += left
    assert_numbered(out)
    assert_settling(out)
    assert all(e.end_ms is not None for e in last_events(out).values() if e.phase != "retracted")


def assert_closed_stay_closed(before: Sequence[Result], left: Sequence[Result]) -> None:
    """An event that ended in a window that is final is never told of again."""
    settled: dict[int, int] = {}
    for r in before:
        if isinstance(r, Annotation):
            settled[r.epoch] = max(settled.get(r.epoch, 0), r.settled_until_ms)
    closed = {
        e.id
        for e in last_events(before).values()
        if e.phase != "retracted" and e.end_ms is not None and e.end_ms + WINDOW_MS <= settled.get(e.epoch, 0)
    }
    assert not closed & {r.id for r in left if isinstance(r, Event)}


@some
@given(randoms)
def test_results_applied_in_any_order_leave_the_store_the_same(random: Random) -> None:
    results = [r for r in feed(machine(), [*mixed_log(random), END]) if isinstance(r, Annotation | Event)]
    shuffled = random.sample(results, len(results))
    assert kept(results) == kept([*shuffled, *shuffled[:5]])


def kept(results: Iterable[Annotation | Event]) -> tuple[object, ...]:
    store = MemoryStore(FixedClock(1_000_000))
    store.put(list(results))
    return store.timeline(STREAM), store.events(STREAM), store.latest(STREAM)


# order


@some
@given(randoms)
def test_any_interleaving_with_text_in_time_ends_the_same(random: Random) -> None:
    tagged = random.random() < 0.5
    segments = film(random, tagged=tagged)
    texts = words_for(segments, random)
    first = feed(machine(), [RULES, *texts, *segments, END])
    for _ in range(2):
        assert_same_end(first, feed(machine(), [RULES, *interleaved(segments, texts, random), END]))


def words_for(segments: Sequence[SegmentFeatures], random: Random) -> list[TextFeatures]:
    """Messages of cues anywhere in the film, in no order."""
    scene = Scene(random, tagged=False)
    span_ms = ends(segments)[-1]
    return [scene.text(0, span_ms) for _ in range(random.randint(1, 6))]


def ends(segments: Sequence[SegmentFeatures]) -> list[int]:
    return [round((s.last + s.last_duration) * 1000) for s in segments]


def interleaved(
    segments: Sequence[SegmentFeatures], texts: Sequence[TextFeatures], random: Random
) -> Iterator[Features]:
    """One log of both topics; each message comes while no window that its cues may reach is final."""
    waiting = list(segments)
    wm = [0, *accumulate(ends(segments), max)]
    for i, text in enumerate(texts):
        reached_ms = min(c.start_ms for t in texts[i:] for c in t.cues) - TOLERANCE_MS
        while waiting and random.random() < 0.85:
            n = len(segments) - len(waiting) + 1
            if max(0, min(wm[n] - SETTLE_MS, wm[n - 1])) >= -(-reached_ms // WINDOW_MS) * WINDOW_MS:
                break
            yield waiting.pop(0)
        yield text
    yield from waiting


@some
@given(randoms, st.booleans())
def test_every_segment_twice_changes_nothing(random: Random, tagged: bool) -> None:
    segments = film(random, tagged=tagged)
    twice = [copy for segment in segments for copy in (segment, segment)]
    assert in_bytes(feed(machine(), [RULES, *segments, END])) == in_bytes(feed(machine(), [RULES, *twice, END]))


@some
@given(randoms, st.booleans())
def test_swapped_neighbours_end_the_same(random: Random, tagged: bool) -> None:
    """Without headers the first segment says where media time begins, so it stays the first."""
    segments = film(random, tagged=tagged)
    swapped, i = list(segments), 0 if tagged else 1
    while i + 1 < len(swapped):
        if random.random() < 0.4:
            swapped[i : i + 2] = swapped[i + 1], swapped[i]
            i += 1
        i += 1
    straight, other = feed(machine(), [RULES, *segments, END]), feed(machine(), [RULES, *swapped, END])
    assert_same_end(straight, other)
    assert len({r.epoch for r in other if isinstance(r, Annotation)}) == 1


@some
@given(randoms, st.booleans())
def test_a_lost_segment_is_one_gap_and_no_new_run(random: Random, tagged: bool) -> None:
    segments = film(random, tagged=tagged)
    lost = random.randint(1, len(segments) - 2)
    out = feed(machine(), [RULES, *segments[:lost], *segments[lost + 1 :], END])
    gaps = [(r.start_ms, r.end_ms) for r in out if isinstance(r, Event) and r.rule == GAP]
    assert gaps == [(ends(segments)[lost - 1], ends(segments)[lost])]
    assert len({r.epoch for r in out if isinstance(r, Annotation)}) == 1
