"""What rides in the headers of the `segments` and `subtitles` topics. All of it is optional."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from framecue.errors import MessageError
from framecue.schemas.base import Int64, Seconds, Wire
from framecue.timeline import parse_rfc3339, rfc3339

Headers = tuple[tuple[str, bytes], ...]
T = TypeVar("T", bound=Wire)
TIME_MAX_MS = 2**53
"""Beyond it JSON readers lose digits."""
CUE_TEXT_MAX = 10_000
"""Characters of one cue, or one live line; no screen shows more."""
START_MAX_SECONDS = 10_000_000_000
"""Room for media time that counts from 1970, and with it every wall time stays one that RFC 3339 can write."""


class CueIn(Wire):
    """A cue as a user sends it: in media time, or at an instant of wall time."""

    start_ms: int | None = Field(None, ge=-TIME_MAX_MS, le=TIME_MAX_MS)
    end_ms: int | None = Field(None, ge=-TIME_MAX_MS, le=TIME_MAX_MS)
    at: str | None = Field(None, description="RFC 3339 instant, instead of start_ms and end_ms")
    text: str = Field(min_length=1, max_length=CUE_TEXT_MAX)
    language: str | None = Field(None, max_length=35)

    @model_validator(mode="after")
    def _timed(self) -> CueIn:
        if self.at is not None:
            if self.start_ms is not None or self.end_ms is not None:
                raise ValueError("a cue has either at, or start_ms and end_ms")
            parse_rfc3339(self.at)
        elif self.start_ms is None or self.end_ms is None:
            raise ValueError("a cue needs start_ms and end_ms, or at")
        elif self.end_ms < self.start_ms:
            raise ValueError(f"the cue ends ({self.end_ms} ms) before it starts ({self.start_ms} ms)")
        return self


class SegmentHeaders(Wire):
    """The headers of a media segment."""

    session: str | None = Field(None, min_length=1, max_length=200, description="one per push run")
    seq: Int64 | None = Field(None, ge=0)
    start: Seconds | None = Field(
        None, ge=-START_MAX_SECONDS, le=START_MAX_SECONDS, description="media time of the first video frame"
    )
    cues: tuple[CueIn, ...] = ()
    warnings: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(
        (), max_length=20, description="sentences: what the sender could not read of its source"
    )
    lag_ms: int | None = Field(None, ge=0, le=600_000, description="between what is said and its cue here")
    captured_at_ms: int | None = None
    program: int | None = Field(None, ge=1, le=65535)
    end: bool = False
    traceparent: str | None = Field(None, max_length=128)


TextClock = Literal["start", "wall", "live", "mpegts", "container"]
"""How a text record's times are meant: media time; wall time; by arrival; MPEG-TS ticks; the segment's own clock."""


class SubtitleHeaders(Wire):
    """The headers of a subtitle message."""

    content_type: str | None = Field(None, max_length=200)
    session: str | None = Field(None, min_length=1, max_length=200)
    language: str | None = Field(None, max_length=35)
    clock: Literal["start", "wall"] | None = None
    lag_ms: int | None = Field(None, ge=0, le=600_000)
    traceparent: str | None = Field(None, max_length=128)


_SUBTITLE_NAMES = {
    "content-type": "content_type",
    "framecue-session": "session",
    "framecue-language": "language",
    "framecue-clock": "clock",
    "framecue-lag-ms": "lag_ms",
    "traceparent": "traceparent",
}
_CUES = TypeAdapter(tuple[CueIn, ...])
CUES_MAX = 2_000
"""The most cues one segment header or one JSON message may hold."""


def parse_cues(data: bytes) -> tuple[CueIn, ...]:
    """The cues in a JSON array, one JSON object, or JSON lines; raises MessageError naming what is wrong."""
    try:
        try:
            value: Any = json.loads(data)
        except json.JSONDecodeError:
            value = [json.loads(line) for line in data.splitlines() if line.strip()]
        cues = _CUES.validate_python(value if isinstance(value, list) else [value])
    except (ValueError, RecursionError) as e:
        raise MessageError(f"the JSON cues cannot be read: {first_error(e)}") from e
    if len(cues) > CUES_MAX:
        raise MessageError(f"{len(cues)} cues in one message; the limit is {CUES_MAX}")
    return cues


def first_error(e: Exception) -> str:
    """The first thing a ValidationError found, as `field: what`; any other error's own text."""
    if isinstance(e, ValidationError):
        first = e.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}"
    return str(e) or type(e).__name__


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise MessageError(f"the header {name} is not UTF-8") from e


def parse_segment_headers(headers: Iterable[tuple[str, bytes]]) -> SegmentHeaders:
    """The `framecue-*` headers of a segment; others are ignored. Raises MessageError naming the header."""
    found: dict[str, Any] = {}
    for name, raw in headers:
        try:
            match name:
                case "framecue-session" | "framecue-seq" | "framecue-program" | "framecue-start":
                    found[name.removeprefix("framecue-")] = _text(name, raw)
                case "framecue-cues":
                    found["cues"] = parse_cues(raw)
                case "framecue-warnings":
                    found["warnings"] = json.loads(_text(name, raw))
                case "framecue-lag-ms":
                    found["lag_ms"] = _text(name, raw)
                case "framecue-captured-at":
                    found["captured_at_ms"] = parse_rfc3339(_text(name, raw))
                case "framecue-end":
                    found["end"] = _text(name, raw).lower() not in ("", "0", "false")
                case "traceparent":
                    found["traceparent"] = _text(name, raw)
        except (ValueError, RecursionError) as e:
            raise MessageError(f"the header {name} cannot be read: {first_error(e)}") from e
    return _validated(SegmentHeaders, found)


def parse_subtitle_headers(headers: Iterable[tuple[str, bytes]]) -> SubtitleHeaders:
    """The headers of a subtitle message; others are ignored. Raises MessageError naming the header."""
    return _validated(SubtitleHeaders, {_SUBTITLE_NAMES[n]: _text(n, v) for n, v in headers if n in _SUBTITLE_NAMES})


def _validated(model: type[T], found: dict[str, Any]) -> T:
    try:
        return model.model_validate(found)
    except ValidationError as e:
        raise MessageError(f"the headers do not hold together: {first_error(e)}") from e


def segment_headers(headers: SegmentHeaders) -> Headers:
    """`headers` as they go on the wire: what `parse_segment_headers` reads back."""
    given = {name: getattr(headers, name) for name in ("session", "seq", "start", "program")}
    out = [(f"framecue-{name}", str(value).encode()) for name, value in given.items() if value is not None]
    if headers.cues:
        cues = [c.model_dump(exclude_none=True) for c in headers.cues]
        out.append(("framecue-cues", json.dumps(cues, ensure_ascii=False).encode()))
    if headers.warnings:
        out.append(("framecue-warnings", json.dumps(headers.warnings, ensure_ascii=False).encode()))
    if headers.lag_ms is not None:
        out.append(("framecue-lag-ms", str(headers.lag_ms).encode()))
    if headers.captured_at_ms is not None:
        out.append(("framecue-captured-at", rfc3339(headers.captured_at_ms).encode()))
    if headers.end:
        out.append(("framecue-end", b"1"))
    if headers.traceparent is not None:
        out.append(("traceparent", headers.traceparent.encode()))
    return tuple(out)


def subtitle_headers(headers: SubtitleHeaders) -> Headers:
    """`headers` as they go on the wire: what `parse_subtitle_headers` reads back."""
    given = headers.model_dump(exclude_none=True)
    return tuple((wire, str(given[name]).encode()) for wire, name in _SUBTITLE_NAMES.items() if name in given)
