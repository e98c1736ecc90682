"""What every text reader fills: cues as they are read, what could not be, and the bounds. Knows no format.

Readers add in any order; `cues` puts them in order, gives open-ended ones an end, and says what was mended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from framecue.errors import SubtitleError
from framecue.schemas.media import Cue
from framecue.schemas.segment import CUE_TEXT_MAX, TIME_MAX_MS, TextClock

CUES_MAX = 20_000
"""As many as the machine lets wait for one stream: ten hours of dense speech."""
OPEN_MS = 10_000
"""How long a cue without an end is shown at most: nobody reads two lines for longer."""


@dataclass(frozen=True)
class _Draft:
    start_ms: int
    end_ms: int | None
    text: str
    language: str | None
    clock: TextClock | None


@dataclass
class Drafts:
    """Cues being read. `warnings` are sentences; `language` is what the document says of itself."""

    language: str | None = None
    clock: TextClock | None = None
    warnings: list[str] = field(default_factory=list)
    _drafts: list[_Draft] = field(default_factory=list)
    _missed: int = 0
    _first_missed: int | None = None
    _cut: int = 0

    def add(
        self,
        start_ms: int,
        end_ms: int | None,
        text: str,
        *,
        language: str | None = None,
        clock: TextClock | None = None,
        line: int | None = None,
    ) -> None:
        """Takes a cue; `end_ms` None is open. Empty ones are dropped. Raises SubtitleError when there are too many."""
        if not text:
            return
        if max(abs(start_ms), abs(end_ms or 0)) > TIME_MAX_MS:
            self.miss(line)
            return
        if len(self._drafts) >= CUES_MAX:
            raise SubtitleError(f"the subtitles hold more than {CUES_MAX} cues; send them in pieces")
        self._cut += len(text) > CUE_TEXT_MAX
        self._drafts.append(_Draft(start_ms, end_ms, text[:CUE_TEXT_MAX], language, clock))

    def miss(self, line: int | None = None) -> None:
        """Counts a cue that could not be read; `line` counts from 1."""
        self._missed += 1
        self._first_missed = self._first_missed or line

    @property
    def missed(self) -> int:
        """How many cues could not be read."""
        return self._missed

    def cues(
        self, *, clock: TextClock, source: Literal["container", "document"], language: str | None
    ) -> tuple[Cue, ...]:
        """The cues in the order they start. A cue without an end, or with one before its start, lasts until the
        next one starts, `OPEN_MS` at most."""
        drafts = sorted(self._drafts, key=lambda d: (d.start_ms, d.start_ms if d.end_ms is None else d.end_ms))
        self._warn(sum(d.end_ms is not None and d.end_ms < d.start_ms for d in drafts))
        out: list[Cue] = []
        at = following = TIME_MAX_MS + OPEN_MS
        for d in reversed(drafts):
            if d.start_ms != at:
                at, following = d.start_ms, at
            end = d.end_ms
            if end is None or end < d.start_ms:
                end = min(following, d.start_ms + OPEN_MS)
            out.append(
                Cue(
                    start_ms=d.start_ms,
                    end_ms=end,
                    text=d.text,
                    language=d.language or self.language or language,
                    clock=d.clock or self.clock or clock,
                    source=source,
                )
            )
        return tuple(reversed(out))

    def _warn(self, reversed_ends: int) -> None:
        if self._missed:
            where = "" if self._first_missed is None else f", the first at line {self._first_missed}"
            self.warnings.append(f"cues that are not read: {self._missed}{where}; their times cannot be understood")
        if reversed_ends:
            self.warnings.append(f"cues that end before they start: {reversed_ends}; the next cue ends them instead")
        if self._cut:
            self.warnings.append(f"cues cut to {CUE_TEXT_MAX} characters: {self._cut}")
