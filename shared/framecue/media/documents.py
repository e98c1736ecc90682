"""Subtitle documents of all kinds: bytes in, cues out. The content decides what it is; what is said of it is a hint.

Knows no stream and no segment. A document whose cues are partly bad gives the good ones and a warning; one that cannot
be read at all is a SubtitleError with a sentence on what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framecue.errors import MessageError, SubtitleError
from framecue.media.drafts import Drafts
from framecue.media.encodings import Decoded, decode_text
from framecue.media.line_formats import has_time_line, read_ass, read_subrip, read_webvtt
from framecue.media.styling import tidy
from framecue.media.ttml import read_ttml
from framecue.schemas.media import Cue
from framecue.schemas.segment import CUE_TEXT_MAX, TextClock, parse_cues
from framecue.timeline import parse_rfc3339

DOCUMENT_MAX_BYTES = 4 << 20
"""What the `subtitles` topic takes; a film's subtitles are 100 KiB."""
EXPECTED = "expected SubRip, WebVTT, ASS, TTML or JSON cues"
NAMES = {"srt": "SubRip", "vtt": "WebVTT", "ass": "ASS", "ttml": "TTML", "json": "JSON cues", "live": "a live line"}
HINTS = {
    "application/x-subrip": "srt",
    "application/srt": "srt",
    "text/srt": "srt",
    "text/x-srt": "srt",
    "text/vtt": "vtt",
    "text/x-ass": "ass",
    "text/x-ssa": "ass",
    "application/x-ass": "ass",
    "application/x-ssa": "ass",
    "application/ttml+xml": "ttml",
    "application/ttaf+xml": "ttml",
    "application/json": "json",
    "application/x-ndjson": "json",
}
"""Content types that name a format; others (text/plain, application/octet-stream) say nothing."""

_BITMAP = "subtitles as pictures (a bitmap format), which are not read; supply text subtitles"
_FOREIGN = (
    (re.compile(rb"PG.{8}[\x14-\x17\x80]", re.DOTALL), f"PGS (.sup), {_BITMAP}"),
    (re.compile(rb"\x00\x00\x01\xba"), f"VobSub (.sub), {_BITMAP}"),
    (re.compile(rb"\s*# VobSub index file"), f"a VobSub index (.idx), {_BITMAP}"),
    (
        re.compile(rb"\x1aE\xdf\xa3|.{4}ftyp|G.{187}G", re.DOTALL),
        "a film; its text tracks are read where it is sent as one",
    ),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf"), "an archive; unpack it first"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8"), f"a picture; {EXPECTED}"),
    (re.compile(rb".{3}STL\d\d\.", re.DOTALL), f"EBU STL, which is not read; {EXPECTED}"),
    (re.compile(rb"\s*\{\d+\}\{\d+\}"), "MicroDVD, which counts frames, not time; convert it to SubRip"),
    (re.compile(rb"\s*#EXTM3U"), "a playlist, which is not followed; send what it names"),
    (re.compile(rb"\s*<SAMI", re.IGNORECASE), f"SAMI, which is not read; {EXPECTED}"),
)
_CONTROLS = bytes(c for c in range(1, 32) if c not in b"\t\n\f\r\x1b")
_HEAD = 4096
_IS_ASS = re.compile(r"^[ \t]*(?:\[(?:script info|v4\+? styles|events)\]|dialogue:[^,\n]*,[ \t]*\d+:\d)", re.I | re.M)
_IS_TTML = re.compile(r"<\?xml\b|<(?:[\w.-]{1,40}:)?tt[\s>]")
_IS_JSON = re.compile(r'(?:\[\s*)?\{\s*"|\[\s*\]\s*$')
_XML_ENCODING = re.compile(rb"<\?xml[^>]{0,100}?\bencoding\s*=\s*[\"']([\w.-]{1,40})")


@dataclass(frozen=True)
class Document:
    """Cues in the order they start; `clock` says how the times are meant (a cue's own one, where they differ)."""

    cues: tuple[Cue, ...]
    format: str
    encoding: str
    clock: TextClock
    warnings: tuple[str, ...] = ()


