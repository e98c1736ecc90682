"""Results and dead letters as messages."""

from __future__ import annotations

import json

import pytest

from framecue.broker.protocol import Record, size
from framecue.broker.publishing import dead_letter, result_message
from framecue.clock import FixedClock
from framecue.errors import MessageError, UnsupportedMediaError
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.event import Event
from framecue.schemas.results import read_result

EVENT = Event(
    id="cam1/3/goal/8000",
    sequence=2,
    phase="ended",
    stream="cam1",
    epoch=3,
    rule="goal",
    start_ms=8000,
    end_ms=12_000,
    model="m",
    space="s",
)


def test_a_result_carries_cloudevents_attributes_and_its_trace() -> None:
    message = result_message(EVENT, FixedClock(1_700_000_000_000), traceparent="00-ab-cd-01")
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"cam1/3/goal/8000#2",
        "ce_type": b"framecue.event",
        "ce_source": b"/streams/cam1",
        "ce_subject": b"cam1/3/goal/8000",
        "ce_time": b"2023-11-14T22:13:20.000Z",
        "content-type": b"application/json",
        "traceparent": b"00-ab-cd-01",
    }
    assert (message.topic, message.key) == ("events", b"cam1")


def test_a_result_has_no_time_of_publication_without_a_clock() -> None:
    message = result_message(EVENT, None)
    assert "ce_time" not in dict(message.headers)
    assert json.loads(message.value or b"")["published_at"] is None
    assert json.loads(message.value or b"")["schema"] == "framecue.event/1"
    assert read_result("events", message.value) == EVENT


def test_read_result_raises_for_what_is_no_result() -> None:
    with pytest.raises(MessageError, match="not a result of events"):
        read_result("events", b'{"schema": "framecue.event/9"}')


@pytest.mark.parametrize(
    ("key", "owner"), [(b"cam1", b"cam1"), (None, b"unkeyed"), (b"no spaces", b"unkeyed"), (b"\xff", b"unkeyed")]
)
def test_a_dead_letter_holds_the_record_as_it_came_and_why(key: bytes | None, owner: bytes) -> None:
    record = Record("segments", 2, 17, 1_000, key, b"\x00bytes", (("framecue-seq", b"4"),))
    message = dead_letter(record, "ingest", UnsupportedMediaError("a playlist is no segment"))
    letter = parse_dead_letter(message.value or b"", message.headers)
    assert (message.topic, message.key, letter.value, letter.headers) == (
        "deadletter",
        owner,
        b"\x00bytes",
        (("framecue-seq", b"4"),),
    )
    assert (letter.error, letter.reason, letter.stage) == (
        "UnsupportedMediaError",
        "a playlist is no segment",
        "ingest",
    )
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset, letter.origin.at_ms) == (
        "segments",
        2,
        17,
        1_000,
    )


def test_a_dead_letter_can_be_made_of_any_error() -> None:
    record = Record("segments", 0, 0, None, b"cam1", b"")
    message = dead_letter(record, "ingest", ValueError("\udcff" + "x" * 5_000_000))
    assert parse_dead_letter(b"", message.headers).reason.startswith("\\udcffxxx")
    assert size(message) < 3_000
