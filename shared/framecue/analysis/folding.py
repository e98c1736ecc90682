"""One run of a stream: its windows, words and rules, and what leaves when something of them changes.

A window, a late cue and a re-fold on the media time axis (2 s windows, settle 10 s):

    media time   0        2        4        6        8        10       12
    windows      │   w0   │   w1   │   w2   │   w3   │   w4   │ (open)
    frames        • • • •  • • • •  • • • •  • • • •  • • • •  • •
    watermark                                                   ▲ wm = 11
    settled          ▲ 1 = min(wm - settle, wm before the last segment); what ends before it is final
    published     r1       r1       r1       r1       r1

    a late cue [3.0, 4.5) comes:
    joined               ╞══════╡
    judged again           w1       w2                          r2 of both, one record each
    folded again          s0 ──►  s1 ──►  s2 ──►  s3 ──►  s4    from the state before w1
    published             events: only the difference           started, updated, ended or retracted

The order within one record: annotations in window order, at most one a window, then events.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeAlias

from framecue.analysis.captioning import caption_requests
from framecue.analysis.epoch import Epoch, Gap
from framecue.analysis.events import Change, Mark, Published, Run, Sample, Thresholds
from framecue.analysis.looks import Looks, Shares
from framecue.analysis.order import Placement
from framecue.analysis.rules import CompiledRules
from framecue.analysis.settings import MachineSettings
from framecue.analysis.windows import (
    Frame,
    Judged,
    KnownScores,
    Window,
    annotation_of,
    content_digest,
    evidence,
    judge,
)
from framecue.analysis.words import Cue
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import CaptionRequest
from framecue.schemas.event import (
    BLACK,
    FROZEN,
    GAP,
    SHOT_CUT,
    SIGNAL_LOST,
    SUBTITLES_LOST,
    WARNING,
    Event,
    Evidence,
    Reason,
)
from framecue.schemas.features import SegmentFeatures
from framecue.timeline import distance, rfc3339, subtract, to_ms, window_start

Leaving: TypeAlias = Annotation | Event | CaptionRequest

REMEMBERED = 64
"""How many warnings and single events are kept to tell a second one from a first."""

BUILT_IN = frozenset((BLACK, FROZEN, SUBTITLES_LOST))
"""Runs that no rules record begins or ends; their names are their identities."""

FROZEN_WINDOWS = 2
"""A still picture is no news for one window: slides and title cards stand for a moment."""


class EpochFold:
    """Moves one epoch on: takes in what a record brings, then says what leaves.

    Caches (what was judged, scores of frames and cues) hold nothing that the state does not determine.
    """

    def __init__(
        self, state: Epoch, *, stream: str, model: str, settings: MachineSettings, compiled: Mapping[str, CompiledRules]
    ) -> None:
        self.state = state
        self._stream, self._model, self._settings, self._compiled = stream, model, settings, compiled
        self._known = KnownScores()
        self._judged: dict[int, Judged] = {}
        self._looks = Looks()
        self._dirty: set[int] = set()
        """Windows, by start, that are to be judged again."""
        self._reframed: set[int] = set()
        """Those whose frames, or the frame before them, are others now."""
        self._shares: dict[int, Shares | None] = {}
        self._fresh: dict[int, frozenset[str]] = {}
        """For each window judged again, the rules that say something else of it, by identity."""
        self._marked = False
        self._singles: list[Event] = []
        self._width = settings.window_ms

    # taking in

    def begin(self, begin_ms: int) -> None:
        """The first segment begins at `begin_ms`: windows start with the one it lies in."""
        first = self.state.next_ms = window_start(begin_ms, self._width)
        still = Thresholds(0.6, 0.4, windows=FROZEN_WINDOWS)
        self.state.runs = [
            Run(BLACK, BLACK, Thresholds(0.6, 0.4), settled=False, from_ms=first),
            Run(FROZEN, FROZEN, still, settled=False, from_ms=first),
            Run(
                SUBTITLES_LOST,
                SUBTITLES_LOST,
                Thresholds(1.0, 1.0, spans="words"),
                settled=False,
                from_ms=first,
                text_only=True,
            ),
        ]

    def use_rules(self, rules: CompiledRules) -> None:
        """Windows that end from now on are judged by `rules`; a rule that did not change goes on."""
        state = self.state
        state.rules = rules.version
        wanted = BUILT_IN.union(rules.identities)
        for run in state.runs:
            if run.until_ms is None and run.identity not in wanted:
                run.end(state.next_ms)
                self._marked = True
        going = {run.identity for run in state.runs if run.until_ms is None}
        for rule, identity in zip(rules.events, rules.identities, strict=True):
            if identity not in going:
                need = max(1, math.ceil(rule.for_ms / self._width))
                thresholds = Thresholds(rule.enter, rule.exit, windows=need, cooldown_ms=rule.cooldown_ms)
                settled = rule.when == "settled"
                text_only = rule.combine == "text"
                run = Run(rule.name, identity, thresholds, settled=settled, from_ms=state.next_ms, text_only=text_only)
                state.runs.append(run)

    def accept(self, segment: SegmentFeatures, placement: Placement, *, gap: bool) -> None:
        """Takes in a segment that has a place: its frames, what it fills or leaves open, the watermark."""
        state, base = self.state, self.state.timebase
        self._open_before(placement)
        if gap:
            state.gaps.append(Gap(base.wm_ms or 0, placement.begin_ms, state.segments))
        elif base.wm_ms is not None and placement.begin_ms < base.wm_ms:
            self._fill(placement.begin_ms, placement.end_ms)
        for frame in segment.frames:
            self._take_frame(Frame(
                at_ms=placement.media_ms(frame.at),
                cell=(0 if segment.start is not None else to_ms(placement.offset), frame.cell),
                partition=segment.media_partition,
                offset=segment.media_offset,
                index=frame.index,
                vector=frame.vector,
                samples=frame.grid,
            ))  # fmt: skip
        if segment.damaged is not None:
            for window in self._windows_of(placement.begin_ms, placement.end_ms):
                window.damaged = True
                self._dirty.add(window.start_ms)
        base.accept(segment, placement)
        state.segments += 1
        state.clock.accept(
            begin_ms=placement.begin_ms,
            end_ms=placement.end_ms,
            append_ms=segment.origin.at_ms,
            captured_at_ms=segment.captured_at_ms,
        )
        self._settle(min(state.wm_ms - self._settings.settle_ms, base.wm_before_ms))

    def _settle(self, until_ms: int) -> None:
        self.state.settled_ms = max(self.state.settled_ms, until_ms, 0)

    def _take_frame(self, frame: Frame) -> None:
        start = window_start(frame.at_ms, self._width)
        if start + self._width <= self.state.settled_ms:
            return
        window = self.state.windows.setdefault(start, Window(start))
        if window.add(frame):
            self._dirty.add(start)
            self._reframed |= {start, start + self._width}

    def _windows_of(self, begin_ms: int, end_ms: int) -> Iterable[Window]:
        """The windows that a span touches, made where they are missing; final ones left out."""
        for start in range(window_start(begin_ms, self._width), end_ms, self._width):
            if start + self._width > self.state.settled_ms:
                yield self.state.windows.setdefault(start, Window(start))

    def _open_before(self, placement: Placement) -> None:
        """A segment from before the first window opens its windows, unless they would be final."""
        state = self.state
        first = min(state.windows, default=state.next_ms)
        opened = [
            w for w in self._windows_of(placement.begin_ms, first) if w.start_ms < state.next_ms and w.rules is None
        ]
        if opened and placement.end_ms < first:
            state.gaps.append(Gap(placement.end_ms, first, state.segments))
        for window in opened:
            window.rules = state.rules
            self._dirty.add(window.start_ms)
        if opened:
            for run in state.runs:
                run.invalidate(0)
                if run.from_ms == first:
                    run.from_ms = opened[0].start_ms

    def _fill(self, begin_ms: int, end_ms: int) -> None:
        """A late segment fills what it covers of the gaps."""
        filled: list[Gap] = []
        for gap in self.state.gaps:
            rest = subtract((gap.start_ms, gap.end_ms), [(begin_ms, end_ms)])
            filled += [Gap(start, end, gap.segments, gap.published) for start, end in rest]
        self.state.gaps = filled
        self._dirty |= {w.start_ms for w in self._windows_of(begin_ms, end_ms)}

    def add_words(self, cues: Iterable[Cue]) -> int:
        """Files cues by time; how many of them lie, all or in part, in windows that are final."""
        state, reach = self.state, self._reach_ms
        late = 0
        kept = []
        final_ms = window_start(state.settled_ms, self._width)
        for cue in cues:
            late += cue.start_ms < final_ms
            if cue.end_ms >= final_ms - reach:
                kept.append(cue)
            elif cue.losable:
                state.shelf.hear(cue.end_ms)
        now = state.shelf.put(kept, self._horizon_ms)
        if now or late:
            since = min((c.start_ms for c in now), default=final_ms) - reach
            self._dirty |= {s for s in state.windows if s < state.next_ms and s + self._width > since}
        return late

    @property
    def _reach_ms(self) -> int:
        """How far the rules of any window that may still change look beyond it for words."""
        versions = {self.state.rules, *(w.rules for w in self.state.windows.values() if w.rules is not None)}
        return max(self._compiled[version].reach_ms for version in versions)

    @property
    def _horizon_ms(self) -> int:
        """Cues that begin before this are joined, later ones wait for the watermark."""
        return self.state.next_ms + self._reach_ms + 1

    def mark(self, reason: Reason) -> None:
        """Events of every rule that looks at pictures are over at the watermark."""
        for run in self.state.runs:
            if not run.text_only and run.until_ms is None:
                run.marks.append(Mark(self.state.wm_ms, reason))
        self._marked = True

    # single events

    def single(self, rule: str, start_ms: int, end_ms: int, message: str, frames: tuple[Frame, ...] = ()) -> None:
        """An event of one record; a second one at the same start gets a number."""
        key = f"{rule}/{start_ms}"
        n = self.state.singles.get(key, 0) + 1
        self.state.singles.pop(key, None)
        self.state.singles[key] = n
        while len(self.state.singles) > REMEMBERED:
            del self.state.singles[next(iter(self.state.singles))]
        self._singles.append(
            Event(
                id=f"{self._id}/{key}" + (f".{n}" if n > 1 else ""),
                sequence=1,
                phase="ended",
                stream=self._stream,
                epoch=self.state.number,
                rule=rule,
                start_ms=start_ms,
                end_ms=end_ms,
                message=message,
                evidence=Evidence(frames=tuple(f.ref for f in frames)),
                wall_at=self._wall(start_ms),
                model=self._model,
                space=self._space,
            )
        )

    def warn(self, message: str, *, once: bool = True) -> None:
        """A warning event; what could not be read is named once."""
        if once:
            if message in self.state.warned:
                return
            self.state.warned = [*self.state.warned, message][-REMEMBERED:]
        self.single(WARNING, self.state.wm_ms, self.state.wm_ms, message)

    def end_signal_lost(self, at_ms: int, reason: Reason) -> None:
        """The loss of signal that is open, if one is, ends at `at_ms`."""
        lost = self.state.signal
        if lost is not None and lost.end_ms is None:
            lost.show("ended", lost.start_ms, max(at_ms, lost.start_ms), reason, 1.0)
            self.add_event(SIGNAL_LOST, lost)

    def add_event(self, rule: str, event: Published) -> None:
        """An event that the machine decided on leaves with this record."""
        self._singles.append(self._record(rule, Change(event, Evidence())))

    @property
    def _id(self) -> str:
        return f"{self._stream}/{self.state.number}"

    @property
    def _space(self) -> str:
        return self._compiled[self.state.rules].space.id

    def _wall(self, at_ms: int) -> str | None:
        wall = self.state.clock.wall_ms
        return None if wall is None else rfc3339(at_ms + wall)

    def _record(self, rule: str, change: Change) -> Event:
        """A change of an event as it is published."""
        event = change.event
        return Event(
            id=f"{self._id}/{rule}/{event.first_start_ms}",
            sequence=event.sequence,
            phase=event.phase,
            stream=self._stream,
            epoch=self.state.number,
            rule=rule,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            reason=event.reason,
            peak=event.peak,
            evidence=change.evidence,
            wall_at=self._wall(event.start_ms),
            model=self._model,
            space=self._space,
        )

    # giving out

    def results(self) -> list[Leaving]:
        """Everything that leaves because of what was taken in since the last call."""
        return self._leave(None)

    def close(self, reason: Reason) -> list[Leaving]:
        """The run is over: its windows are final, its events end, and its last window says so."""
        state = self.state
        self.end_signal_lost(state.wm_ms, reason)
        self._settle(state.wm_ms)
        for run in state.runs:
            run.marks.append(Mark(state.wm_ms, reason))
        self._marked = True
        return self._leave(reason)

    def _leave(self, closing: Reason | None) -> list[Leaving]:
        state = self.state
        self._pass_windows(closing)
        reach = self._reach_ms
        for cue in state.shelf.advance(self._horizon_ms):
            span = (cue.start_ms, cue.end_ms)
            near = (s for s in state.windows if s < state.next_ms and distance(*span, s, s + self._width) <= reach)
            self._dirty.update(near)
        passed = sorted(s for s in state.windows if s < state.next_ms)
        final = sum(self._end(s) <= state.settled_ms for s in passed)
        self._judge(passed, final)
        annotations = self._annotations(passed, closing)
        self._see_cuts(passed)
        events = self._events(passed, final, closing)
        self._publish_gaps(closing)
        events += self._singles
        state.captioned, requests = caption_requests(
            annotations, events, last=state.captioned, every_ms=self._settings.caption_every_ms
        )
        self._singles, self._marked = [], False
        self._dirty = {s for s in self._dirty if s >= state.next_ms}
        self._reframed = {s for s in self._reframed if s >= state.next_ms}
        self._forget(passed[:final])
        return [*annotations, *events, *requests]

    def _end(self, start: int) -> int:
        """Where a window ends: with its width, or with the media in the last window of a run that is over."""
        return min(start + self._width, self.state.wm_ms)

    def _pass_windows(self, closing: Reason | None) -> None:
        """Windows that the watermark has passed take the rules in force and are judged for the first time."""
        state = self.state
        while state.next_ms + self._width <= state.wm_ms or (closing is not None and state.next_ms < state.wm_ms):
            window = state.windows.setdefault(state.next_ms, Window(state.next_ms))
            window.rules = state.rules
            self._dirty.add(state.next_ms)
            self._reframed.add(state.next_ms)
            state.next_ms += self._width

    def _judge(self, passed: list[int], final: int) -> None:
        """Judges again what is dirty, and what finality makes different: a `both` without words, a silence."""
        state = self.state
        self._fresh = {}
        for i, start in enumerate(passed):
            window, before = state.windows[start], self._judged.get(start)
            ripe = i < final and before is not None and self._undecided(window, before)
            if before is not None and not ripe and start not in self._dirty:
                continue
            if ripe or i < final:
                self._dirty.add(start)
            rules = self._rules_of(window)
            judged = self._judged[start] = judge(
                window,
                end_ms=self._end(start),
                final=i < final,
                rules=rules,
                shelf=state.shelf,
                settings=self._settings,
                known=self._known,
                before=None if ripe else before,
            )
            same = (None,) * len(judged.verdicts) if before is None or ripe else before.verdicts
            pairs = zip(rules.identities, judged.verdicts, same, strict=True)
            self._fresh[start] = frozenset(rule for rule, now, was in pairs if now is not was)

    def _undecided(self, window: Window, judged: Judged) -> bool:
        if judged.state == "pending":
            return True
        rules = self._rules_of(window)
        return any(r.combine == "both" and v.text is None for r, v in zip(rules.events, judged.verdicts, strict=True))

    def _rules_of(self, window: Window) -> CompiledRules:
        return self._compiled[self.state.rules if window.rules is None else window.rules]

    def _annotations(self, passed: list[int], closing: Reason | None) -> list[Annotation]:
        state = self.state
        out: list[Annotation] = []
        for start in passed:
            last = closing is not None and start == passed[-1]
            if start not in self._dirty and not last:
                continue
            window, end = state.windows[start], self._end(start)
            wall = state.clock.wall_ms
            if window.wall_ms is None and wall is not None:
                window.wall_ms = start + wall
            annotation = annotation_of(
                window,
                self._judged[start],
                rules=self._rules_of(window),
                degraded=self._degraded(window, end),
                stream=self._stream,
                epoch=state.number,
                end_ms=end,
                settled_until_ms=min(state.settled_ms, end),
                model=self._model,
                window_ms=self._width,
                wall_at=None if window.wall_ms is None else rfc3339(window.wall_ms),
            )
            digest = content_digest(annotation)
            if digest != window.content or last:
                window.content, window.revision = digest, annotation.revision
                out.append(annotation)
        return out

    def _degraded(self, window: Window, end_ms: int) -> str | None:
        if any(g.start_ms < end_ms and window.start_ms < g.end_ms for g in self.state.gaps):
            return "gap"
        if window.damaged:
            return "damaged"
        return "model" if self._judged[window.start_ms].model_failed else None

    # events

    def _events(self, passed: list[int], final: int, closing: Reason | None) -> list[Event]:
        """What changes in any run; nothing is folded where nothing changed."""
        state = self.state
        if not (self._dirty.intersection(passed) or self._reframed.intersection(passed) or final or self._marked):
            return []
        next_ms = None if closing is not None else state.next_ms
        out: list[Event] = []
        changed = self._first_changed(passed)
        for run in state.runs:
            if (first := changed.get(run.identity)) is not None:
                run.invalidate(first)
            sample = partial(self._sample, run, passed, final)
            out += [self._record(run.name, change) for change in run.fold(passed, sample, final=final, next_ms=next_ms)]
        done_ms = passed[final] if final < len(passed) else state.next_ms
        state.runs = [r for r in state.runs if r.until_ms is None or done_ms < r.until_ms]
        return out

    def _first_changed(self, passed: list[int]) -> dict[str, int]:
        """For each run, by identity, the first window that may look otherwise to it than when it was folded."""
        first: dict[str, int] = {}
        for i, start in reversed(list(enumerate(passed))):
            first |= dict.fromkeys(self._fresh.get(start, ()), i)
            if start in self._reframed:
                first[BLACK] = first[FROZEN] = i
            if start in self._dirty:
                first[SUBTITLES_LOST] = i
        return first

    def _sample(self, run: Run, passed: list[int], final: int, n: int) -> Sample:
        """The `n`-th window as `run` sees it; the first `final` are final."""
        start = passed[n]
        if run.name in (BLACK, FROZEN):
            shares = self._look(start)
            score = None if shares is None else shares.black if run.name == BLACK else shares.frozen
            return Sample(start, score, partial(self._frames_evidence, start))
        judged = self._judged[start]
        if run.name == SUBTITLES_LOST:
            return self._silence(start, judged)
        rules = self._rules_of(self.state.windows[start])
        i = rules.places.get(run.identity)
        if i is None:
            return Sample(start, None)
        verdict = judged.verdicts[i]
        undecided = rules.events[i].combine == "both" and verdict.text is None and n >= final
        return Sample(start, None if undecided else verdict.score, partial(evidence, judged, rules, i))

    def _look(self, start: int) -> Shares | None:
        if start not in self._shares:
            self._shares[start] = self._looks.shares(self.state.windows, start, self.state.last_frame)
        return self._shares[start]

    def _frames_evidence(self, start: int) -> Evidence:
        return Evidence(frames=tuple(f.ref for f in self.state.windows[start].frames))

    def _silence(self, start: int, judged: Judged) -> Sample:
        shelf, end = self.state.shelf, self._end(start)
        if judged.state == "lost":
            return Sample(start, 1.0, since_ms=shelf.last_losable_end(end))
        begins = [c.start_ms for c in shelf.joined if start <= c.start_ms < end]
        return Sample(start, 0.0, since_ms=min(begins, default=start))

    def _see_cuts(self, passed: list[int]) -> None:
        state = self.state
        for start in passed:
            if start not in self._reframed:
                continue
            self._shares.pop(start, None)
            for before, frame, look in self._looks.at(state.windows, start, state.last_frame):
                if look.cut and before is not None and frame.at_ms not in state.cuts:
                    state.cuts.append(frame.at_ms)
                    self.single(SHOT_CUT, frame.at_ms, frame.at_ms, "another shot begins", (before, frame))

    def _publish_gaps(self, closing: Reason | None) -> None:
        """A gap is told once nothing can fill it any more and the stream has gone on."""
        state = self.state
        for gap in state.gaps:
            if not gap.published and (self._over(gap) or closing is not None):
                gap.published = True
                self.single(GAP, gap.start_ms, gap.end_ms, f"{gap.end_ms - gap.start_ms} ms of media never came")

    def _over(self, gap: Gap) -> bool:
        state = self.state
        return state.wm_ms >= gap.end_ms + self._settings.reorder_ms and state.segments > gap.segments + 1

    @property
    def hopes(self) -> bool:
        """Whether media may still come that fills a gap."""
        return any(not (gap.published or self._over(gap)) for gap in self.state.gaps)

    def _forget(self, final: list[int]) -> None:
        """Lets go of what can no longer change."""
        state = self.state
        if not final:
            return
        for start in final:
            window = state.windows.pop(start)
            state.last_frame = window.pictures[-1] if window.pictures else state.last_frame
            self._judged.pop(start, None)
            self._shares.pop(start, None)
        settled = window_start(state.settled_ms, self._width)
        state.shelf.forget(settled - self._reach_ms)
        state.gaps = [g for g in state.gaps if not g.published or g.end_ms > settled]
        state.cuts = [at for at in state.cuts if at >= settled]
        self._known.keep(state.windows.values(), state.shelf.joined)
        self._looks.keep(state.windows.values())