def parse_document(
    data: bytes, *, content_type: str | None = None, language: str | None = None, name: str | None = None
) -> Document:
    """The cues of a document, a piece of one, JSON cues, or a live line (text that is none of these).

    `language` is used where the document says none, and narrows the guess of its encoding; `name` is used in errors.
    Raises SubtitleError, and nothing else, whatever `data` is.
    """
    what = name or "the text"
    _refuse(data, what)
    kind, _, parameters = (content_type or "").lower().partition(";")
    hint = HINTS.get(kind.strip())
    decoded = decode_text(data, language=language, declared=_declared(data, parameters))
    if not decoded.encoding.startswith(("utf-16", "utf-32")) and _is_binary(data):
        raise SubtitleError(f"{what} is binary, not text; {EXPECTED}")
    found = _detect(decoded.text)
    if found == "live" and hint is not None:
        raise SubtitleError(f"{what} is no {NAMES[hint]}, though its content-type says so; {EXPECTED}")
    drafts = Drafts(warnings=_remarks(decoded, hint, found))
    if found == "live":
        return _live(decoded, drafts, language)
    READERS[found](decoded.text, drafts)
    cues = drafts.cues(clock="start", source="document", language=language)
    if drafts.missed and not cues:
        raise SubtitleError(f"no cue of {what} can be read as {NAMES[found]}: {drafts.warnings[-1]}")
    clock = cues[0].clock if cues else drafts.clock or "start"
    return Document(cues, found, decoded.encoding, clock, tuple(dict.fromkeys(drafts.warnings)))


def read_document(path: Path, *, language: str | None = None) -> Document:
    """The document in a file. Raises SubtitleError when it cannot be opened, or is none."""
    try:
        with path.open("rb") as file:
            data = file.read(DOCUMENT_MAX_BYTES + 1)
    except OSError as e:
        raise SubtitleError(f"the subtitles {path} cannot be opened: {e.strerror or e}") from e
    document = parse_document(data, language=language, name=path.name)
    if document.format == "live":
        raise SubtitleError(f"{path.name} is no subtitle document: no times in it; {EXPECTED}")
    return document


def _refuse(data: bytes, what: str) -> None:
    if len(data) > DOCUMENT_MAX_BYTES:
        raise SubtitleError(f"{what} is longer than {DOCUMENT_MAX_BYTES >> 20} MiB; send it in pieces")
    for pattern, kind in _FOREIGN:
        if pattern.match(data[:_HEAD]):
            raise SubtitleError(f"{what} is {kind}")


def _is_binary(data: bytes) -> bool:
    """Control bytes beyond one in fifty; NULs aside, with which some writers fill a file up."""
    return (len(data) - len(data.translate(None, _CONTROLS))) * 50 > len(data)


def _declared(data: bytes, parameters: str) -> str | None:
    """The encoding that the XML declaration or the content-type names."""
    if match := _XML_ENCODING.match(data[:_HEAD].lstrip()):
        return match[1].decode("ascii", "replace")
    return next((p.partition("=")[2] for p in parameters.split(";") if p.strip().startswith("charset=")), None)


def _detect(text: str) -> str:
    head = text[:_HEAD].lstrip()
    if head.startswith("WEBVTT"):
        return "vtt"
    if _IS_JSON.match(head):
        return "json"
    if head.startswith("<") and _IS_TTML.search(head):
        return "ttml"
    if _IS_ASS.search(head):
        return "ass"
    return "srt" if has_time_line(text) or _only_bad_times(head) else "live"


def _only_bad_times(head: str) -> bool:
    """SubRip by its looks (an index, then an arrow), though no time in it can be understood."""
    lines = head.split("\n")
    return len(lines) > 1 and lines[0].strip().isdecimal() and "-->" in lines[1]


def _remarks(decoded: Decoded, hint: str | None, found: str) -> list[str]:
    remarks = []
    if not decoded.certain:
        remarks.append(f"the text is not UTF-8 and names no encoding; it is read as {decoded.encoding}")
    if hint is not None and hint != found:
        remarks.append(f"the content-type says {NAMES[hint]}, the content is {NAMES[found]} and is read as that")
    return remarks


def _live(decoded: Decoded, drafts: Drafts, language: str | None) -> Document:
    text = tidy(decoded.text)
    if not text:
        raise SubtitleError(f"the text is empty; {EXPECTED} or a line of text")
    if len(text) > CUE_TEXT_MAX:
        raise SubtitleError(f"the text is longer than a live line may be ({CUE_TEXT_MAX} characters); {EXPECTED}")
    cue = Cue(start_ms=0, end_ms=0, text=text, language=language, clock="live", source="live")
    return Document((cue,), "live", decoded.encoding, "live", tuple(drafts.warnings))


def _read_json(text: str, drafts: Drafts) -> None:
    try:
        cues = parse_cues(text.encode())
    except MessageError as e:
        raise SubtitleError(e.reason) from e
    for cue in cues:
        if cue.at is not None:
            at = parse_rfc3339(cue.at)
            drafts.add(at, at, tidy(cue.text), language=cue.language, clock="wall")
        else:
            drafts.add(cue.start_ms or 0, cue.end_ms, tidy(cue.text), language=cue.language)


READERS: dict[str, Callable[[str, Drafts], None]] = {
    "srt": read_subrip,
    "vtt": read_webvtt,
    "ass": read_ass,
    "ttml": read_ttml,
    "json": _read_json,
}
