"""Headers of segments and subtitles, and JSON cues: what is read, and the sentence for what is not."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from framecue.errors import MessageError
from framecue.schemas.segment import (
    CUES_MAX,
    CueIn,
    SegmentHeaders,
    SubtitleHeaders,
    parse_cues,
    parse_segment_headers,
    parse_subtitle_headers,
    segment_headers,
    subtitle_headers,
)

CUE = {"start_ms": 0, "end_ms": 1500, "text": "Tor!"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, SegmentHeaders()),
        ({"content-type": b"\xff", "x-other": b"1"}, SegmentHeaders()),
        ({"framecue-session": b"run-1", "framecue-seq": b"0"}, SegmentHeaders(session="run-1", seq=0)),
        ({"framecue-start": b"1001/24000"}, SegmentHeaders(start=Fraction(1001, 24000))),
        ({"framecue-start": b"12.5"}, SegmentHeaders(start=Fraction(25, 2))),
        ({"framecue-cues": json.dumps([CUE]).encode()}, SegmentHeaders(cues=(CueIn(**CUE),))),
        ({"framecue-captured-at": b"1970-01-01T01:00:01.5+01:00"}, SegmentHeaders(captured_at_ms=1500)),
        ({"framecue-warnings": b'["Die Untertitel fehlen"]'}, SegmentHeaders(warnings=("Die Untertitel fehlen",))),
        ({"framecue-program": b"2"}, SegmentHeaders(program=2)),
        ({"framecue-end": b"1"}, SegmentHeaders(end=True)),
        ({"framecue-end": b"true"}, SegmentHeaders(end=True)),
        ({"framecue-end": b"0"}, SegmentHeaders(end=False)),
        ({"traceparent": b"00-ab-cd-01"}, SegmentHeaders(traceparent="00-ab-cd-01")),
    ],
)
def test_segment_headers_when_good(headers: dict[str, bytes], expected: SegmentHeaders) -> None:
    assert parse_segment_headers(headers.items()) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("framecue-session", b"\xff", "the header framecue-session is not UTF-8"),
        ("framecue-session", b"", "session: String should have at least 1 character"),
        ("framecue-seq", b"-1", "seq: Input should be greater than or equal to 0"),
        ("framecue-seq", b"9" * 25, "seq: Input should be less than 9223372036854775808"),
        ("framecue-seq", b"one", "seq: Input should be a valid integer"),
        ("framecue-start", b"1/0", "start: Value error, not exact seconds; write a whole number, 12.5 or 1001/24000"),
        ("framecue-start", b"soon", "start: Value error, not exact seconds; write a whole number, 12.5 or 1001/24000"),
        ("framecue-start", b"nan", "start: Value error, not exact seconds; write a whole number, 12.5 or 1001/24000"),
        ("framecue-start", b"1e999999999", "start: Value error, not exact seconds"),
        ("framecue-start", b"10000000001", "start: Input should be less than or equal to 10000000000"),
        ("framecue-captured-at", b"9999-12-31T23:59:59-23:00", "is not in the years 1970 to 2999"),
        ("framecue-cues", b"[", "the JSON cues cannot be read"),
        ("framecue-captured-at", b"2026-01-31T12:00:00", "names no time zone"),
        ("framecue-captured-at", b"noon", "the header framecue-captured-at cannot be read"),
        ("framecue-warnings", b"a sentence", "the header framecue-warnings cannot be read"),
        ("framecue-warnings", b"[" * 100_000, "the header framecue-warnings cannot be read"),
        ("framecue-warnings", b"3", "warnings: Input should be a valid tuple"),
        ("framecue-program", b"0", "program: Input should be greater than or equal to 1"),
        ("traceparent", b"0" * 129, "traceparent: String should have at most 128 characters"),
    ],
)
def test_segment_headers_when_bad(name: str, value: bytes, sentence: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_segment_headers([(name, value)])
    assert sentence in caught.value.reason


def test_segment_headers_read_back_what_was_written() -> None:
    given = SegmentHeaders(
        session="run-1",
        seq=6,
        start=Fraction(1001, 24000),
        cues=(CueIn(**CUE, language="de"), CueIn(at="2026-01-31T12:00:00Z", text="live – „so“")),
        captured_at_ms=1_769_860_800_123,
        program=2,
        end=True,
        traceparent="00-ab-cd-01",
    )
    assert parse_segment_headers(segment_headers(given)) == given
    assert segment_headers(SegmentHeaders()) == ()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, SubtitleHeaders()),
        ({"content-type": b"text/vtt"}, SubtitleHeaders(content_type="text/vtt")),
        ({"framecue-lag-ms": b"3000", "framecue-clock": b"wall"}, SubtitleHeaders(lag_ms=3000, clock="wall")),
        ({"framecue-language": b"de", "framecue-session": b"a"}, SubtitleHeaders(language="de", session="a")),
        ({"framecue-seq": b"7"}, SubtitleHeaders()),
    ],
)
def test_subtitle_headers_when_good(headers: dict[str, bytes], expected: SubtitleHeaders) -> None:
    assert parse_subtitle_headers(headers.items()) == expected
    assert parse_subtitle_headers(subtitle_headers(expected)) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("framecue-lag-ms", b"-1", "lag_ms: Input should be greater than or equal to 0"),
        ("framecue-lag-ms", b"3s", "lag_ms: Input should be a valid integer"),
        ("framecue-lag-ms", b"600001", "lag_ms: Input should be less than or equal to 600000"),
        ("framecue-clock", b"live", "clock: Input should be 'start' or 'wall'"),
        ("framecue-language", b"\xe4", "the header framecue-language is not UTF-8"),
    ],
)
def test_subtitle_headers_when_bad(name: str, value: bytes, sentence: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_subtitle_headers([(name, value)])
    assert sentence in caught.value.reason


@pytest.mark.parametrize(
    ("data", "count", "reason"),
    [
        (json.dumps([CUE, CUE]), 2, "an array"),
        (json.dumps(CUE), 1, "one object"),
        (json.dumps(CUE) + "\n\n" + json.dumps(CUE), 2, "JSON lines"),
        ("[]", 0, "none"),
        ('{"at": "2026-01-31T12:00:00Z", "text": "x"}', 1, "an instant"),
        ('{"start_ms": 5, "end_ms": 5, "text": "x"}', 1, "an instant of media time"),
    ],
)
def test_cues_when_good(data: str, count: int, reason: str) -> None:
    assert len(parse_cues(data.encode())) == count, reason


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"nonsense", "Expecting value"),
        (b"\xff\xfe", "cannot be read"),
        (b'"a string"', "cannot be read"),
        (b'{"text": "x"}', "a cue needs start_ms and end_ms, or at"),
        (b'{"start_ms": 0, "text": "x"}', "a cue needs start_ms and end_ms, or at"),
        (b'{"start_ms": 9, "end_ms": 2, "text": "x"}', "the cue ends (2 ms) before it starts (9 ms)"),
        (b'{"start_ms": 9, "end_ms": 9, "text": ""}', "0.text: String should have at least 1 character"),
        (
            b'{"start_ms": 0, "end_ms": 9007199254740993, "text": "x"}',
            "0.end_ms: Input should be less than or equal to",
        ),
        (b'{"at": "noon", "text": "x"}', "Invalid isoformat string"),
        (b'{"at": "2026-01-31T12:00:00Z", "start_ms": 1, "text": "x"}', "either at, or start_ms"),
        (b'{"start_ms": 0, "end_ms": 1, "text": "x", "mood": 1}', "0.mood: Extra inputs are not permitted"),
        (b"[" * 100_000, "cannot be read"),
        (json.dumps([CUE] * (CUES_MAX + 1)).encode(), f"{CUES_MAX + 1} cues in one message; the limit is {CUES_MAX}"),
    ],
)
def test_cues_when_bad(data: bytes, sentence: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_cues(data)
    assert sentence in caught.value.reason
