"""Where a segment belongs on its epoch's time axis: next, late, a repeat, behind a gap, or nowhere.

Pure decisions over one small state. The machine acts on them; nothing here knows windows, words or models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from framecue.analysis.settings import MachineSettings
from framecue.schemas.media import SegmentFacts
from framecue.timeline import to_ms, unwrap

STEP_MS = 100
"""The largest step between two segments that is no gap; also how closely a restarting clock restarts."""

SNAP_MS = 1
"""Matroska rounds its clock to ms: a header's start that agrees with the running clock to this is the same clock."""

REMEMBERED = 64
"""How many digests, sequence numbers and ended sessions are kept."""

JUMPS_BACK = 3
"""This many segments in a row from too far back are no stragglers: the clock was set back."""


class Place(Enum):
    """What a segment is to its epoch."""

    FIRST = "first"
    REPEAT = "repeat"
    LATE = "late"
    TOO_FAR_BACK = "too far back"
    CONTINUES = "continues"
    GAP = "gap"
    JUMP = "jump"


@dataclass(frozen=True)
class Placement:
    """`offset` turns the segment's own clock into media time; `begin_ms` to `end_ms` is where it lies."""

    place: Place
    offset: Fraction
    begin_ms: int
    end_ms: int

    def media_ms(self, own: Fraction) -> int:
        """The media time of an instant of the segment's own clock."""
        return to_ms(own + self.offset)


@dataclass
class Timebase:
    """The clock of one epoch, as its accepted segments set it."""

    wm_ms: int | None = None
    """The watermark: the largest end of media seen."""
    wm_before_ms: int = 0
    """The watermark before the last accepted segment."""
    end: Fraction = Fraction(0)
    """The exact end of the segment that raised the watermark last: where a restarting clock is chained."""
    raised_own: Fraction = Fraction(0)
    """Where the own clock of that segment began."""
    offset: Fraction = Fraction(0)
    """Own clock + offset = media time."""
    back: int = 0
    """Segments from too far back in a row."""
    seqs: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    def place(self, segment: SegmentFacts, settings: MachineSettings) -> Placement:
        """Where `segment` lies, and what that makes it; changes nothing."""
        offset = self._offset(segment)
        begin = to_ms(segment.first + offset)
        # the last frame is rounded like any other, then its duration added: cuts and containers then agree to the ms
        end = to_ms(Fraction(to_ms(segment.last + offset), 1000) + segment.last_duration)
        return Placement(self._kind(segment, begin, end, settings), offset, begin, end)

    def _offset(self, segment: SegmentFacts) -> Fraction:
        if segment.start is not None:
            offset = segment.start - segment.first
            running = self._unwrapped(segment)
            return running if self.wm_ms is not None and abs(running - offset) * 1000 <= SNAP_MS else offset
        if self.wm_ms is None:
            return -segment.first
        if self._restarts(segment):
            return self.end - segment.first
        return self._unwrapped(segment)

    def _unwrapped(self, segment: SegmentFacts) -> Fraction:
        if not segment.wraps or self.wm_ms is None:
            return self.offset
        return self.offset + unwrap(segment.first, self.end - self.offset) - segment.first

    def _restarts(self, segment: SegmentFacts) -> bool:
        """FFmpeg's MP4 segments each begin their clock again."""
        return abs(segment.first - self.raised_own) * 1000 <= STEP_MS

    def _kind(self, segment: SegmentFacts, begin: int, end: int, settings: MachineSettings) -> Place:
        if self.is_repeat(segment):
            return Place.REPEAT
        if self.wm_ms is None:
            return Place.FIRST
        if begin < self.wm_ms:
            return Place.LATE if self.wm_ms - end < settings.reorder_ms else Place.TOO_FAR_BACK
        if begin - self.wm_ms <= STEP_MS:
            return Place.CONTINUES
        if begin - self.wm_ms <= settings.max_gap_ms:
            return Place.GAP
        # a dead letter that comes again belongs to the past: it never opens an epoch
        return Place.JUMP if segment.requeued_from is None else Place.TOO_FAR_BACK

    def is_repeat(self, segment: SegmentFacts) -> bool:
        """Whether this very segment was accepted before."""
        return segment.seq in self.seqs if segment.seq is not None else segment.digest in self.digests

    def accept(self, segment: SegmentFacts, placement: Placement) -> None:
        """Takes `segment` into the epoch where `placement` says it lies."""
        self.back = 0
        self.remember(segment)
        self.wm_before_ms = self.wm_ms or 0
        if self.wm_ms is None or placement.end_ms > self.wm_ms:
            self.wm_ms = placement.end_ms
            self.end = segment.last + segment.last_duration + placement.offset
            self.raised_own = segment.first
            self.offset = placement.offset

    def remember(self, segment: SegmentFacts) -> None:
        """Makes the next copy of `segment` a repeat."""
        if segment.seq is not None:
            self.seqs = [*self.seqs, segment.seq][-REMEMBERED:]
        self.digests = [*self.digests, segment.digest][-REMEMBERED:]


def follows(held: SegmentFacts, segment: SegmentFacts, settings: MachineSettings) -> bool:
    """Whether `segment` has a place in an epoch that `held` would open."""
    trial = Timebase()
    trial.accept(held, trial.place(held, settings))
    return trial.place(segment, settings).place in (Place.LATE, Place.CONTINUES, Place.GAP)
