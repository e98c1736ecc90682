"""The stream machine: features records in, results out. One small object per stream; the fold of the whole system.

    push(record) ──► which run does it belong to? ──► epoch takes it in ──► what changed leaves
                     sessions, repeats, jumps,          windows, words,
                     words that wait, silence           rules, events

It does no I/O, knows no clock and no model: everything it decides on is in the records. `snapshot` and `restore` give
its state as bytes, and a restored machine goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from framecue.analysis.epoch import Epoch
from framecue.analysis.events import Published
from framecue.analysis.folding import EpochFold, Leaving
from framecue.analysis.order import JUMPS_BACK, REMEMBERED, Place, Placement, follows
from framecue.analysis.rules import CompiledRules, compile_rules, no_rules, version_of
from framecue.analysis.settings import MachineSettings
from framecue.analysis.snapshot import Snapshot, StreamState, pack_state, unpack_state
from framecue.analysis.spaces import Space
from framecue.analysis.words import PENDING_MAX, PENDING_MAX_BYTES, Cue, WaitingText
from framecue.errors import MessageError
from framecue.schemas.event import SIGNAL_LOST, Reason
from framecue.schemas.features import (
    CueFeatures,
    Features,
    ForgetFeatures,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
    TickFeatures,
)
from framecue.schemas.media import Origin


@dataclass(frozen=True)
class Refused:
    """A text record that could not be kept: more waits for its picture than a stream may hold."""

    origin: Origin
    reason: str
    cues: tuple[CueFeatures, ...]


Result: TypeAlias = Leaving | Refused


class StreamMachine:
    """Folds one stream. Not thread-safe: one owner feeds it, in the order of the log.

    `counts` tells what was dropped and why: repeats, too_far_back, retired, late_cues, unplaced_cues.
    """

    def __init__(self, stream: str, *, space: Space, model: str, settings: MachineSettings | None = None) -> None:
        self._stream, self._space, self._model = stream, space, model
        self._settings = settings or MachineSettings()
        self._compiled: dict[str, CompiledRules] = {"": no_rules(space)}
        self._records: dict[str, RulesFeatures] = {}
        self._state = StreamState()
        self._fold: EpochFold | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """How often something was dropped, by reason."""
        return self._state.counts

    @property
    def rules_in_use(self) -> Mapping[str, RulesFeatures]:
        """The rules records that the state refers to, by version: `restore` wants them back."""
        used = self._rules_used
        return {version: record for version, record in self._records.items() if version in used}

    @property
    def run(self) -> int | None:
        """The number of the open run; None while none is open."""
        return None if self._state.epoch is None else self._state.epoch.number

    def push(self, record: Features) -> list[Result]:
        """What leaves because of `record`, in the order of publication."""
        match record:
            case SegmentFeatures():
                return self._segment(record)
            case TextFeatures():
                return self._text(record)
            case TickFeatures():
                return self._tick(record)
            case RulesFeatures():
                return self._rules(record)
            case ForgetFeatures():
                return self.finish()

    def recall(self, tick: TickFeatures) -> bool:
        """Takes a tick that had no effect, as `push` would; whether the stream knows its source.

        A snapshot needs no renewing because of such ticks: the last one of each source, recalled, makes it current.
        """
        source = f"{tick.topic}/{tick.partition}"
        if source not in self._state.sources:
            return False
        self._state.sources[source] = tick.at_ms if tick.caught_up else None
        return True

    def finish(self) -> list[Result]:
        """Closes the open run: nothing more will come. A segment that is still held was a stray."""
        return self._close("end") if self._fold is not None else []

    def snapshot(self) -> Snapshot:
        """The state as bytes; text that waits for its picture under keys of its own."""
        return pack_state(self._state)

    @classmethod
    def restore(
        cls,
        stream: str,
        snapshot: Snapshot,
        *,
        space: Space,
        model: str,
        settings: MachineSettings | None = None,
        rules: Mapping[str, RulesFeatures],
    ) -> StreamMachine:
        """The machine that `snapshot` was taken of. `rules` hold its `rules_in_use`, by version.

        Raises MessageError where they do not, or where the bytes are no snapshot.
        """
        machine = cls(stream, space=space, model=model, settings=settings)
        machine._state = unpack_state(snapshot)
        for version in sorted(machine._rules_used - {""}):
            if version not in rules:
                raise MessageError(f"the snapshot of {stream} refers to the rules {version}, which are not there")
            machine._know(version, rules[version])
        if machine._state.epoch is not None:
            machine._fold = machine._fold_of(machine._state.epoch)
        return machine

    @classmethod
    def adopt(
        cls,
        stream: str,
        snapshot: Snapshot | None,
        *,
        last_epoch: int,
        space: Space,
        model: str,
        settings: MachineSettings | None = None,
    ) -> StreamMachine:
        """A machine that goes on after `snapshot` with runs of its own, and holds nothing of another space.

        Runs are numbered on from `last_epoch`; sessions that were over stay over. Raises as `restore` does.
        """
        machine = cls(stream, space=space, model=model, settings=settings)
        if snapshot is not None:
            old = unpack_state(snapshot)
            machine._state = StreamState(
                last_epoch=old.last_epoch,
                session=old.session,
                retired=old.retired,
                sources=old.sources,
                counts=old.counts,
            )
        machine._state.last_epoch = max(machine._state.last_epoch, last_epoch)
        return machine

    # segments

    def _segment(self, segment: SegmentFeatures) -> list[Result]:
        state = self._state
        self._hear(segment.origin)
        if segment.session is not None and segment.session in state.retired:
            return self._of_a_retired_session(segment)
        out: list[Result] = []
        if self._fold is not None and self._fold.state.session != segment.session:
            out += self._close("epoch")
        if self._fold is None:
            return out + self._leave(self._open(segment))
        return out + self._continue(self._fold, segment)

    def _of_a_retired_session(self, segment: SegmentFeatures) -> list[Result]:
        self._count("retired")
        if self._fold is None:
            return []
        self._fold.warn(
            f"a segment of the session {segment.session!r} came after that session was over; it is left out"
        )
        return list(self._fold.results())

    def _continue(self, fold: EpochFold, segment: SegmentFeatures) -> list[Result]:
        """A segment of the open run: placed, dropped, held, or the proof that the held one began another run."""
        epoch = fold.state
        epoch.segment_at_ms = epoch.active_at_ms = segment.origin.at_ms
        held = epoch.held
        if held is not None and self._same(held, segment):
            self._count("repeats")
            return []
        placement = epoch.timebase.place(segment, self._settings)
        match placement.place:
            case Place.REPEAT:
                self._count("repeats")
                return []
            case Place.FIRST | Place.LATE | Place.CONTINUES | Place.GAP:
                if held is not None:
                    self._stray(fold)
                self._accept(fold, segment, placement)
                return self._leave(fold)
            case Place.TOO_FAR_BACK if held is None or segment.requeued_from is not None:
                self._count("too_far_back")
                epoch.timebase.back += segment.requeued_from is None
                if epoch.timebase.back < JUMPS_BACK:
                    return []
                epoch.timebase.back = 0
        if held is None:
            epoch.held = segment
            return []
        if follows(held, segment, self._settings):
            epoch.held = None
            out = self._close("epoch")
            return out + self._continue(self._open(held), segment)
        self._stray(fold)
        epoch.held = segment
        return list(fold.results())

    @staticmethod
    def _same(held: SegmentFeatures, segment: SegmentFeatures) -> bool:
        return segment.seq == held.seq if segment.seq is not None else segment.digest == held.digest

    @staticmethod
    def _stray(fold: EpochFold) -> None:
        fold.state.held = None
        fold.warn("one segment lay far from the rest of the stream; it is left out", once=False)

    def _open(self, segment: SegmentFeatures) -> EpochFold:
        """A new run begins with `segment`; text that waited for it is bound. Another session before it is replaced."""
        state = self._state
        if state.session != segment.session:
            self._retire()
        state.session = segment.session
        state.last_epoch = max(segment.origin.at_ms or 0, state.last_epoch + 1)
        epoch = Epoch(state.last_epoch, segment.session, (segment.origin.topic, segment.origin.partition))
        epoch.rules = state.rules
        epoch.segment_at_ms = epoch.active_at_ms = segment.origin.at_ms
        fold = self._fold = self._fold_of(epoch)
        state.epoch = epoch
        placement = epoch.timebase.place(segment, self._settings)
        fold.begin(placement.begin_ms)
        fold.use_rules(self._compiled[state.rules])
        self._accept(fold, segment, placement)
        return fold

    def _fold_of(self, epoch: Epoch) -> EpochFold:
        return EpochFold(
            epoch, stream=self._stream, model=self._model, settings=self._settings, compiled=self._compiled
        )

    def _accept(self, fold: EpochFold, segment: SegmentFeatures, placement: Placement) -> None:
        epoch = fold.state
        fold.end_signal_lost(placement.begin_ms, "back")
        lag_ms = self._settings.lag_ms if segment.lag_ms is None else segment.lag_ms
        words = self._placed(fold, segment.cues, segment.origin, lag_ms, placement)
        late = fold.add_words(words)
        fold.accept(segment, placement, gap=placement.place is Place.GAP)
        self._count("late_cues", late)
        epoch.source = (segment.origin.topic, segment.origin.partition)
        for message in segment.warnings:
            fold.warn(message)
        if segment.damaged is not None:
            fold.warn(f"a segment is damaged: {segment.damaged}")
        self._bind_waiting(fold)
        epoch.ending = epoch.ending or segment.end

    def _leave(self, fold: EpochFold) -> list[Result]:
        """What leaves because of the segments accepted; a run that has all it said it would have is over."""
        if fold.state.ending and not fold.hopes:
            return self._close("end")
        return list(fold.results())

    def _close(self, reason: Reason) -> list[Result]:
        """The open run is over. A session that ended never opens again; one that fell idle or jumped may."""
        fold = self._fold
        if fold is None:
            return []
        if fold.state.held is not None:
            self._stray(fold)
        out = fold.close(reason)
        if reason == "end":
            self._retire()
        self._fold, self._state.epoch = None, None
        return list(out)

    def _retire(self) -> None:
        """The session of the last run is over: ended or replaced."""
        state = self._state
        if state.session is not None:
            state.retired = [*state.retired, state.session][-REMEMBERED:]
        state.session = None

    # words

    def _text(self, text: TextFeatures) -> list[Result]:
        state = self._state
        self._hear(text.origin)
        if text.session is not None and text.session in state.retired:
            self._count("late_cues", len(text.cues))
            return []
        lag_ms = self._settings.lag_ms if text.lag_ms is None else text.lag_ms
        waiting = WaitingText(text.session, text.origin, lag_ms, list(text.cues), list(text.warnings))
        if (why := self._too_much(waiting)) is not None:
            return [Refused(text.origin, why, text.cues)]
        if self._fold is None or text.session not in (None, self._fold.state.session):
            if not waiting.says_again(state.waiting):
                state.waiting.append(waiting)
            return []
        self._fold.state.active_at_ms = text.origin.at_ms
        self._bind(self._fold, waiting)
        return list(self._fold.results())

    def _too_much(self, text: WaitingText) -> str | None:
        """Why `text` cannot be kept, None where it can."""
        cues, size = self._fold.state.shelf.load if self._fold is not None else (0, 0)
        for kept in (*self._state.waiting, text):
            cues += len(kept.cues)
            size += sum(len(c.text) * 2 + len(c.vector) for c in kept.cues)
        if cues > PENDING_MAX or size > PENDING_MAX_BYTES:
            return (
                f"{cues} cues ({size} bytes) would wait for their pictures; a stream holds at most {PENDING_MAX} cues "
                f"or {PENDING_MAX_BYTES} bytes: send text closer to its pictures"
            )
        return None

    def _bind_waiting(self, fold: EpochFold) -> None:
        """Text that waited for this run, or for any, belongs to it now."""
        state = self._state
        mine = [t for t in state.waiting if t.session in (None, fold.state.session)]
        if mine:
            state.waiting = [t for t in state.waiting if t not in mine]
        for text in mine:
            self._bind(fold, text)

    def _bind(self, fold: EpochFold, text: WaitingText) -> None:
        base = fold.state.timebase
        here = Placement(Place.CONTINUES, base.offset, fold.state.wm_ms, fold.state.wm_ms)
        cues = self._placed(fold, text.cues, text.origin, text.lag_ms, here)
        self._count("late_cues", fold.add_words(cues))
        for message in text.warnings:
            fold.warn(message)

    def _placed(
        self, fold: EpochFold, cues: Sequence[CueFeatures], origin: Origin, lag_ms: int, placement: Placement
    ) -> list[Cue]:
        """Cues in media time, their lag taken off; what no clock maps is counted and named once."""
        out = []
        near = fold.state.timebase.end - placement.offset
        for cue in cues:
            span = fold.state.clock.resolve(cue, origin=origin, own=placement.offset, own_near=near)
            if span is None:
                self._count("unplaced_cues")
                fold.warn("text at wall time cannot be placed: no segment says when it was captured or came")
                continue
            start, end = (at - lag_ms for at in span)
            out.append(Cue(start, end, cue.text, cue.language or "", cue.source, lag_ms, cue.vector))
        return out

    # rules

    def _rules(self, record: RulesFeatures) -> list[Result]:
        version = version_of(record)
        self._know(version, record)
        self._state.rules = version
        if self._fold is None:
            return []
        self._fold.use_rules(self._compiled[version])
        return list(self._fold.results())

    @property
    def _rules_used(self) -> set[str]:
        """The versions that the state refers to."""
        epoch = self._state.epoch
        windows = () if epoch is None else epoch.windows.values()
        return {self._state.rules, *(w.rules for w in windows if w.rules is not None)}

    def _know(self, version: str, record: RulesFeatures) -> None:
        used = self._rules_used | {""}
        for gone in [v for v in self._compiled if v not in used]:
            del self._compiled[gone]
            self._records.pop(gone, None)
        self._records[version] = record
        self._compiled[version] = compile_rules(record, stream=self._stream, space=self._space, version=version)

    # silence

    def _hear(self, origin: Origin) -> None:
        self._state.sources.setdefault(f"{origin.topic}/{origin.partition}", None)

    def _tick(self, tick: TickFeatures) -> list[Result]:
        """What silence means: unknown while the source lags behind, a lost signal soon, the end of the run at last."""
        fold = self._fold
        if not self.recall(tick) or fold is None:
            return []
        out: list[Result] = []
        if self._idle_since(fold.state, self._settings.idle_ms):
            held, fold.state.held = fold.state.held, None
            out += self._close("end" if fold.state.ending else "idle")
            return out + (self._leave(self._open(held)) if held is not None else [])
        if fold.state.ending and self._idle_since(fold.state, self._settings.reorder_ms):
            return self._close("end")
        if (tick.topic, tick.partition) == fold.state.source and tick.caught_up:
            out += self._signal(fold, tick.at_ms)
        return out

    def _idle_since(self, epoch: Epoch, silence_ms: int) -> bool:
        """Whether every source of the stream is caught up and nothing came for `silence_ms`."""
        if epoch.active_at_ms is None:
            return False
        due = epoch.active_at_ms + silence_ms
        return all(at is not None and at >= due for at in self._state.sources.values())

    def _signal(self, fold: EpochFold, at_ms: int) -> list[Result]:
        epoch = fold.state
        if epoch.signal_lost or epoch.segment_at_ms is None or epoch.ending:
            return []
        if at_ms < epoch.segment_at_ms + self._settings.signal_lost_ms:
            return []
        lost, wm = epoch.signal, epoch.wm_ms
        if lost is None or lost.start_ms != wm:
            lost = epoch.signal = Published(wm, 0, "started", wm, None, None, 1.0)
        # lost, back with a late segment, and lost again while the watermark stood: the same event
        lost.show("updated" if lost.sequence else "started", wm, None, None, 1.0)
        fold.mark("signal_lost")
        fold.add_event(SIGNAL_LOST, lost)
        return list(fold.results())

    def _count(self, what: str, n: int = 1) -> None:
        if n:
            self._state.counts[what] = self._state.counts.get(what, 0) + n
