"""Words on the time axis: which clock they were told by, what waits for its picture, what is joined.

arrives ──► waiting (no epoch yet) ──► pending (ahead of the picture) ──► joined (windows may still use it) ──► gone
                 └── bound to an epoch: clock resolved, lag taken off ──┘
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

from framecue.schemas.annotation import JoinedCue
from framecue.schemas.features import CueFeatures
from framecue.schemas.media import Origin
from framecue.timeline import MPEGTS_WRAP_SECONDS, from_ms, to_ms, unwrap

PENDING_MAX = 20_000
PENDING_MAX_BYTES = 4 << 20
OFFSETS = 64
"""Live text is timed by this many of the last segments."""

CHUNK_CUES = 512
"""Pending cues of one text record are kept under snapshot keys of at most this many."""


@dataclass(frozen=True, eq=False)
class Cue:
    """A cue in media time, its lag taken off; known by identity, as frames are."""

    start_ms: int
    end_ms: int
    text: str
    language: str
    source: Literal["container", "header", "document", "live"]
    lag_ms: int
    vector: bytes = field(repr=False)

    def order(self) -> tuple[int, int, str, str, str, int, bytes]:
        """By time, then by content: arrival plays no part."""
        return self.start_ms, self.end_ms, self.text, self.language, self.source, self.lag_ms, self.vector

    @property
    def size(self) -> int:
        """Bytes it takes in a snapshot, roughly."""
        return len(self.text) * 2 + len(self.vector) + 40

    @property
    def losable(self) -> bool:
        """Whether its source is expected to go on: live and in-band text; documents say all they have to say."""
        return self.source in ("container", "live")

    @cached_property
    def joined(self) -> JoinedCue:
        """As results show it."""
        return JoinedCue(
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            text=self.text,
            language=self.language or None,
            source=self.source,
            lag_ms=self.lag_ms,
        )


@dataclass
class WaitingText:
    """A text record without an epoch to belong to."""

    session: str | None
    origin: Origin
    lag_ms: int
    cues: list[CueFeatures]
    warnings: list[str]

    def says_again(self, others: Iterable[WaitingText]) -> bool:
        """Whether it has no words, and one of `others` warns its run of the same."""
        mine = (self.session, self.warnings)
        return not self.cues and any((other.session, other.warnings) == mine for other in others)


@dataclass
class TextClock:
    """How wall time and own clocks map to media time, from segments that are all in the log."""

    offsets: list[int] = field(default_factory=list)
    """Append time - end in media time, of the last accepted segments, ms."""
    captured_ms: int | None = None
    """Capture time - media time, where segments say it."""

    def accept(self, *, begin_ms: int, end_ms: int, append_ms: int | None, captured_at_ms: int | None) -> None:
        """Learns from one accepted segment."""
        if append_ms is not None:
            self.offsets = [*self.offsets, append_ms - end_ms][-OFFSETS:]
        if captured_at_ms is not None:
            self.captured_ms = captured_at_ms - begin_ms

    @property
    def arrival_ms(self) -> int | None:
        """Append time - media time: the lower median, so that a burst after an outage does not count."""
        return sorted(self.offsets)[(len(self.offsets) - 1) // 2] if self.offsets else None

    @property
    def wall_ms(self) -> int | None:
        """Wall time - media time; None where no segment says anything of it."""
        return self.arrival_ms if self.captured_ms is None else self.captured_ms

    def resolve(self, cue: CueFeatures, *, origin: Origin, own: Fraction, own_near: Fraction) -> tuple[int, int] | None:
        """Start and end of `cue` in media time; None where nothing maps its clock.

        `own` is media time - own clock in seconds, `own_near` the own clock's newest time.
        """
        match cue.clock:
            case "start":
                return cue.start_ms, cue.end_ms
            case "container":
                return to_ms(from_ms(cue.start_ms) + own), to_ms(from_ms(cue.end_ms) + own)
            case "mpegts":
                turns = unwrap(from_ms(cue.start_ms), own_near, MPEGTS_WRAP_SECONDS) - from_ms(cue.start_ms)
                return to_ms(from_ms(cue.start_ms) + turns + own), to_ms(from_ms(cue.end_ms) + turns + own)
            case "wall":
                wall = self.wall_ms
                return None if wall is None else (cue.start_ms - wall, cue.end_ms - wall)
            case "live":
                arrival = self.arrival_ms
                if arrival is None or origin.at_ms is None:
                    return None
                return origin.at_ms - arrival, origin.at_ms - arrival


@dataclass
class Shelf:
    """The cues of one epoch. `joined` is in time order; a chunk of `pending` is too, and is taken from its front."""

    joined: list[Cue] = field(default_factory=list)
    pending: dict[int, list[Cue]] = field(default_factory=dict)
    chunks: int = 0
    """Chunks made so far: each has a number, and a snapshot key of its own."""
    first_start_ms: int | None = None
    losable_end_ms: int | None = None
    """The latest end of live or in-band text that has left `joined`."""

    def put(self, cues: Iterable[Cue], horizon_ms: int) -> list[Cue]:
        """Files cues by time; gives back those that begin before `horizon_ms` and are joined at once."""
        now: list[Cue] = []
        ahead: list[Cue] = []
        for cue in sorted(cues, key=Cue.order):
            if self.first_start_ms is None or cue.start_ms < self.first_start_ms:
                self.first_start_ms = cue.start_ms
            (now if cue.start_ms < horizon_ms else ahead).append(cue)
        for cue in now:
            insort(self.joined, cue, key=Cue.order)
        for at in range(0, len(ahead), CHUNK_CUES):
            self.pending[self.chunks] = ahead[at : at + CHUNK_CUES]
            self.chunks += 1
        return now

    def advance(self, horizon_ms: int) -> list[Cue]:
        """Joins the pending cues that begin before `horizon_ms`, and gives them back."""
        due: list[Cue] = []
        for number, cues in list(self.pending.items()):
            n = next((i for i, cue in enumerate(cues) if cue.start_ms >= horizon_ms), len(cues))
            due += cues[:n]
            if n == len(cues):
                del self.pending[number]
            elif n:
                self.pending[number] = cues[n:]
        for cue in due:
            insort(self.joined, cue, key=Cue.order)
        return due

    def forget(self, before_ms: int) -> None:
        """Drops joined cues that end before `before_ms`: no window that may change can reach them."""
        gone = [cue for cue in self.joined if cue.end_ms < before_ms]
        if gone:
            self.joined = [cue for cue in self.joined if cue.end_ms >= before_ms]
        for cue in gone:
            if cue.losable:
                self.hear(cue.end_ms)

    def hear(self, end_ms: int) -> None:
        """Live or in-band text that is not kept ended at `end_ms`: its source was there until then."""
        self.losable_end_ms = end_ms if self.losable_end_ms is None else max(self.losable_end_ms, end_ms)

    def last_losable_end(self, before_ms: int) -> int | None:
        """The latest end of live or in-band text among the cues that start before `before_ms`."""
        ends = [cue.end_ms for cue in self.joined if cue.losable and cue.start_ms < before_ms]
        if self.losable_end_ms is not None:
            ends.append(self.losable_end_ms)
        return max(ends, default=None)

    @property
    def load(self) -> tuple[int, int]:
        """Pending cues, and their bytes."""
        return sum(map(len, self.pending.values())), sum(c.size for cues in self.pending.values() for c in cues)
