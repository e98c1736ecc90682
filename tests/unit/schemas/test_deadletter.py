"""Dead letters: what could not be used comes back whole, with where it came from and why."""

from __future__ import annotations

import pytest

from framecue.errors import MessageError
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.media import Origin

ORIGIN = Origin(topic="segments", partition=3, offset=40, at_ms=1_769_860_800_000)


def letter(**changes: object) -> DeadLetter:
    given = {
        "origin": ORIGIN,
        "stage": "ingest",
        "error": "DecoderFailedError",
        "reason": "the decoder crashed – „Signal 11“",
        "value": b"\x00\xff",
        "headers": (("framecue-seq", b"6"), ("x", b"\xff"), ("x", b"twice")),
    }
    return DeadLetter.model_validate(given | changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "all of it; headers keep bytes, order and repeats"),
        ({"origin": Origin(topic="subtitles", partition=0, offset=0)}, "input without arrival time"),
        ({"headers": ()}, "no headers of its own"),
        ({"value": b""}, "an empty message"),
    ],
)
def test_dead_letter_round_trip(changes: dict[str, object], reason: str) -> None:
    sent = letter(**changes)
    assert parse_dead_letter(sent.value, sent.to_headers()) == sent, reason


def test_dead_letter_when_it_died_before() -> None:
    """A requeued letter that dies again says why it died the last time, once."""
    first = letter()
    again = letter(headers=first.to_headers(), reason="still no video in it")
    read = parse_dead_letter(again.value, again.to_headers())
    assert read.reason == "still no video in it"
    assert read.headers == first.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("topic", None),
        ("partition", b"three"),
        ("offset", None),
        ("reason", None),
        ("at-ms", b"noon"),
        ("offset", b"9" * 25),
    ],
)
def test_dead_letter_when_headers_are_not_ours(name: str, value: bytes | None) -> None:
    headers = dict(letter(headers=()).to_headers())
    headers.pop(f"framecue-dead-{name}")
    if value is not None:
        headers[f"framecue-dead-{name}"] = value
    with pytest.raises(MessageError, match="not a dead letter of ours"):
        parse_dead_letter(b"", headers.items())
