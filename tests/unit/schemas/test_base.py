"""Stream ids, exact seconds, and what all wire models share."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pydantic import TypeAdapter, ValidationError

from framecue.errors import MessageError
from framecue.schemas.annotation import LabelScore
from framecue.schemas.base import Seconds, StreamId, stream_id


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"cam-7", "plain"),
        (b"a", "shortest"),
        (b"A" * 128, "longest"),
        (b"north.gate_2-B", "every kind of character"),
    ],
)
def test_stream_id_when_key_is_good(key: bytes, reason: str) -> None:
    assert stream_id(key) == key.decode() == TypeAdapter(StreamId).validate_python(key.decode()), reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "no key"),
        (b"", "empty key"),
        (b"A" * 129, "too long"),
        (b"cam 7", "a space"),
        (b"cam/7", "ids of annotations are split at slashes"),
        (b"cam#7", "ce_id is split at the hash"),
        (b"cam\n", "a newline at the end, which $ would let through"),
        ("ström".encode(), "not ASCII"),
        (b"\xff\xfe", "not UTF-8"),
        ("1\u0662".encode(), "a digit, but not an ASCII one"),
    ],
)
def test_stream_id_when_key_is_bad(key: bytes | None, reason: str) -> None:
    with pytest.raises(MessageError, match="1 to 128 of A-Z a-z 0-9"):
        stream_id(key)
    with pytest.raises(ValidationError):
        TypeAdapter(StreamId).validate_python((key or b"").decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("value", "seconds", "wire"),
    [
        (Fraction(1001, 24000), Fraction(1001, 24000), "1001/24000"),
        ("1001/24000", Fraction(1001, 24000), "1001/24000"),
        ("12.5", Fraction(25, 2), "25/2"),
        (3, Fraction(3), "3"),
        ("-1/3", Fraction(-1, 3), "-1/3"),
        ("1/10", Fraction(1, 10), "1/10"),
    ],
)
def test_seconds_are_exact(value: object, seconds: Fraction, wire: str) -> None:
    adapter: TypeAdapter[Fraction] = TypeAdapter(Seconds)
    assert adapter.validate_python(value) == seconds
    assert adapter.dump_python(seconds) == wire


@pytest.mark.parametrize("value", ["", "1/0", "1/00", "one", "nan", "1e999999999", "1/-2", "9" * 19, None, 0.1])
def test_seconds_when_not_exact(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Seconds).validate_python(value)


def test_wire_refuses_unknown_fields_and_changes() -> None:
    with pytest.raises(ValidationError, match="extra"):
        LabelScore.model_validate({"label": "a", "score": 0.5, "mood": "b"})
    with pytest.raises(ValidationError, match="frozen"):
        LabelScore(label="a", score=0.5).score = 1.0
