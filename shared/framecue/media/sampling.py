"""Which pictures are taken: a grid on media time, and the first picture of each of its cells. No decoder here.

A time becomes whole milliseconds before it is placed, so that a container that rounds to milliseconds (Matroska) and
one that does not (MPEG-TS, MP4) choose the same pictures of the same film.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from framecue.timeline import to_ms

COARSEST_TICK = Fraction(1, 1000)
"""Matroska and FLV count ms; so does what was once in them, whatever it is in now."""


@dataclass(frozen=True)
class Sampling:
    """How pictures are taken.

    `exact` gives the same pictures however a stream was cut; `keyframes` decodes key frames only: cheaper, and where
    they lie further apart than a cell, cells stay empty. Pictures leave as JPEG, `short_side` pixels, never enlarged.
    """

    mode: Literal["exact", "keyframes"] = "exact"
    per_second: Fraction = Fraction(2)
    short_side: int = 384
    quality: int = 85

    def cell(self, at: Fraction) -> int:
        """The cell that the time `at` (seconds) lies in."""
        return to_ms(at) * self.per_second.numerator // (1000 * self.per_second.denominator)


@dataclass(frozen=True)
class SegmentClock:
    """From a stream's time stamps to seconds. `first` is the stamp of the first picture.

    `start` is the media time of that picture, None where nobody says; then the grid lies on the segment's own clock.
    """

    time_base: Fraction
    first: int
    start: Fraction | None = None

    def own(self, pts: int) -> Fraction:
        return pts * self.time_base

    def grid(self, pts: int) -> Fraction:
        """The time that the sampling grid lies on."""
        return self.own(pts) if self.start is None else self.start + (pts - self.first) * self.time_base


def choose(stamps: Iterable[int], clock: SegmentClock, sampling: Sampling) -> dict[int, int]:
    """The time stamps whose pictures are taken, each with its cell: the first of every cell, in order of time."""
    chosen: dict[int, int] = {}
    taken: int | None = None
    for pts in sorted(set(stamps)):
        cell = sampling.cell(clock.grid(pts))
        if taken is None or cell > taken:
            chosen[pts] = taken = cell
    return chosen


def frame_duration(*, rates: Iterable[Fraction | None], hint: Fraction | None) -> Fraction:
    """How long a picture is shown, in seconds; 0 when nothing tells.

    `hint` (of its packet, or the step from the one before) is rounded; the reciprocal of a rate that agrees is exact.
    """
    for rate in rates:
        if rate and (hint is None or abs(1 / rate - hint) <= COARSEST_TICK):
            return 1 / rate
    return hint or Fraction(0)


def on_rate(span: Fraction, duration: Fraction, tolerance: Fraction = COARSEST_TICK) -> Fraction:
    """`span` as a whole number of `duration`s where it is one but for rounding; else `span` itself."""
    if duration <= 0:
        return span
    exact = round(span / duration) * duration
    return exact if abs(exact - span) <= tolerance else span
