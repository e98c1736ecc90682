"""Exact media time: rational seconds in, whole milliseconds out, and half-open spans. Nobody else divides by a rate.

A container's time stamp is an integer in a rational time base, so its time in seconds is a `Fraction`. It becomes
whole milliseconds once, by `to_ms`; everything after that is integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fractions import Fraction

MPEGTS_WRAP_SECONDS = Fraction(2**33, 90_000)
"""MPEG-TS counts time in 33 bits of 1/90 000 s: it starts again every 26.5 hours."""


def to_ms(seconds: Fraction) -> int:
    """`seconds` in whole ms, halves up: what a container with a time base of 1/1000 would have written."""
    n, d = seconds.numerator * 2000 + seconds.denominator, seconds.denominator * 2
    return n // d


def from_ms(ms: int) -> Fraction:
    """`ms` as exact seconds."""
    return Fraction(ms, 1000)


def unwrap(seconds: Fraction, near: Fraction, modulus: Fraction = MPEGTS_WRAP_SECONDS) -> Fraction:
    """`seconds` moved by whole multiples of `modulus` until it is closest to `near`."""
    turns = (near - seconds) / modulus
    return seconds + modulus * ((2 * turns.numerator + turns.denominator) // (2 * turns.denominator))


def overlaps(a_start: int, a_end: int, b_start: int, b_end: int) -> bool:
    """Whether two half-open spans share a point; an instant (start = end) counts as the point at its start."""
    a_end, b_end = max(a_end, a_start + 1), max(b_end, b_start + 1)
    return a_start < b_end and b_start < a_end


def distance(a_start: int, a_end: int, b_start: int, b_end: int) -> int:
    """How far apart two spans lie, in the unit of the arguments; 0 where they touch or overlap."""
    return max(0, b_start - a_end, a_start - b_end)


def subtract(span: tuple[int, int], covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of `span` that no span of `covered` covers, in order."""
    at, end = span
    for c_start, c_end in sorted(covered):
        if c_end <= at or c_start >= end:
            continue
        if c_start > at:
            yield at, c_start
        at = max(at, c_end)
    if at < end:
        yield at, end


def window_start(at_ms: int, window_ms: int) -> int:
    """The start of the window that `at_ms` lies in."""
    return at_ms // window_ms * window_ms


def parse_rfc3339(text: str) -> int:
    """The instant that `text` names, in ms since 1970; raises ValueError without a zone, out of form or range."""
    at = datetime.fromisoformat(text.upper())
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; write 2026-01-31T12:00:00Z or +01:00")
    if not 1970 <= at.year < 3000:
        raise ValueError(f"{text!r} is not in the years 1970 to 2999")
    return to_ms(Fraction(at.timestamp()).limit_denominator(1_000_000))


def rfc3339(at_ms: int) -> str:
    """`at_ms` since 1970 as RFC 3339 in UTC, to the millisecond."""
    whole, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(whole, UTC).replace(tzinfo=None).isoformat()}.{ms:03d}Z"
