"""Where everything of a run stands on its page: recorded results in, plain values for the template out.

    time  ├──────┼──────┼──────┼──────┤      one axis per epoch; every place is a percentage of it, so the page
    scene [street     ][ unknown ][ man ]    can be as narrow or as wide as it likes
    rule  ▁▃▇▇▁ enter ┄┄┄ exit ┄┄┄           one chart per rule: bars for picture and words, a line for the score
    event     [======]
    words   [cue ][cue  ]                    where they were joined, and where they appeared

Pure: knows the wire models and no HTML. Text is cleaned here and escaped by the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from framecue.schemas.annotation import Annotation, JoinedCue, RuleScore, Scene
from framecue.schemas.event import WARNING, Event
from framecue.schemas.rules import UNKNOWN, EventRule, RuleSet
from framecue_services.cli.report.recording import Recorded
from framecue_services.cli.wording import (
    about_faces,
    clean,
    clock,
    decided_by,
    degraded,
    ending,
    event_name,
    is_built_in,
    text_state,
)

TICKS_MAX = 12
LEADS_MAX = 20
"""Pictures side by side while the whole film fits the page: more would be slivers."""
ROW_RULES_MAX = 4
"""A row of the table of windows names at most this many rules, best first; the charts show all."""
EVENTS_MAX = 200
BUILT_IN_MAX = 300
RUNNERS_UP_MAX = 3
NO_COLOR = "c0"
_STEPS_MS = (1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000)


@dataclass(frozen=True)
class Span:
    """Something on the time axis; `left` and `width` in per cent of it."""

    left: float
    width: float
    text: str = ""
    title: str = ""
    kind: str = ""
    picture: bytes | None = field(default=None, repr=False)
    lead: float | None = None


@dataclass(frozen=True)
class Chart:
    """One rule over time. Paths are SVG data in a box of 1000 by 100, 0 at the bottom; `spans` are its events."""

    name: str
    combine: str
    looks_for: tuple[tuple[str, str], ...]
    enter: float
    exit: float
    picture: str
    text: str
    score: str
    spans: tuple[Span, ...]
    peak: float | None
    picture_peak: float | None
    text_peak: float | None


@dataclass(frozen=True)
class WindowScore:
    """One rule in one window, for a row of the table."""

    rule: str
    score: float | None
    picture: float | None
    text: float | None


@dataclass(frozen=True)
class WindowRow:
    """All that is known of one window."""

    at: str
    until: str
    left: float
    width: float
    label: str
    score: float | None
    color: str
    runners_up: tuple[tuple[str, float], ...]
    matched: tuple[tuple[str, float], ...]
    rules: tuple[WindowScore, ...]
    quotes: tuple[str, ...]
    text_state: str
    caption: str
    degraded: str
    revision: int


@dataclass(frozen=True)
class CueRow:
    """A cue as it was joined: the shortest way to check a lag."""

    at: str
    until: str
    appeared: str
    lag: str
    text: str
    language: str
    source: str


@dataclass(frozen=True)
class EventCard:
    """An event with what carried it."""

    name: str
    at: str
    until: str
    peak: float | None
    decided_by: str
    ending: str
    picture: float | None
    text: float | None
    enter: float | None
    exit: float | None
    quotes: tuple[tuple[str, str], ...]
    frames: tuple[tuple[str, bytes], ...] = field(repr=False)
    history: tuple[str, ...] = ()
    retracted: bool = False


@dataclass(frozen=True)
class BuiltIn:
    """An event that needs no rule."""

    at: str
    name: str
    message: str
    is_warning: bool


@dataclass(frozen=True)
class Timeline:
    """One epoch. `columns` is its number of windows: the page scrolls where they get too narrow."""

    title: str
    columns: int
    ticks: tuple[Span, ...]
    thumbnails: tuple[Span, ...]
    scenes: tuple[Span, ...]
    charts: tuple[Chart, ...]
    marks: tuple[Span, ...]
    cues: tuple[Span, ...]
    hatched: tuple[Span, ...]
    rows: tuple[WindowRow, ...]


@dataclass(frozen=True)
class Share:
    """How much of the time a label led."""

    label: str
    color: str
    percent: float
    time: str


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    timelines: tuple[Timeline, ...]
    shares: tuple[Share, ...]
    labels: tuple[str, ...]
    events: tuple[EventCard, ...]
    events_left_out: int
    built_in: tuple[BuiltIn, ...]
    built_in_left_out: int
    cues: tuple[CueRow, ...]
    windows: int
    revised: int
    degraded: int
    models: tuple[tuple[str, str], ...]
    calibrated: bool
    thumbnail_every: int
    evidence_left_out: int
    faces: str
    unblurred: bool
    withheld: int
    duration: str


@dataclass(frozen=True)
class _Axis:
    start_ms: int
    end_ms: int

    def place(self, ms: int) -> float:
        """Per cent of the axis, to two decimals: a pixel of 10 000."""
        span = max(1, self.end_ms - self.start_ms)
        return round(100 * min(1.0, max(0.0, (ms - self.start_ms) / span)), 2)

    def span(self, start_ms: int, end_ms: int, **more: object) -> Span:
        left = self.place(start_ms)
        return Span(left, round(self.place(max(end_ms, start_ms)) - left, 2), **more)  # type: ignore[arg-type]


def lay_out(recorded: Recorded, rules: RuleSet) -> Page:
    """The page of a run, under the rules that were in force."""
    colors = _colors(recorded.annotations)
    named = {rule.name: rule for rule in rules.events}
    latest = [history[-1] for history in recorded.events]
    user = [h for h in recorded.events if not is_built_in(h[-1].rule)]
    own = [e for e in latest if is_built_in(e.rule)]
    timelines = tuple(
        _timeline(tuple(group), latest, named, colors, recorded, title=f"run {epoch}")
        for epoch, group in groupby(recorded.annotations, key=lambda a: a.epoch)
    )
    return Page(
        timelines=timelines,
        shares=_shares(recorded.annotations, colors),
        labels=tuple(clean(label) for scene in rules.scenes for label in scene.labels),
        events=tuple(_card(h, named.get(h[-1].rule), recorded) for h in user[:EVENTS_MAX]),
        events_left_out=max(0, len(user) - EVENTS_MAX),
        built_in=tuple(_built_in(e) for e in own[:BUILT_IN_MAX]),
        built_in_left_out=max(0, len(own) - BUILT_IN_MAX),
        cues=tuple(_cue_row(cue) for cue in _cues(recorded.annotations)),
        windows=len(recorded.annotations),
        revised=sum(a.revision > 1 for a in recorded.annotations),
        degraded=sum(a.degraded is not None for a in recorded.annotations),
        models=tuple(sorted({(a.model, a.space) for a in recorded.annotations})),
        calibrated=all(a.calibrated for a in recorded.annotations),
        thumbnail_every=recorded.thumbnail_every,
        evidence_left_out=recorded.evidence_left_out,
        faces=about_faces(recorded.faces),
        unblurred=recorded.faces.startswith("unblurred"),
        withheld=recorded.withheld,
        duration=clock(sum(a.end_ms - a.start_ms for a in recorded.annotations) // 1000 * 1000),
    )


def _timeline(
    windows: Sequence[Annotation],
    events: Sequence[Event],
    rules: dict[str, EventRule],
    colors: dict[str, str],
    recorded: Recorded,
    *,
    title: str,
) -> Timeline:
    epoch = windows[0].epoch
    here = [e for e in events if e.epoch == epoch and e.phase != "retracted"]
    axis = _Axis(windows[0].start_ms, max(a.end_ms for a in windows))
    judged: dict[str, list[tuple[Annotation, RuleScore]]] = {}
    for a in windows:
        for r in a.rules:
            judged.setdefault(r.rule, []).append((a, r))
    return Timeline(
        title=title,
        columns=len(windows),
        ticks=_ticks(axis),
        thumbnails=_thumbnails(windows, axis, recorded),
        scenes=tuple(_scene_bands(windows, axis, colors)),
        charts=tuple(
            _chart(rule, judged[name], [e for e in here if e.rule == name], axis)
            for name, rule in rules.items()
            if name in judged
        ),
        marks=tuple(_mark(e, axis) for e in here if is_built_in(e.rule)),
        cues=tuple(_cue_spans(windows, axis)),
        hatched=tuple(axis.span(a.start_ms, a.end_ms, title=degraded(a.degraded)) for a in windows if a.degraded),
        rows=tuple(_row(a, axis, colors, recorded) for a in windows),
    )


def _colors(annotations: Iterable[Annotation]) -> dict[str, str]:
    """A colour class for each label that ever leads, in order of appearance: eight hues, then again from the first."""
    found = {UNKNOWN: NO_COLOR}
    for annotation in annotations:
        if annotation.scene is not None:
            found.setdefault(annotation.scene.label, f"c{(len(found) - 1) % 8 + 1}")
    return found


def _ticks(axis: _Axis) -> tuple[Span, ...]:
    length = axis.end_ms - axis.start_ms
    step = next((s for s in _STEPS_MS if length / s <= TICKS_MAX), -(-length // TICKS_MAX // 3_600_000 + 1) * 3_600_000)
    first = -(-axis.start_ms // step) * step
    return tuple(axis.span(at, at, text=clock(at)) for at in range(first, axis.end_ms, step))


def _thumbnails(windows: Sequence[Annotation], axis: _Axis, recorded: Recorded) -> tuple[Span, ...]:
    """Each picture stretches to where the next one begins; a `lead` to the next lead while the page is not wide."""
    kept = [a for a in windows if a.id in recorded.thumbnails]
    if not kept:
        return ()
    ends = [*(a.start_ms for a in kept[1:]), axis.end_ms]
    every = max(1, -(-len(kept) // LEADS_MAX))
    shown, after = kept[::every], [*(a.start_ms for a in kept[every::every]), axis.end_ms]
    leads = {a.id: axis.span(a.start_ms, end).width for a, end in zip(shown, after, strict=False)}
    return tuple(
        axis.span(a.start_ms, end, picture=recorded.thumbnails[a.id], text=clock(a.start_ms), lead=leads.get(a.id))
        for a, end in zip(kept, ends, strict=True)
    )


def _scene_bands(windows: Sequence[Annotation], axis: _Axis, colors: dict[str, str]) -> Iterable[Span]:
    """Neighbours with one label share a band; where there is no scene there is none."""
    for label, group in groupby(windows, key=lambda a: None if a.scene is None else a.scene.label):
        run = list(group)
        if label is None:
            continue
        scores = [a.scene.score for a in run if a.scene is not None]
        span = f"{clock(run[0].start_ms)} to {clock(run[-1].end_ms)}"
        title = f"{clean(label)}, {span}, score {min(scores):.2f} to {max(scores):.2f}"
        yield axis.span(run[0].start_ms, run[-1].end_ms, text=clean(label), title=title, kind=colors[label])


def _chart(
    rule: EventRule, scores: Sequence[tuple[Annotation, RuleScore]], events: Sequence[Event], axis: _Axis
) -> Chart:
    return Chart(
        name=clean(rule.name),
        combine=rule.combine,
        looks_for=_looks_for(rule),
        enter=rule.enter,
        exit=rule.exit,
        picture=_bars(((a, r.picture) for a, r in scores), axis, part=(0.12, 0.5)),
        text=_bars(((a, r.text) for a, r in scores), axis, part=(0.5, 0.88)),
        score=_steps(scores, axis),
        spans=tuple(_event_span(e, axis, axis.end_ms) for e in events),
        peak=_peak(r.score for _, r in scores),
        picture_peak=_peak(r.picture for _, r in scores),
        text_peak=_peak(r.text for _, r in scores),
    )


def _looks_for(rule: EventRule) -> tuple[tuple[str, str], ...]:
    kinds = (("picture", rule.picture), ("words", rule.text), ("not", rule.negatives))
    return tuple((kind, " · ".join(map(clean, phrases))) for kind, phrases in kinds if phrases)


def _peak(scores: Iterable[float | None]) -> float | None:
    return max((s for s in scores if s is not None), default=None)


def _bars(scores: Iterable[tuple[Annotation, float | None]], axis: _Axis, *, part: tuple[float, float]) -> str:
    """Bars from the bottom, each in the `part` of its window that is this modality's."""
    out = []
    for a, score in scores:
        if score:
            left = 10 * axis.place(a.start_ms)
            width = 10 * axis.place(a.end_ms) - left
            x0, x1 = left + part[0] * width, left + part[1] * width
            out.append(f"M{x0:.1f} 100V{100 - 100 * score:.1f}H{x1:.1f}V100Z")
    return "".join(out)


