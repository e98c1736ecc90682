"""Where segments belong: clocks that wrap, restart, are rounded or set back."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from framecue.analysis.order import REMEMBERED, Place, Timebase, follows
from framecue.analysis.settings import MachineSettings
from framecue.schemas.features import SegmentFeatures
from framecue.schemas.media import Origin
from tests.support.streams import Log

SETTINGS = MachineSettings()
WRAP = Fraction(2**33, 90_000)
REQUEUED = Origin(topic="framecue.deadletter", partition=0, offset=1, at_ms=0)


def own(begin: Fraction | int, seconds: Fraction | int = 2, **facts: object) -> SegmentFeatures:
    """A segment that lasts `seconds` of its own clock."""
    return Log().segment(0, int(seconds * 1000), own=Fraction(begin), **facts)


def started(begin_ms: int, end_ms: int, own_s: Fraction | int = 0, **facts: object) -> SegmentFeatures:
    """A segment whose header says where it begins."""
    return Log().segment(begin_ms, end_ms, own=Fraction(own_s), start=True, **facts)


def placed(segments: Sequence[SegmentFeatures]) -> list[tuple[str, int, int]]:
    """Each segment's place and span; what has a place is accepted."""
    base, out = Timebase(), []
    for segment in segments:
        placement = base.place(segment, SETTINGS)
        out.append((placement.place.value, placement.begin_ms, placement.end_ms))
        if placement.place in (Place.FIRST, Place.LATE, Place.CONTINUES, Place.GAP):
            base.accept(segment, placement)
    return out


@pytest.mark.parametrize(("segments", "expected"), [
    pytest.param(
        [own(100), own(102), own(104)],
        [("first", 0, 2000), ("continues", 2000, 4000), ("continues", 4000, 6000)],
        id="media time begins with the first frame, whatever its clock says",
    ),
    pytest.param(
        [own(WRAP - 3, wraps=True), own(WRAP - 1, wraps=True), own(1, wraps=True)],
        [("first", 0, 2000), ("continues", 2000, 4000), ("continues", 4000, 6000)],
        id="the clock wraps inside a segment, and the demuxer counts on",
    ),
    pytest.param(
        [own(WRAP - 4, wraps=True), own(0, wraps=True), own(WRAP - 2, wraps=True), own(2, wraps=True)],
        [("first", 0, 2000), ("gap", 4000, 6000), ("late", 2000, 4000), ("continues", 6000, 8000)],
        id="a late segment from before the wrap lies before it",
    ),
    pytest.param(
        [own(WRAP - 2), own(0)],
        [("first", 0, 2000), ("too far back", -int(WRAP * 1000) + 1999, -int(WRAP * 1000) + 3999)],
        id="only MPEG-TS wraps",
    ),
    pytest.param(
        [own(0, 4), own(0, 4, content="b"), own(Fraction(8, 100), 4), own(4, 2)],
        [("first", 0, 4000), ("continues", 4000, 8000), ("continues", 8000, 12_000), ("late", 11_920, 13_920)],
        id="a clock that restarts within 100 ms is chained; one that goes on is not",
    ),
    pytest.param(
        [own(5), own(Fraction(51, 10), content="b"), own(Fraction(52_011, 10_000))],
        [("first", 0, 2000), ("continues", 2000, 4000), ("late", 2101, 4101)],
        id="100 ms from where the last one began is a restart, 101 ms are not",
    ),
    pytest.param(
        [started(0, 4000), started(4000, 8000), started(2000, 4000)],
        [("first", 0, 4000), ("continues", 4000, 8000), ("late", 2000, 4000)],
        id="with a header the header decides, though every clock begins at 0",
    ),
    pytest.param(
        [started(60_000, 62_000), started(62_000, 64_000)],
        [("first", 60_000, 62_000), ("continues", 62_000, 64_000)],
        id="a header may begin anywhere",
    ),
    pytest.param(
        [own(0), own(2 + Fraction(1, 10)), own(4 + Fraction(201, 1000))],
        [("first", 0, 2000), ("continues", 2100, 4100), ("gap", 4201, 6201)],
        id="a step of 100 ms goes on, one of 101 ms is a gap",
    ),
    pytest.param(
        [own(0), own(62), own(64 + Fraction(60_001, 1000))],
        [("first", 0, 2000), ("gap", 62_000, 64_000), ("jump", 124_001, 126_001)],
        id="60 s are the largest gap",
    ),
    pytest.param(
        [own(0), own(2), own(4, 10), own(Fraction(2001, 1000)), own(2, content="b")],
        [("first", 0, 2000), ("continues", 2000, 4000), ("continues", 4000, 14_000), ("late", 2001, 4001),
         ("too far back", 2000, 4000)],
        id="10 s behind the watermark is too far back, just less is late",
    ),
    pytest.param(
        [own(0), own(1, 4)],
        [("first", 0, 2000), ("late", 1000, 5000)],
        id="what begins before the watermark and ends after it is late, and raises it",
    ),
    pytest.param(
        [own(0), own(0)],
        [("first", 0, 2000), ("repeat", 2000, 4000)],
        id="the same bytes are a repeat before they are a restart",
    ),
    pytest.param(
        [started(0, 2000, seq=1), started(2000, 4000, seq=1), started(2000, 4000, seq=2), started(0, 2000)],
        [("first", 0, 2000), ("repeat", 2000, 4000), ("continues", 2000, 4000), ("repeat", 0, 2000)],
        id="numbers tell repeats; what has none goes by its digest",
    ),
    pytest.param(
        [own(0), own(2), own(3600, requeued_from=REQUEUED), own(4)],
        [("first", 0, 2000), ("continues", 2000, 4000), ("too far back", 3_600_000, 3_602_000),
         ("continues", 4000, 6000)],
        id="a requeued dead letter is never a jump",
    ),
])  # fmt: skip
def test_placed(segments: Sequence[SegmentFeatures], expected: Sequence[tuple[str, int, int]]):
    assert placed(segments) == list(expected)


