"""Events as folds: hysteresis, what a re-fold publishes, what ends an event beside scores, what is final."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from framecue.analysis.events import (
    Change,
    Mark,
    Published,
    Run,
    Sample,
    Span,
    State,
    Thresholds,
    difference,
    open_span,
)
from framecue.schemas.event import Evidence, Phase, Reason

NOTHING = Evidence()


def samples(*scores: float | None, first_ms: int = 0) -> list[Sample]:
    """Windows of 2 s."""
    return [Sample(first_ms + 2000 * n, score) for n, score in enumerate(scores)]


def spans(thresholds: Thresholds, windows: Sequence[Sample]) -> list[tuple[int, int | None, float]]:
    state, out = State(), []
    for sample in windows:
        state, closed = thresholds.step(state, sample)
        out += [closed] if closed else []
    still = open_span(state)
    return [(s.start_ms, s.end_ms, s.peak) for s in [*out, *([still] if still else [])]]


PLAIN = Thresholds(0.6, 0.4)
TWO = Thresholds(0.6, 0.4, windows=2)
COOL = Thresholds(0.6, 0.4, cooldown_ms=4000)


@pytest.mark.parametrize(("thresholds", "scores", "expected"), [
    pytest.param(PLAIN, [.1, .6, .3], [(2000, 4000, .6)], id="enter at the threshold, bound included"),
    pytest.param(PLAIN, [.599, .1], [], id="just below is not in"),
    pytest.param(PLAIN, [.7, .4, .399], [(0, 4000, .7)], id="exit below the threshold, bound excluded"),
    pytest.param(PLAIN, [.7, .5, .9, .5], [(0, None, .9)], id="between the two it goes on; the peak is the largest"),
    pytest.param(PLAIN, [.7, None, None, .7, .1], [(0, 8000, .7)], id="a holding window ends nothing"),
    pytest.param(PLAIN, [None, None, .1], [], id="a holding window starts nothing"),
    pytest.param(PLAIN, [.7, .1, .7, .1], [(0, 2000, .7), (4000, 6000, .7)], id="out and in again: two"),
    pytest.param(Thresholds(.5, .5), [.5, .499, .5], [(0, 2000, .5), (4000, None, .5)], id="no hysteresis"),
    pytest.param(TWO, [.7, .2, .7], [], id="for two windows: one at a time is nothing"),
    pytest.param(TWO, [.7, .8, .5], [(0, None, .8)], id="it starts with the first of them, peak of both"),
    pytest.param(TWO, [.7, .5, .7], [], id="each of them at or above enter"),
    pytest.param(TWO, [.7, None, .7], [(0, None, .7)], id="a holding window between neither counts nor breaks"),
    pytest.param(TWO, [.9, .2, .6, .6], [(4000, None, .6)], id="the peak of a run that broke is forgotten"),
    pytest.param(COOL, [.7, .1, .7, .7, .7], [(0, 2000, .7), (6000, None, .7)], id="cooldown runs from the end"),
    pytest.param(
        Thresholds(.6, .4, windows=2, cooldown_ms=4000), [.7, .7, .1, .7, .7, .7], [(0, 4000, .7), (8000, None, .7)],
        id="windows within the cooldown do not count",
    ),
])  # fmt: skip
def test_thresholds(
    thresholds: Thresholds, scores: Sequence[float | None], expected: Sequence[tuple[int, int | None, float]]
):
    assert spans(thresholds, samples(*scores)) == list(expected)


@pytest.mark.parametrize(("windows", "expected"), [
    pytest.param(
        [Sample(88_000, 1.0, since_ms=30_000), Sample(90_000, 1.0, since_ms=30_000), Sample(92_000, 0.0)],
        [(30_000, 92_000, 1.0)], id="from the last word, to the window that has words",
    ),
    pytest.param(
        [Sample(88_000, 1.0, since_ms=30_000), Sample(90_000, 0.0, since_ms=91_200)],
        [(30_000, 91_200, 1.0)], id="to the word itself, where it begins within the window",
    ),
    pytest.param(
        [Sample(88_000, 1.0, since_ms=30_000), Sample(90_000, 0.0), Sample(92_000, 1.0, since_ms=30_000)],
        [(30_000, 90_000, 1.0), (90_000, None, 1.0)], id="never before the end of an earlier one",
    ),
])  # fmt: skip
def test_spans_of_words(windows: Sequence[Sample], expected: Sequence[tuple[int, int | None, float]]):
    assert spans(Thresholds(1.0, 1.0, spans="words"), windows) == list(expected)


def event(
    first_ms: int,
    start_ms: int,
    end_ms: int | None,
    *,
    phase: Phase | None = None,
    peak: float = 0.7,
    sequence: int = 1,
) -> Published:
    reason: Reason | None = None if end_ms is None else "score"
    usual: Phase = "started" if end_ms is None else "ended"
    return Published(first_ms, sequence, phase or usual, start_ms, end_ms, reason, peak)


def span(start_ms: int, end_ms: int | None, peak: float = 0.7) -> Span:
    return Span(start_ms, end_ms, None if end_ms is None else "score", peak, NOTHING)


def told(changes: Sequence[Change]) -> list[str]:
    return [
        f"{e.first_start_ms}#{e.sequence} {e.phase} {e.start_ms}-{'' if e.end_ms is None else e.end_ms}"
        for e, _ in changes
    ]


@pytest.mark.parametrize(("published", "now", "expected"), [
    pytest.param([], [span(2000, None)], ["2000#1 started 2000-"], id="new"),
    pytest.param(
        [], [span(2000, 6000)], ["2000#1 started 2000-", "2000#2 ended 2000-6000"],
        id="new and over already: started, then ended",
    ),
    pytest.param([event(2000, 2000, None)], [span(2000, None)], [], id="as it was"),
    pytest.param([event(2000, 2000, None)], [span(2000, None, .749)], [], id="a small rise of an open peak"),
    pytest.param([event(2000, 2000, None)], [span(2000, None, .75)], ["2000#2 updated 2000-"], id="a rise of .05"),
    pytest.param([event(2000, 2000, None)], [span(2000, None, .65)], ["2000#2 updated 2000-"], id="a fall of .05"),
    pytest.param(
        [event(2000, 2000, 4000)], [span(2000, 4000, .701)], ["2000#2 updated 2000-4000"],
        id="any change of the peak of an ended one",
    ),
    pytest.param([event(6000, 6000, None)], [span(4000, None)], ["6000#2 updated 4000-"], id="the start moves"),
    pytest.param([event(2000, 2000, None)], [span(2000, 6000)], ["2000#2 ended 2000-6000"], id="it ends"),
    pytest.param([event(2000, 2000, 6000)], [span(2000, 8000)], ["2000#2 updated 2000-8000"], id="the end moves"),
    pytest.param([event(2000, 2000, 6000)], [span(2000, None)], ["2000#2 updated 2000-"], id="it reopens"),
    pytest.param([event(2000, 2000, None)], [], ["2000#2 retracted 2000-"], id="it never was"),
    pytest.param(
        [event(2000, 2000, None, phase="retracted", sequence=2)], [span(2000, None)], ["2000#3 started 2000-"],
        id="a retracted one that starts again goes on with the next number",
    ),
    pytest.param(
        [event(2000, 2000, None, phase="retracted", sequence=2)], [span(4000, None)], ["4000#1 started 4000-"],
        id="a retracted one is not moved: another start is another event",
    ),
    pytest.param(
        [event(2000, 2000, 4000), event(6000, 6000, None)], [span(2000, None)],
        ["6000#2 retracted 6000-", "2000#2 updated 2000-"],
        id="two become one: the earliest goes on",
    ),
    pytest.param(
        [event(2000, 2000, None)], [span(2000, 4000), span(6000, None)],
        ["2000#2 ended 2000-4000", "6000#1 started 6000-"],
        id="one becomes two: it goes on where its first start lies",
    ),
    pytest.param(
        [event(2000, 2000, None)], [span(4000, 6000), span(8000, None)],
        ["2000#2 ended 4000-6000", "8000#1 started 8000-"],
        id="homeless: it goes on in the first that overlaps its last span",
    ),
    pytest.param(
        [event(2000, 2000, 4000)], [span(4000, 6000)],
        ["2000#2 retracted 2000-4000", "4000#1 started 4000-", "4000#2 ended 4000-6000"],
        id="touching is not overlapping",
    ),
    pytest.param(
        [event(2000, 2000, 8000), event(4000, 4000, None)], [span(4000, None)],
        ["2000#2 retracted 2000-8000"],
        id="the homeless one finds its span taken by one whose first start lies in it",
    ),
    pytest.param(
        [event(6000, 4000, 6000)], [span(4000, 6000, .8)], ["6000#2 updated 4000-6000"],
        id="its id may lie outside its span: it goes by overlap",
    ),
])  # fmt: skip
def test_difference(published: list[Published], now: Sequence[Span], expected: Sequence[str]):
    assert told(difference(published, now)) == list(expected)
    assert told(difference(published, now)) == [], "the second time there is nothing to say"


def run(*, settled: bool = False) -> Run:
    return Run("x", "identity", PLAIN, settled=settled, from_ms=0)


def fold(one: Run, windows: Sequence[Sample], *, final: int, next_ms: int | None) -> list[Change]:
    return one.fold([w.start_ms for w in windows], windows.__getitem__, final=final, next_ms=next_ms)


def test_an_early_run_speaks_with_the_window_and_takes_back():
    early = run()
    assert told(fold(early, samples(0.1, 0.7), final=0, next_ms=4000)) == ["2000#1 started 2000-"]
    early.invalidate(1)
    assert told(fold(early, samples(0.1, 0.5), final=0, next_ms=4000)) == ["2000#2 retracted 2000-"]


def test_a_settled_run_speaks_of_final_windows_only():
    settled = run(settled=True)
    assert fold(settled, samples(0.1, 0.7, 0.7, 0.1), final=1, next_ms=8000) == []
    assert told(fold(settled, samples(0.7, 0.7, 0.1, first_ms=2000), final=1, next_ms=8000)) == ["2000#1 started 2000-"]
    assert told(fold(settled, samples(0.7, 0.1, first_ms=4000), final=2, next_ms=8000)) == ["2000#2 ended 2000-6000"]


def test_windows_before_the_run_begins_are_not_looked_at():
    late = Run("x", "identity", PLAIN, settled=False, from_ms=2000)
    assert told(fold(late, samples(0.9, 0.1, 0.7), final=0, next_ms=6000)) == ["4000#1 started 4000-"]


@pytest.mark.parametrize(("settled", "expected"), [
    (False, [["2000#2 ended 2000-4000"], [], []]),
    (True, [[], ["2000#1 started 2000-", "2000#2 ended 2000-4000"], []]),
], ids=["early: at once", "settled: when the windows before are final"])  # fmt: skip
def test_a_mark_ends_what_is_open(settled: bool, expected: Sequence[Sequence[str]]):
    """A loss of signal where the watermark stands, at 4000; then the windows before it become final; then one more."""
    one = run(settled=settled)
    fold(one, samples(0.1, 0.7), final=0, next_ms=4000)
    one.marks.append(Mark(4000, "signal_lost"))
    out = [fold(one, samples(0.1, 0.7), final=0, next_ms=4000)]
    out.append(fold(one, samples(0.1, 0.7, 0.1), final=2, next_ms=6000))
    out.append(fold(one, samples(0.1, first_ms=4000), final=1, next_ms=6000))
    assert [told(changes) for changes in out] == list(expected)


def test_a_mark_within_a_window_stands_before_the_next():
    one = run()
    fold(one, samples(0.7), final=0, next_ms=2000)
    one.marks.append(Mark(3000, "signal_lost"))
    assert told(fold(one, samples(0.7), final=0, next_ms=2000)) == ["0#2 ended 0-3000"]
    assert told(fold(one, samples(0.7, 0.7), final=0, next_ms=4000)) == []
    assert told(fold(one, samples(0.7, 0.7, 0.7), final=0, next_ms=6000)) == ["4000#1 started 4000-"]


def test_a_late_score_moves_what_a_mark_ended():
    """The window before the mark never entered after all: nothing is left for the mark to end."""
    one = run()
    fold(one, samples(0.1, 0.7), final=0, next_ms=4000)
    one.marks.append(Mark(4000, "rule"))
    fold(one, samples(0.1, 0.7), final=0, next_ms=4000)
    one.invalidate(1)
    assert told(fold(one, samples(0.1, 0.1), final=0, next_ms=4000)) == ["2000#3 retracted 2000-4000"]


@pytest.mark.parametrize("settled", [False, True], ids=["early", "settled"])
def test_a_rule_that_ends_judges_nothing_after(settled: bool):
    one = run(settled=settled)
    fold(one, samples(0.7), final=0, next_ms=2000)
    one.end(2000)
    changes = fold(one, samples(0.7), final=0, next_ms=2000)
    changes += fold(one, samples(0.7, 0.9, 0.9), final=1, next_ms=6000)
    changes += fold(one, samples(0.9, 0.9, first_ms=2000), final=2, next_ms=6000)
    assert told(changes)[-1] == "0#2 ended 0-2000"
    assert [c.event.reason for c in changes][-1] == "rule"


def test_what_closed_in_final_windows_is_let_go_and_does_not_come_back():
    one = run()
    fold(one, samples(0.7, 0.1, 0.7), final=0, next_ms=6000)
    fold(one, samples(0.7, 0.1, 0.7), final=2, next_ms=6000)
    assert [e.first_start_ms for e in one.published] == [4000]
    assert told(fold(one, samples(0.7, first_ms=4000), final=1, next_ms=6000)) == []
    assert told(fold(one, samples(0.1, first_ms=6000), final=0, next_ms=8000)) == ["4000#2 ended 4000-6000"]


def test_evidence_is_of_the_window_with_the_peak():
    def window(at_ms: int, score: float) -> Sample:
        return Sample(at_ms, score, lambda: Evidence(picture=score))

    (change,) = fold(run(), [window(0, 0.6), window(2000, 0.9), window(4000, 0.7)], final=0, next_ms=6000)
    assert change.evidence.picture == 0.9
