"""Times as people write and read them: `1h` into an instant, an instant into `3 min ago`. Knows no clock of its own."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from framecue.errors import SetupError
from framecue.timeline import from_ms, parse_rfc3339, rfc3339

_UNIT_MS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(s|min|m|h|d)")


def instant(text: str, *, now_ms: int) -> int | Literal["now", "oldest"]:
    """What `--since` says: `now`, `oldest`, so long ago (`90s`, `15m`, `1h`, `2d`), or RFC 3339, in ms since 1970.

    Raises SetupError for anything else.
    """
    said = text.strip()
    match said:
        case "now" | "oldest":
            return said
    if span := _SPAN.fullmatch(said.lower()):
        return max(0, now_ms - round(float(span[1]) * _UNIT_MS[span[2]]))
    try:
        return parse_rfc3339(said)
    except ValueError as e:
        raise SetupError(f"{text!r} is no time; write 90s, 15m, 1h, 2d, now, oldest or 2026-01-31T12:00:00Z") from e


def later(text: str, *, now_ms: int) -> int:
    """What `--expires` says: so long from now (`90s`, `12h`, `30d`), or RFC 3339, in ms since 1970.

    Raises SetupError for anything else, and for a time that is over.
    """
    said = text.strip()
    try:
        span = _SPAN.fullmatch(said.lower())
        at_ms = now_ms + round(float(span[1]) * _UNIT_MS[span[2]]) if span else parse_rfc3339(said)
        parse_rfc3339(rfc3339(at_ms))  # a span may lead to where nobody reads it back
    except (ValueError, OverflowError) as e:
        raise SetupError(f"{text!r} is no time to come; write 12h, 30d or 2026-01-31T12:00:00Z") from e
    if at_ms <= now_ms:
        raise SetupError(f"{text!r} is over; write 12h, 30d or a later time")
    return at_ms


def ago(at_ms: int, *, now_ms: int) -> str:
    """How long ago `at_ms` was, coarsely: `just now`, `40 s ago`, `3 min ago`, `2 h ago`, `5 d ago`."""
    seconds = (now_ms - at_ms) // 1_000
    if seconds < 2:
        return "just now"
    for unit, size, below in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < below:
            return f"{seconds // size} {unit} ago"
    return f"{seconds // 86_400} d ago"


def of_day(at_ms: int) -> str:
    """The time of day here: `14:03:07`."""
    return datetime.fromtimestamp(float(from_ms(at_ms))).astimezone().strftime("%H:%M:%S")