@pytest.mark.parametrize(("header", "own_s", "begins"), [
    (Fraction(2000, 1000), Fraction(2), 2000),
    (Fraction(2002, 1000), Fraction(20013, 10_000), 2001),
    (Fraction(2003, 1000), Fraction(2001, 1000), 2003),
], ids=["the header agrees", "off by Matroska's rounding", "off by more: the header counts"])  # fmt: skip
def test_a_header_within_a_millisecond_of_the_running_clock_is_that_clock(
    header: Fraction, own_s: Fraction, begins: int
):
    """The running clock stands at own clock = media time."""
    base = Timebase()
    first = started(0, 2000)
    base.accept(first, base.place(first, SETTINGS))
    segment = own(own_s).model_copy(update={"start": header})
    placement = base.place(segment, SETTINGS)
    assert placement.begin_ms == begins
    assert placement.media_ms(own_s + 1) == begins + 1000


def test_fractions_do_not_drift():
    """24 000/1001 frames a second in segments of 48 frames, for an hour: the end is exact to the ms."""
    base, frame, any_segment = Timebase(), Fraction(1001, 24_000), own(0)
    for n in range(1799):
        facts = {"first": n * 48 * frame, "last": (n * 48 + 47) * frame, "last_duration": frame}
        segment = any_segment.model_copy(update={**facts, "digest": n.to_bytes(16, "big"), "seq": n})
        base.accept(segment, base.place(segment, SETTINGS))
    assert base.wm_ms == round(1799 * 48 * frame * 1000)


def test_repeats_are_known_among_the_last_64():
    base = Timebase()
    segments = [own(n * 2) for n in range(REMEMBERED + 1)]
    for segment in segments:
        base.accept(segment, base.place(segment, SETTINGS))
    assert [base.is_repeat(s) for s in segments] == [False] + [True] * REMEMBERED


@pytest.mark.parametrize(("segment", "expected"), [
    (own(3602), True),
    (own(3610), True),
    (own(Fraction(36015, 10)), True),
    (own(3599), True),
    (own(3700), False),
    (own(2), False),
], ids=["goes on", "after a gap", "overlaps", "neighbours swapped", "another jump", "of the old run"])  # fmt: skip
def test_follows_when_the_held_one_would_have_it(segment: SegmentFeatures, expected: bool):
    assert follows(own(3600), segment, SETTINGS) is expected