def _steps(scores: Sequence[tuple[Annotation, RuleScore]], axis: _Axis) -> str:
    """One level per window; broken where a rule holds without a score, or a window is missing."""
    out, last_end = [], None
    for a, r in scores:
        if r.score is None:
            last_end = None
            continue
        move = "L" if last_end == a.start_ms else "M"
        y = f"{100 - 100 * r.score:.1f}"
        out.append(f"{move}{10 * axis.place(a.start_ms):.1f} {y}L{10 * axis.place(a.end_ms):.1f} {y}")
        last_end = a.end_ms
    return "".join(out)


def _event_span(event: Event, axis: _Axis, open_until_ms: int) -> Span:
    end_ms = open_until_ms if event.end_ms is None else event.end_ms
    peak = "" if event.peak is None else f", peak {event.peak:.2f}"
    title = f"{event_name(event.rule)}, {clock(event.start_ms)} to {clock(end_ms)}{peak}"
    return axis.span(event.start_ms, end_ms, text=clean(event.rule), title=clean(title))


def _mark(event: Event, axis: _Axis) -> Span:
    said = f": {clean(event.message)}" if event.message else ""
    title = f"{clock(event.start_ms)} {event_name(event.rule)}{said}"
    end_ms = event.start_ms if event.end_ms is None else event.end_ms
    return axis.span(
        event.start_ms, end_ms, text=event_name(event.rule), title=title, kind=event_name(event.rule).replace(" ", "-")
    )


