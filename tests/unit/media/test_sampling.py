"""The grid: which pictures are taken."""

from __future__ import annotations

from fractions import Fraction

import pytest

from framecue.media.sampling import Sampling, SegmentClock, choose, frame_duration, on_rate
from framecue.timeline import to_ms

TICK_TS = Fraction(1, 90_000)
TICK_MKV = Fraction(1, 1000)


def test_choose_takes_the_first_picture_at_or_after_each_cell_begins():
    clock = SegmentClock(Fraction(1, 10), first=0)
    assert choose(range(12), clock, Sampling()) == {0: 0, 5: 1, 10: 2}


def test_choose_leaves_a_cell_without_a_picture_empty():
    assert choose([0, 1, 17], SegmentClock(Fraction(1, 10), first=0), Sampling()) == {0: 0, 17: 3}


def test_choose_lies_on_media_time_when_a_start_is_known():
    clock = SegmentClock(Fraction(1, 10), first=900, start=Fraction(3, 10))
    assert choose(range(900, 910), clock, Sampling()) == {900: 0, 902: 1, 907: 2}


def test_choose_drops_doubled_stamps_and_bears_disorder():
    assert choose([5, 0, 0, 5, 3], SegmentClock(Fraction(1, 10), first=0), Sampling()) == {0: 0, 5: 1}


@pytest.mark.parametrize(
    "fps", [Fraction(24), Fraction(25), Fraction(30), Fraction(24000, 1001), Fraction(30000, 1001)]
)
@pytest.mark.parametrize("per_second", [Fraction(2), Fraction(1), Fraction(3), Fraction(1, 2)])
def test_choose_is_the_same_in_milliseconds_as_in_exact_time(fps, per_second):
    exact = [n / fps for n in range(600)]
    sampling = Sampling(per_second=per_second)
    ts = choose((round(t / TICK_TS) for t in exact), SegmentClock(TICK_TS, 0), sampling)
    mkv = choose((to_ms(t) for t in exact), SegmentClock(TICK_MKV, 0), sampling)
    assert [to_ms(pts * TICK_TS) for pts in ts] == list(mkv)
    assert list(ts.values()) == list(mkv.values())


@pytest.mark.parametrize("first", [0, 7, 49, 50, 143])
def test_choose_is_the_same_when_the_segment_begins_in_mid_film(first):
    fps = Fraction(24)
    whole = choose((to_ms(n / fps) for n in range(300)), SegmentClock(TICK_MKV, 0), Sampling())
    stamps = [to_ms(n / fps) for n in range(first, 300)]
    part = choose(stamps, SegmentClock(TICK_MKV, stamps[0], start=first / fps), Sampling())
    later = {pts: cell for pts, cell in whole.items() if pts > stamps[0]}
    assert {pts: cell for pts, cell in part.items() if pts > stamps[0]} == later


@pytest.mark.parametrize(
    ("rates", "hint", "expected", "why"),
    [
        ([Fraction(24)], Fraction(42, 1000), Fraction(1, 24), "the rate is exact, the packet rounded"),
        ([Fraction(1000)], Fraction(42, 1000), Fraction(42, 1000), "a rate that disagrees is made up"),
        ([None, Fraction(30)], None, Fraction(1, 30), "only a rate"),
        ([None], Fraction(1, 25), Fraction(1, 25), "only a packet"),
        ([None], None, Fraction(0), "nothing tells"),
    ],
)
def test_frame_duration(rates, hint, expected, why):
    assert frame_duration(rates=rates, hint=hint) == expected, why


def test_on_rate_mends_rounding_and_nothing_else():
    assert on_rate(Fraction(958, 1000), Fraction(1, 24)) == Fraction(23, 24)
    assert on_rate(Fraction(970, 1000), Fraction(1, 24)) == Fraction(970, 1000)
    assert on_rate(Fraction(5), Fraction(0)) == 5
