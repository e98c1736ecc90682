"""What pictures tell without a model: which frames are black, which stand still, and where another shot begins.

Frames are looked at in pairs of neighbours. Each pair is looked at once, as soon as both are there, so it does not
matter which of them came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from framecue.analysis.pictures import Grid, grid, is_black, is_cut, is_frozen
from framecue.analysis.windows import Frame, Window

NEIGHBOURS_MS = 1_000
"""Frames of different segments that lie closer than this follow one another: between them a cut can be seen."""


class Look(NamedTuple):
    """What one frame is beside the one before it; `frozen` and `cut` are False without a neighbour."""

    black: bool
    frozen: bool
    cut: bool


class Shares(NamedTuple):
    """How much of a window is black, and how much stands still."""

    black: float
    frozen: float


class Looks:
    """Looks at frames once. Holds nothing that the frames do not determine."""

    def __init__(self) -> None:
        self._known: dict[tuple[Frame | None, Frame], Look] = {}
        self._grids: dict[Frame, Grid] = {}

    def shares(self, windows: Mapping[int, Window], start_ms: int, last: Frame | None) -> Shares | None:
        """The shares of one window's frames; None without frames. `last` is the last frame before all windows."""
        looks = [look for _, _, look in self.at(windows, start_ms, last)]
        if not looks:
            return None
        return Shares(sum(k.black for k in looks) / len(looks), sum(k.frozen for k in looks) / len(looks))

    def at(
        self, windows: Mapping[int, Window], start_ms: int, last: Frame | None
    ) -> Iterator[tuple[Frame | None, Frame, Look]]:
        """Each frame of one window with its neighbour, None where media lies between that was not seen."""
        before = _last_before(windows.values(), start_ms) or last
        for frame in windows[start_ms].pictures:
            neighbour = before if before is not None and _follows(before, frame) else None
            key = (neighbour, frame)
            if key not in self._known:
                self._known[key] = self._look(neighbour, frame)
            yield neighbour, frame, self._known[key]
            before = frame

    def keep(self, windows: Iterable[Window]) -> None:
        """Forgets frames of other windows."""
        frames = {frame for window in windows for frame in window.frames}
        self._known = {pair: look for pair, look in self._known.items() if pair[1] in frames}
        self._grids = {frame: samples for frame, samples in self._grids.items() if frame in frames}

    def _look(self, before: Frame | None, frame: Frame) -> Look:
        samples = self._grid(frame)
        black = is_black(samples)
        if before is None:
            return Look(black, frozen=False, cut=False)
        earlier = self._grid(before)
        return Look(black, frozen=not black and is_frozen(earlier, samples), cut=is_cut(earlier, samples))

    def _grid(self, frame: Frame) -> Grid:
        if frame not in self._grids:
            self._grids[frame] = grid(frame.samples)
        return self._grids[frame]


def _last_before(windows: Iterable[Window], start_ms: int) -> Frame | None:
    earlier = [w for w in windows if w.start_ms < start_ms and w.pictures]
    return max(earlier, key=lambda w: w.start_ms).pictures[-1] if earlier else None


def _follows(before: Frame, frame: Frame) -> bool:
    same_segment = (frame.partition, frame.offset) == (before.partition, before.offset)
    return same_segment or frame.at_ms - before.at_ms <= NEIGHBOURS_MS