def _cues(windows: Iterable[Annotation]) -> tuple[JoinedCue, ...]:
    """Every cue that was joined anywhere, once, in the order of its time."""
    return tuple(sorted({c for a in windows for c in a.text.cues}, key=lambda c: (c.start_ms, c.end_ms, c.text)))


def _cue_spans(windows: Sequence[Annotation], axis: _Axis) -> Iterable[Span]:
    for cue in _cues(windows):
        late = f", appeared {cue.lag_ms / 1000:g} s later" if cue.lag_ms else ""
        text = clean(cue.text)
        yield axis.span(
            cue.start_ms, cue.end_ms, text=text, title=f"{clock(cue.start_ms)}{late}: {text}", kind="joined"
        )
        if cue.lag_ms:
            yield axis.span(cue.start_ms + cue.lag_ms, cue.end_ms + cue.lag_ms, kind="appeared")


def _cue_row(cue: JoinedCue) -> CueRow:
    return CueRow(
        at=clock(cue.start_ms),
        until=clock(cue.end_ms),
        appeared=clock(cue.start_ms + cue.lag_ms),
        lag=f"{cue.lag_ms / 1000:g} s" if cue.lag_ms else "none",
        text=clean(cue.text),
        language=cue.language or "",
        source=cue.source,
    )


