"""Events as pure folds over windows, and the difference between what was published and what a re-fold says now.

windows      │ final, gone │  w1   w2   w3   w4 │ to come
states            base ────►  s1   s2   s3   s4
                               ▲
a late cue changes w2: s2 … s4 are folded again from s1; spans are compared with the events already published,
and only the difference leaves. What was decided in final windows is in `base` and never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from framecue.analysis.scores import DECIMALS
from framecue.schemas.event import Evidence, Phase, Reason

PEAK_STEP = 0.05
"""An open event is updated when its peak rises by this much."""


class Sample(NamedTuple):
    """A window as one rule sees it. `score` None holds: nothing starts, nothing ends.

    `since_ms` is where what the score tells began, where that is known better than to the window.
    """

    start_ms: int
    score: float | None
    evidence: Callable[[], Evidence] = Evidence
    since_ms: int | None = None


class State(NamedTuple):
    """Where one rule stands between two windows."""

    run_start_ms: int | None = None
    """Where the run of windows at or above `enter` began."""
    run: int = 0
    open_ms: int | None = None
    peak: float = 0.0
    evidence: Evidence | None = None
    free_from_ms: int | None = None
    """The end of the cooldown."""


class Span(NamedTuple):
    """An event as the fold sees it; `end_ms` None while it is open."""

    start_ms: int
    end_ms: int | None
    reason: Reason | None
    peak: float
    evidence: Evidence


@dataclass(frozen=True)
class Thresholds:
    """The hysteresis of one rule."""

    enter: float
    exit: float
    windows: int = 1
    cooldown_ms: int = 0
    spans: Literal["windows", "words"] = "windows"
    """Where events begin and end: with windows, or where the words did (never before an earlier end)."""

    def step(self, state: State, sample: Sample) -> tuple[State, Span | None]:
        """The state after one more window, and the span that it closed."""
        score = sample.score
        if score is None:
            return state, None
        if self.spans == "words":
            return self._step_words(state, sample)
        if state.open_ms is not None:
            if score < self.exit:
                return self.close(state, sample.start_ms, "score")
            return (self._risen(state, sample, score) if score > state.peak else state), None
        if score < self.enter or (state.free_from_ms is not None and sample.start_ms < state.free_from_ms):
            return State(free_from_ms=state.free_from_ms), None
        start = sample.start_ms if state.run_start_ms is None else state.run_start_ms
        state = state._replace(run_start_ms=start, run=state.run + 1)
        if score > state.peak:
            state = self._risen(state, sample, score)
        if state.run >= self.windows:
            state = state._replace(open_ms=start)
        return state, None

    def _step_words(self, state: State, sample: Sample) -> tuple[State, Span | None]:
        since = sample.start_ms if sample.since_ms is None else sample.since_ms
        if not sample.score:
            return (state, None) if state.open_ms is None else self.close(state, since, "back")
        if state.open_ms is None:
            start = since if state.free_from_ms is None else max(since, state.free_from_ms)
            state = state._replace(open_ms=start, peak=1.0)
        return state, None

    @staticmethod
    def _risen(state: State, sample: Sample, score: float) -> State:
        return state._replace(peak=score, evidence=sample.evidence())

    def close(self, state: State, at_ms: int, reason: Reason) -> tuple[State, Span | None]:
        """The state after everything open is ended at `at_ms`, and the span that this closed."""
        if state.open_ms is None:
            return State(free_from_ms=state.free_from_ms), None
        span = Span(state.open_ms, max(at_ms, state.open_ms), reason, state.peak, state.evidence or Evidence())
        return State(free_from_ms=at_ms + self.cooldown_ms), span


def open_span(state: State) -> Span | None:
    """The event that is open in `state`."""
    if state.open_ms is None:
        return None
    return Span(state.open_ms, None, None, state.peak, state.evidence or Evidence())


@dataclass
class Published:
    """An event of which records left, as the last one showed it. `first_start_ms` is its identity."""

    first_start_ms: int
    sequence: int
    phase: Phase
    start_ms: int
    end_ms: int | None
    reason: Reason | None
    peak: float

    def show(self, phase: Phase, start_ms: int, end_ms: int | None, reason: Reason | None, peak: float) -> None:
        """Makes this what the next record says."""
        self.sequence += 1
        self.phase, self.start_ms, self.end_ms, self.reason, self.peak = phase, start_ms, end_ms, reason, peak


class Change(NamedTuple):
    """One event record to be published."""

    event: Published
    evidence: Evidence


def difference(published: list[Published], spans: Sequence[Span]) -> list[Change]:
    """The records that turn `published` into `spans`; updates `published` to match. Both are in time order."""
    owner = _matched(published, spans)
    kept = {event.first_start_ms for event in owner.values()}
    changes: list[Change] = []
    for event in published:
        if event.phase != "retracted" and event.first_start_ms not in kept:
            event.show("retracted", event.start_ms, event.end_ms, event.reason, event.peak)
            changes.append(_change(event, Evidence()))
    for i, span in enumerate(spans):
        changes += _continue(owner[i], span) if i in owner else _start(published, span)
    return changes


def _matched(published: Sequence[Published], spans: Sequence[Span]) -> dict[int, Published]:
    """Which published event goes on in which span."""
    owner: dict[int, Published] = {}
    alive = sorted((e for e in published if e.phase != "retracted"), key=lambda e: e.first_start_ms)
    homeless = []
    for event in alive:
        home = next((i for i, s in enumerate(spans) if _contains(s, event.first_start_ms)), None)
        if home is None:
            homeless.append(event)
        elif home not in owner:
            owner[home] = event
    for event in homeless:
        for i, span in enumerate(spans):
            if i not in owner and _touches(span, event):
                owner[i] = event
                break
    return owner


def _contains(span: Span, at_ms: int) -> bool:
    return span.start_ms <= at_ms and (span.end_ms is None or at_ms < span.end_ms)


def _touches(span: Span, event: Published) -> bool:
    return (event.end_ms is None or span.start_ms < event.end_ms) and (
        span.end_ms is None or event.start_ms < span.end_ms
    )


def _start(published: list[Published], span: Span) -> list[Change]:
    """A new event, or a retracted one that begins again; one that is over already is started first, then ended."""
    event = next((e for e in published if e.first_start_ms == span.start_ms), None)
    if event is None:
        event = Published(span.start_ms, 0, "started", span.start_ms, None, None, span.peak)
        published.append(event)
        published.sort(key=lambda e: e.first_start_ms)
    event.show("started", span.start_ms, None, None, span.peak)
    changes = [_change(event, span.evidence)]
    return changes + (_continue(event, span) if span.end_ms is not None else [])


def _continue(event: Published, span: Span) -> list[Change]:
    """The record, if any, that brings `event` to `span`."""
    was_open, is_open = event.end_ms is None, span.end_ms is None
    risen = round(abs(span.peak - event.peak), DECIMALS)
    moved = (event.start_ms, event.end_ms, event.reason) != (span.start_ms, span.end_ms, span.reason)
    if not moved and risen < (PEAK_STEP if is_open else 10**-DECIMALS):
        return []
    phase: Phase = "ended" if was_open and not is_open else "updated"
    event.show(phase, span.start_ms, span.end_ms, span.reason, span.peak)
    return [_change(event, span.evidence)]


def _change(event: Published, evidence: Evidence) -> Change:
    return Change(Published(**vars(event)), evidence)


class Mark(NamedTuple):
    """Something beside scores that ends events: it stands before the first window that begins at or after `at_ms`."""

    at_ms: int
    reason: Reason


class Step(NamedTuple):
    """The state after a window, and the spans that closed on the way there."""

    state: State
    closed: tuple[Span, ...]


@dataclass
class Run:
    """One rule as it is followed through one epoch, from the first window that it judges to the last."""

    name: str
    identity: str
    thresholds: Thresholds
    settled: bool
    """Looks at windows as they become final, and nothing of it is ever retracted."""
    from_ms: int
    text_only: bool = False
    """Goes on when the picture is lost."""
    until_ms: int | None = None
    """The start of the first window that it no longer judges."""
    base: State = field(default_factory=State)
    marks: list[Mark] = field(default_factory=list)
    """Those that stand before windows not yet in `base`, in time order."""
    published: list[Published] = field(default_factory=list)
    """Events that may still change, in the order they began."""
    trace: Annotated[list[Step], Field(exclude=True)] = field(default_factory=list, repr=False)
    """State after each window that may still change, and what closed there. Can be folded again from `base`."""

    def invalidate(self, index: int) -> None:
        """Window `index` of those that may still change is not what it was."""
        del self.trace[index:]

    def end(self, at_ms: int) -> None:
        """The rule is gone: it judges no window from `at_ms` on, and its last event ends there."""
        self.until_ms = at_ms
        self.marks.append(Mark(at_ms, "rule"))

    def fold(
        self, starts: Sequence[int], sample: Callable[[int], Sample], *, final: int, next_ms: int | None
    ) -> list[Change]:
        """What changes when the windows at `starts` are folded as far as they are not yet; then the first `final` go.

        `starts` are the windows that could still change before this record, in time order, and `sample` says how the
        n-th of them looks. `next_ms` is where the first window after them will begin, None when there will be none:
        then every mark is due.
        """
        upto = final if self.settled else len(starts)
        if len(self.trace) == upto and not final and not self.marks:
            return []
        for i in range(len(self.trace), upto):
            self.trace.append(self._step(starts, i, sample(i)))
        spans = [span for step in self.trace[:upto] if step.closed for span in step.closed]
        state = self.trace[upto - 1].state if upto else self.base
        due_ms = starts[upto] if upto < len(starts) else next_ms
        for mark in self._marks_after(starts, upto):
            if not self.settled or due_ms is None or mark.at_ms <= due_ms:
                state, span = self.thresholds.close(state, mark.at_ms, mark.reason)
                spans += [span] if span else []
        if (still := open_span(state)) is not None:
            spans.append(still)
        changes = difference(self.published, spans) if spans or self.published else []
        self._advance(starts, final, starts[final] if final < len(starts) else next_ms)
        return changes

    def _step(self, starts: Sequence[int], i: int, sample: Sample) -> Step:
        """The state after window `i`, and the spans closed by the marks before it and by its score."""
        state, closed = self.trace[i - 1].state if i else self.base, []
        for mark in self._marks_after(starts, i):
            if mark.at_ms <= sample.start_ms:
                state, span = self.thresholds.close(state, mark.at_ms, mark.reason)
                closed += [span] if span else []
        if self.from_ms <= sample.start_ms and (self.until_ms is None or sample.start_ms < self.until_ms):
            state, span = self.thresholds.step(state, sample)
            closed += [span] if span else []
        return Step(state, tuple(closed))

    def _marks_after(self, starts: Sequence[int], n: int) -> list[Mark]:
        """The marks that do not stand before any of the first `n` windows."""
        return [m for m in self.marks if not n or m.at_ms > starts[n - 1]] if self.marks else []

    def _advance(self, starts: Sequence[int], final: int, rest_ms: int | None) -> None:
        """Moves `base` over the first `final` windows; what closed there can no longer change."""
        if not final:
            return
        closed = {span.start_ms for step in self.trace[:final] for span in step.closed}
        self.marks = self._marks_after(starts, final)
        self.base = self.trace[final - 1].state
        del self.trace[:final]
        if not self.published:
            return
        # events that begin where words did may begin long before the windows that tell of them
        from_ms = rest_ms if self.thresholds.spans == "windows" else self.base.free_from_ms
        self.published = [
            event
            for event in self.published
            if event.start_ms not in closed
            and not (event.phase == "retracted" and from_ms is not None and event.first_start_ms < from_ms)
        ]
