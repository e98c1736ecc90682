"""A typed line: in the topic as `framecue say` writes it, or refused in words."""

from __future__ import annotations

import pytest

from framecue.broker.protocol import Record
from framecue.schemas.segment import CUE_TEXT_MAX, parse_subtitle_headers
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
        ("nobody", {"text": "hello"}, 404, "there is no such stream"),
    ],
)
def test_what_is_no_line_is_not_taken(
    house: House, stream: str, sent: dict[str, str], status: int, detail: str
) -> None:
    answer = house.client().post(f"/v1/streams/{stream}/text", json=sent, headers=HEADERS)
    assert (answer.status_code, answer.json()["detail"][: len(detail)], written(house)) == (status, detail, [])