def _row(a: Annotation, axis: _Axis, colors: dict[str, str], recorded: Recorded) -> WindowRow:
    place = axis.span(a.start_ms, a.end_ms)
    scene = a.scene or Scene(label="no scene", score=0)
    best = sorted(a.rules, key=lambda r: -max(r.score or 0, r.picture or 0, r.text or 0))[:ROW_RULES_MAX]
    caption = recorded.captions.get(a.id)
    return WindowRow(
        at=clock(a.start_ms),
        until=clock(a.end_ms),
        left=place.left,
        width=place.width,
        label=clean(scene.label),
        score=scene.score if a.scene else None,
        color=colors.get(scene.label, NO_COLOR),
        runners_up=tuple((clean(r.label), r.score) for r in scene.runners_up[:RUNNERS_UP_MAX]),
        matched=tuple((clean(m.label), m.score) for m in scene.matched),
        rules=tuple(WindowScore(clean(r.rule), r.score, r.picture, r.text) for r in best),
        quotes=tuple(clean(c.text) for c in a.text.cues),
        text_state=text_state(a),
        caption=clean(caption.text) if caption is not None and caption.text else "",
        degraded=degraded(a.degraded) if a.degraded else "",
        revision=a.revision,
    )


def _card(history: Sequence[Event], rule: EventRule | None, recorded: Recorded) -> EventCard:
    event = history[-1]
    return EventCard(
        name=event_name(event.rule),
        at=clock(event.start_ms),
        until="" if event.end_ms is None else clock(event.end_ms),
        peak=event.peak,
        decided_by=decided_by(rule, event),
        ending=ending(event, rule),
        picture=event.evidence.picture,
        text=event.evidence.text,
        enter=None if rule is None else rule.enter,
        exit=None if rule is None else rule.exit,
        quotes=tuple((clock(c.start_ms), clean(c.text)) for c in event.evidence.cues),
        frames=tuple((clock(ref.at_ms), jpeg) for ref, jpeg in recorded.evidence.get(event.id, ())),
        history=tuple(_change(e) for e in history),
        retracted=event.phase == "retracted",
    )


def _change(event: Event) -> str:
    peak = "" if event.peak is None else f", peak {event.peak:.2f}"
    end = "" if event.end_ms is None else f", end {clock(event.end_ms)}"
    return f"{event.phase}: start {clock(event.start_ms)}{end}{peak}"


def _built_in(event: Event) -> BuiltIn:
    return BuiltIn(
        at=clock(event.start_ms),
        name=event_name(event.rule),
        message=clean(event.message or ""),
        is_warning=event.rule == WARNING,
    )


def _shares(annotations: Sequence[Annotation], colors: dict[str, str]) -> tuple[Share, ...]:
    led: dict[str, int] = {}
    for a in annotations:
        if a.scene is not None:
            led[a.scene.label] = led.get(a.scene.label, 0) + a.end_ms - a.start_ms
    total = sum(led.values())
    ordered = sorted(led.items(), key=lambda item: -item[1])
    return tuple(Share(clean(label), colors[label], round(100 * ms / total, 1), clock(ms)) for label, ms in ordered)
