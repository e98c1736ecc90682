"""Readers of SubRip, WebVTT and ASS, tolerant and linear. They know nothing of bytes and encodings.

Our own, where pysubs2 could have been: it reads no WebVTT cue with odd spaces, drops a whole ASS file for one bad
time, cannot say which line was bad, and some of its patterns take quadratic time on hostile text.

A time line is one that matches `_SPAN`. What lies between two of them is the text of the first, but for the index
line that belongs to the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from framecue.media.drafts import Drafts
from framecue.media.styling import plain_ass, plain_subrip, plain_webvtt
from framecue.timeline import from_ms, to_ms

_TIME = r"(?:(\d{1,6}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,9}))?"
_SPAN = re.compile(rf"\s*{_TIME}\s*-->\s*(?:{_TIME}(?:\s.*)?)?")
_STAMP = re.compile(_TIME)
_INDEX = re.compile(r"\s*\d{1,9}\s*")
_MAP = re.compile(
    rf"X-TIMESTAMP-MAP\s*=\s*(?:LOCAL:{_TIME},\s*MPEGTS:(\d{{1,19}})|MPEGTS:(\d{{1,19}}),\s*LOCAL:{_TIME})"
)
_LANGUAGE = re.compile(r"Language:\s*([A-Za-z0-9-]{2,35})\s*")
_ASS_FORMAT = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
ASS_FIELDS_MAX = 100


def has_time_line(text: str) -> bool:
    """Whether some line of `text` is the time line of a SubRip or WebVTT cue."""
    return any("-->" in line and _SPAN.fullmatch(line) for line in text.split("\n"))


def read_subrip(text: str, drafts: Drafts) -> None:
    """Adds the cues of SubRip: with or without index lines, blank lines in the text, `.` for `,`, hours, an end."""
    _read_cues(text.split("\n"), drafts, first_line=1, plain=plain_subrip, place=_as_is)


def read_webvtt(text: str, drafts: Drafts) -> None:
    """Adds the cues of WebVTT; notes, styles and regions are passed over.

    With an X-TIMESTAMP-MAP (RFC 8216, 3.5) the times become ms of the MPEG-TS clock and the drafts' clock `mpegts`.
    """
    place: Callable[[int], int] = _as_is
    for first_line, block in _blocks(text.split("\n")):
        if block[0].split(" ")[0].strip() in ("NOTE", "STYLE", "REGION"):
            continue
        for line in block:
            if line.startswith("X-TIMESTAMP-MAP"):
                place = _mapped(line, drafts) or place
            elif first_line == 1 and (match := _LANGUAGE.fullmatch(line)):
                drafts.language = match[1]
        _read_cues(block, drafts, first_line=first_line, plain=plain_webvtt, place=place)


def read_ass(text: str, drafts: Drafts) -> None:
    """Adds the dialogue of ASS or SSA, its fields in the order that the events' Format line gives."""
    fields: Sequence[str] = _ASS_FORMAT
    events = True
    for number, line in enumerate(text.split("\n"), 1):
        kind, _, rest = line.strip().partition(":")
        if kind.startswith("["):
            events = kind.lower().startswith("[events]")
        elif events and kind == "Format":
            fields = tuple(name.strip().lower() for name in rest.split(",", ASS_FIELDS_MAX))
        elif events and kind == "Dialogue":
            values = dict(zip(fields, rest.split(",", len(fields) - 1), strict=False))
            start, end = (_ass_time(values.get(name, "")) for name in ("start", "end"))
            if start is None or end is None:
                drafts.miss(number)
            else:
                drafts.add(start, end, plain_ass(values.get("text", "")), line=number)


def _read_cues(
    lines: Sequence[str],
    drafts: Drafts,
    *,
    first_line: int,
    plain: Callable[[str], str],
    place: Callable[[int], int],
) -> None:
    stamps = [i for i, line in enumerate(lines) if "-->" in line and _begins_cue(lines, i)]
    numbered = bool(stamps) and stamps[0] > 0 and _INDEX.fullmatch(lines[stamps[0] - 1]) is not None
    for at, following in pairwise([*stamps, len(lines)]):
        match = _SPAN.fullmatch(lines[at])
        if match is None:
            drafts.miss(first_line + at)
            continue
        start = _ms(match.groups()[:4])
        end = None if match[6] is None else place(_ms(match.groups()[4:]))
        body = lines[at + 1 : following]
        if numbered:
            body = _without_index(body, more=following < len(lines))
        drafts.add(place(start), end, plain("\n".join(body)), line=first_line + at)


def _begins_cue(lines: Sequence[str], i: int) -> bool:
    """A time line; or an arrow where one has to be: words in the middle of a text may hold one too."""
    if _SPAN.fullmatch(lines[i]):
        return True
    before = lines[i - 1] if i else ""
    return not before.strip() or _INDEX.fullmatch(before) is not None


def _without_index(body: Sequence[str], *, more: bool) -> Sequence[str]:
    """`body` without the index of the cue that follows: a number that is its last line, where `more` cues follow, or
    stands alone after a blank line (also when the file breaks off there)."""
    last = len(body) - 1
    while last >= 0 and not body[last].strip():
        last -= 1
    if last < 0 or not _INDEX.fullmatch(body[last]):
        return body
    adjacent = more and last == len(body) - 1
    alone = last > 0 and not body[last - 1].strip()
    return body[:last] if adjacent or alone else body


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """The runs of lines between blank ones, each with the number of its first line."""
    begin = None
    for i, line in enumerate([*lines, ""]):
        if line.strip() and begin is None:
            begin = i
        elif not line.strip() and begin is not None:
            yield begin + 1, lines[begin:i]
            begin = None


def _mapped(line: str, drafts: Drafts) -> Callable[[int], int] | None:
    match = _MAP.match(line)
    if match is None:
        drafts.warnings.append("the X-TIMESTAMP-MAP cannot be read; the times are taken as they stand")
        return None
    local = match.groups()[:4] if match[5] else match.groups()[6:]
    shift = Fraction(int(match[5] or match[6]), 90_000) - from_ms(_ms(local))
    drafts.clock = "mpegts"
    return lambda ms: to_ms(from_ms(ms) + shift)


def _as_is(ms: int) -> int:
    return ms


def _ass_time(text: str) -> int | None:
    match = _STAMP.fullmatch(text.strip())
    return None if match is None else _ms(match.groups())


def _ms(parts: Sequence[str | None]) -> int:
    """(hours, minutes, seconds, decimals) as ms; decimals beyond the third are rounded, halves up."""
    hours, minutes, seconds, decimals = (part or "0" for part in parts)
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return to_ms(whole + Fraction(int(decimals), 10 ** len(decimals)))
