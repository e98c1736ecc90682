"""Streams as they are now: who is listed in which order, page by page, and how an answer is kept."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from framecue.errors import StoreError
from tests.support.gateway import NOW_MS, House
from tests.unit.cli.results import annotation, caption, event

MINUTE_MS = 60_000


@pytest.fixture
def house() -> House:
    """Five streams, one a minute: the last is the newest."""
    house = House()
    for number in range(5):
        house.put(annotation(0, stream=f"cam{number}"))
        house.clock.advance(MINUTE_MS)
    return house


def names(client: TestClient, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return [item["stream"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["cam4", "cam3", "cam2", "cam1", "cam0"]),
        ("?limit=2", ["cam4", "cam3"]),
        ("?match=cam[13]", ["cam3", "cam1"]),
        ("?match=CAM*", []),  # stream ids are told apart by case
        ("?match=cam2", ["cam2"]),
    ],
)
def test_streams_come_most_recently_active_first(house: House, query: str, expected: list[str]) -> None:
    assert names(house.client(), f"/v1/streams{query}") == expected


def test_pages_follow_each_other_and_who_becomes_active_meanwhile_is_in_none_of_them_twice(house: House) -> None:
    client, shown, cursor = house.client(), list[str](), ""
    while cursor is not None:
        page = client.get(f"/v1/streams?limit=2{cursor and f'&cursor={cursor}'}").json()
        shown += [item["stream"] for item in page["items"]]
        cursor = page["next"]
        house.put(annotation(1, stream="cam4"))
    assert shown == ["cam4", "cam3", "cam2", "cam1", "cam0"]


def test_one_stream_is_shown_with_what_goes_on_and_the_newest_sentence(house: House) -> None:
    goal = event("goal", 0, stream="cam1").model_copy(update={"id": "cam1/0/goal/0"})
    said = caption(0, "a street").model_copy(update={"stream": "cam1"})
    _, newest, *_ = house.put(annotation(1, stream="cam1"), annotation(2, stream="cam1"), goal, said)
    shown: dict[str, Any] = house.client().get("/v1/streams/cam1/latest").json()
    assert (shown["stream"], shown["annotation"]["start_ms"], shown["caption"]["text"]) == ("cam1", 4000, "a street")
    assert [one["id"] for one in shown["open_events"]] == ["cam1/0/goal/0"]
    assert shown["active_at"] == newest.published_at
    assert shown == house.client().get("/v1/streams?match=cam1").json()["items"][0]


@pytest.mark.parametrize("name", ["nobody", "..", "a b", "%00", "x" * 129, "cam1%2Flatest"])
def test_a_stream_that_is_not_there_is_a_problem(house: House, name: str) -> None:
    answer = house.client().get(f"/v1/streams/{name}/latest")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_an_answer_that_is_known_is_not_sent_again(house: House) -> None:
    client = house.client()
    tag = client.get("/v1/streams").headers["etag"]
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get("/v1/streams", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), known
    house.put(annotation(1, stream="cam0"))
    assert client.get("/v1/streams", headers={"If-None-Match": tag}).status_code == 200


def test_long_answers_are_compressed_and_are_the_same_answers(house: House) -> None:
    plain = house.client().get("/v1/streams", headers={"Accept-Encoding": "identity"})
    packed = house.client().get("/v1/streams", headers={"Accept-Encoding": "gzip"})
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert (packed.json(), packed.headers["etag"]) == (plain.json(), plain.headers["etag"])
    assert int(packed.headers["content-length"]) < len(plain.content) / 3


def test_a_stream_is_gone_a_day_after_its_last_result(house: House) -> None:
    house.clock.advance(86_400_000)
    assert names(house.client(), "/v1/streams") == []
    assert house.client().get("/v1/streams/cam4/latest").status_code == 404


def test_redis_away_is_a_problem_that_names_it_and_says_when_to_come_again(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise StoreError("Redis at 10.0.0.7:6379 does not answer; start it with `framecue up`")

    monkeypatch.setattr(house.store, "activity", away)
    answer = house.client().get("/v1/streams")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["detail"].startswith("Redis does not answer")
    assert "10.0.0.7" not in answer.text, "where servers are is for the log"
    assert "10.0.0.7" in caplog.text


def test_times_are_of_publication(house: House) -> None:
    (newest,) = house.client().get("/v1/streams?limit=1").json()["items"]
    assert newest["active_at"] == "2023-11-14T22:17:20.000Z"
    assert NOW_MS == 1_700_000_000_000, "four minutes before that"
