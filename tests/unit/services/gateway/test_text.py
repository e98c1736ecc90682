"""A typed line: in the topic as `framecue say` writes it, or refused in words."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from framecue.broker.protocol import Record
from framecue.schemas.segment import CUE_TEXT_MAX, parse_subtitle_headers
from framecue.telemetry import traces
from tests.support.gateway import House
from tests.unit.cli.results import annotation

HEADERS = {"Origin": "http://127.0.0.1:8080"}


@pytest.fixture
def house() -> House:
    house = House()
    house.put(annotation(0, stream="cam1"))
    return house


def written(house: House) -> list[Record]:
    return [r for p in range(house.memory.partitions("subtitles")) for r in house.memory.read("subtitles", partition=p)]


def test_a_line_stands_in_the_topic_as_a_live_one(house: House) -> None:
    sent = {"text": "ゴール! 🎉\n<b>", "language": "ja"}
    answer = house.client().post("/v1/streams/cam1/text", json=sent, headers=HEADERS)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    (record,) = written(house)
    said = parse_subtitle_headers(record.headers)
    assert (record.key, record.value) == (b"cam1", "ゴール! 🎉\n<b>".encode())
    assert (said.content_type, said.language) == ("text/plain; charset=utf-8", "ja")


@pytest.mark.parametrize(
    ("stream", "sent", "status", "detail"),
    [
        ("cam1", {"text": "x" * (CUE_TEXT_MAX + 1)}, 413, "10001 characters are longer"),
        ("cam1", {"text": " \n\t"}, 422, "there are no words in it"),
        ("cam1", {"text": "hello", "language": "no language"}, 422, "body.language"),
        ("cam1", {"text": "hello", "at": "now"}, 422, "body.at"),
        ("cam1", {}, 422, "body.text"),
        ("no id", {"text": "hello"}, 404, "there is no such stream"),
    ],
)
def test_what_is_no_line_is_not_taken(
    house: House, stream: str, sent: dict[str, str], status: int, detail: str
) -> None:
    answer = house.client().post(f"/v1/streams/{stream}/text", json=sent, headers=HEADERS)
    assert (answer.status_code, answer.json()["detail"][: len(detail)], written(house)) == (status, detail, [])


def test_a_line_may_come_before_the_first_picture_does(house: House) -> None:
    """Who sees `lab-*` may speak to all of them; what is answered does not tell which are on."""
    answer = house.client().post("/v1/streams/lab-1/text", json={"text": "it begins"}, headers=HEADERS)
    assert (answer.status_code, [r.key for r in written(house)]) == (202, [b"lab-1"])


def test_a_line_begins_a_trace_that_goes_on_from_the_topic(house: House) -> None:
    """As one of `framecue say` does: from the gateway on, one can see when it was joined."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    traces.start(provider.get_tracer("test"))
    try:
        house.client().post("/v1/streams/cam1/text", json={"text": "goal"}, headers=HEADERS)
    finally:
        traces.stop()
    (record,), (said,) = written(house), memory.get_finished_spans()
    assert (said.name, dict(said.attributes or {})) == ("say", {"framecue.stream": "cam1"})
    assert traces.is_ours(record.headers)
    assert said.context is not None
    assert f"{said.context.trace_id:032x}-{said.context.span_id:016x}" in (traces.traceparent_of(record.headers) or "")
