"""Exact time: conversion, unwrapping, spans, and instants."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecue.timeline import (
    MPEGTS_WRAP_SECONDS,
    distance,
    from_ms,
    overlaps,
    parse_rfc3339,
    rfc3339,
    subtract,
    to_ms,
    unwrap,
    window_start,
)

WRAP = MPEGTS_WRAP_SECONDS
SPANS = st.tuples(st.integers(-50, 50), st.integers(0, 30)).map(lambda s: (s[0], s[0] + s[1]))


@pytest.mark.parametrize(
    ("seconds", "ms", "reason"),
    [
        (Fraction(0), 0, "nothing"),
        (Fraction(1001, 30000), 33, "33.37 down"),
        (Fraction(1001, 24000), 42, "41.71 up"),
        (Fraction(1, 2000), 1, "a half goes up"),
        (Fraction(-1, 2000), 0, "also below zero: the same direction everywhere"),
        (Fraction(-3, 2000), -1, "also below zero"),
        (Fraction(-1, 1000), -1, "whole ms stay"),
        (Fraction(2**62, 90000), 51240955760304310, "no float on the way"),
    ],
)
def test_to_ms(seconds: Fraction, ms: int, reason: str) -> None:
    assert to_ms(seconds) == ms, reason


@given(st.integers(-(10**15), 10**15))
def test_to_ms_undoes_from_ms(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms


@given(st.fractions(-1000, 1000))
def test_to_ms_is_nearest(seconds: Fraction) -> None:
    assert abs(from_ms(to_ms(seconds)) - seconds) <= Fraction(1, 2000)


@pytest.mark.parametrize(
    ("seconds", "near", "expected", "reason"),
    [
        (Fraction(1), Fraction(0), Fraction(1), "near enough already"),
        (Fraction(1), WRAP - 1, WRAP + 1, "forward over the wrap"),
        (WRAP - 1, Fraction(1), Fraction(-1), "a late segment from before the wrap"),
        (WRAP - 1, WRAP + 1, WRAP - 1, "a late segment, after the wrap"),
        (Fraction(1), 3 * WRAP, 3 * WRAP + 1, "the third wrap"),
        (Fraction(0), WRAP / 2 - 1, Fraction(0), "just nearer to where it is"),
        (Fraction(0), WRAP / 2 + 1, WRAP, "just nearer to the next turn"),
    ],
)
def test_unwrap(seconds: Fraction, near: Fraction, expected: Fraction, reason: str) -> None:
    assert unwrap(seconds, near) == expected, reason


@given(st.fractions(0, 100_000), st.fractions(-(10**7), 10**7))
def test_unwrap_is_closest_and_moves_by_whole_turns(seconds: Fraction, near: Fraction) -> None:
    found = unwrap(seconds, near)
    assert (found - seconds) % WRAP == 0
    assert abs(found - near) <= WRAP / 2


@pytest.mark.parametrize(
    ("a", "b", "expected", "reason"),
    [
        ((0, 2), (1, 3), True, "in part"),
        ((0, 2), (2, 4), False, "half-open spans that touch share no point"),
        ((0, 9), (3, 4), True, "one in the other"),
        ((3, 3), (2, 4), True, "an instant within"),
        ((2, 2), (2, 4), True, "an instant at the start counts"),
        ((4, 4), (2, 4), False, "an instant at the end does not"),
        ((3, 3), (3, 3), True, "the same instant"),
        ((3, 3), (4, 4), False, "two instants"),
    ],
)
def test_overlaps(a: tuple[int, int], b: tuple[int, int], expected: bool, reason: str) -> None:
    assert overlaps(*a, *b) is overlaps(*b, *a) is expected, reason


@pytest.mark.parametrize(
    ("a", "b", "expected"), [((0, 2), (5, 6), 3), ((0, 2), (2, 4), 0), ((0, 9), (3, 4), 0), ((3, 3), (4, 4), 1)]
)
def test_distance(a: tuple[int, int], b: tuple[int, int], expected: int) -> None:
    assert distance(*a, *b) == distance(*b, *a) == expected


@pytest.mark.parametrize(
    ("span", "covered", "left"),
    [
        ((0, 10), [], [(0, 10)]),
        ((0, 10), [(0, 10)], []),
        ((0, 10), [(-5, 15)], []),
        ((0, 10), [(2, 4), (6, 8)], [(0, 2), (4, 6), (8, 10)]),
        ((0, 10), [(6, 8), (2, 4)], [(0, 2), (4, 6), (8, 10)]),
        ((0, 10), [(2, 6), (4, 8)], [(0, 2), (8, 10)]),
        ((0, 10), [(2, 8), (3, 4)], [(0, 2), (8, 10)]),
        ((0, 10), [(-3, 0), (10, 12)], [(0, 10)]),
        ((5, 5), [], []),
    ],
)
def test_subtract(span: tuple[int, int], covered: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert list(subtract(span, covered)) == left


@given(SPANS, st.lists(SPANS, max_size=6))
def test_subtract_leaves_exactly_the_points_outside(span: tuple[int, int], covered: list[tuple[int, int]]) -> None:
    left = [p for start, end in subtract(span, covered) for p in range(start, end)]
    assert left == [p for p in range(*span) if not any(s <= p < e for s, e in covered)]


@pytest.mark.parametrize(("at", "start"), [(0, 0), (1999, 0), (2000, 2000), (-1, -2000), (-2000, -2000)])
def test_window_start(at: int, start: int) -> None:
    assert window_start(at, 2000) == start


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T12:00:00.123Z", 1_769_860_800_123),
        ("2026-01-31T13:00:00.1235+01:00", 1_769_860_800_124),
        ("2026-01-31t12:00:00z", 1_769_860_800_000),
        ("2999-12-31T23:59:59.999Z", 32_503_679_999_999),
    ],
)
def test_rfc3339_reads(text: str, ms: int) -> None:
    assert parse_rfc3339(text) == ms


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2026-01-31T12:00:00", "names no time zone"),
        ("noon", "Invalid isoformat"),
        ("2026-02-30T12:00:00Z", "day is out of range"),
        ("0001-01-01T00:00:00+23:00", "not in the years 1970 to 2999"),
        ("9999-12-31T23:59:59-23:00", "not in the years 1970 to 2999"),
    ],
)
def test_rfc3339_when_bad(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_rfc3339(text)


@given(st.integers(0, 32_503_679_999_999))
def test_rfc3339_reads_what_it_wrote(ms: int) -> None:
    assert parse_rfc3339(rfc3339(ms)) == ms
