"""Events of all streams, one event with all that is said of it, and what people may say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from framecue.errors import BrokerError
from framecue.schemas.event import Event
from framecue.schemas.feedback import Feedback
from framecue_services.gateway import feedback as subject
from framecue_services.gateway.feedback import SHOWN, FeedbackBook
from tests.support.gateway import House
from tests.unit.cli.results import annotation, event

HEADERS = {"Origin": "http://127.0.0.1:8080"}
MINUTE_MS = 60_000


def made(rule: str, start_ms: int, end_ms: int | None = None, *, stream: str = "cam1", **more: Any) -> Event:
    one = event(rule, start_ms, end_ms, stream=stream, **more)
    return one.model_copy(update={"id": f"{stream}/0/{rule}/{start_ms}"})


@pytest.fixture
def house() -> House:
    """A minute between each: a goal that is over, one that goes on, a corner of another stream, and many cuts."""
    house = House()
    for one in (
        made("goal", 0, 2000),
        made("goal", 4000),
        made("corner kick", 0, stream="cam2"),
        *(made("framecue.shot_cut", at, at) for at in range(0, 30_000, 1000)),
        made("goal", 0, 9000, sequence=2),
    ):
        house.put(one)
        house.clock.advance(MINUTE_MS)
    return house


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("rule=goal", ["cam1/0/goal/0", "cam1/0/goal/4000"]),  # the one with the newest news first
        ("rule=goal&state=open", ["cam1/0/goal/4000"]),
        ("rule=goal&state=closed", ["cam1/0/goal/0"]),
        ("match=cam2", ["cam2/0/corner kick/0"]),
        ("rule=c*&state=any", ["cam2/0/corner kick/0"]),
        ("match=nobody", []),
        ("limit=2&match=cam1&rule=framecue.*", ["cam1/0/framecue.shot_cut/29000", "cam1/0/framecue.shot_cut/28000"]),
    ],
)
def test_the_feed_has_what_is_asked_for(house: House, query: str, expected: list[str]) -> None:
    answer = house.client().get(f"/v1/events?{query}")
    assert [item["id"] for item in answer.json()["items"]] == expected


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_pages_of_the_feed_have_each_event_once(house: House, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Redis has to be asked often for one page."""
    monkeypatch.setattr("framecue_services.gateway.routes.events.AT_ONCE", at_once)
    client, shown, cursor = house.client(), list[str](), ""
    while cursor is not None:
        page = client.get(f"/v1/events?rule=[gc]*&limit=2{cursor and f'&cursor={cursor}'}").json()
        shown += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert shown == ["cam1/0/goal/0", "cam2/0/corner kick/0", "cam1/0/goal/4000"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("cam1/0/goal/0", 200),
        ("cam2/0/corner%20kick/0", 200),
        ("cam1%2F0%2Fgoal%2F0", 200),
        ("cam1/0/goal/2", 404),
        ("cam1/0/goal", 404),
        ("cam1", 404),
        ("nobody/0/goal/0", 404),
        ("cam1/0/evidence/8000", 200),  # rules of such names, whose paths look like others
        ("cam1/0/feedback/-8000", 200),
        ("cam1/0/evidence/7000", 404),
    ],
)
def test_an_event_is_found_by_its_id(house: House, path: str, status: int) -> None:
    house.put(made("evidence", 8000), made("feedback", -8000))
    assert house.client().get(f"/v1/events/{path}").status_code == status


# feedback


def said(house: House, **sent: Any) -> Any:
    answer = house.client().post("/v1/events/cam1/0/goal/0/feedback", json=sent, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    return answer.json()


def written(house: House) -> Sequence[Feedback]:
    count = house.memory.partitions("feedback")
    records = [record for p in range(count) for record in house.memory.read("feedback", partition=p)]
    return [Feedback.model_validate_json(record.value or b"") for record in records]


def test_what_is_said_of_an_event_stands_in_the_topic_and_beside_the_event(house: House) -> None:
    first, second = said(house, verdict="wrong", note="the replay"), said(house, verdict="right")
    assert first["id"] != second["id"]
    assert [one.model_dump(mode="json", by_alias=True) for one in written(house)] == [first, second]
    wanted = {"event": "cam1/0/goal/0", "sequence": 2, "rule": "goal", "stream": "cam1", "by": "everybody", "epoch": 0}
    assert {name: first[name] for name in wanted} == wanted
    assert house.client().get("/v1/events/cam1/0/goal/0").json()["feedback"] == [second, first]
    assert house.client().get("/v1/events/cam1/0/goal/4000").json()["feedback"] == []


def test_another_gateway_shows_the_last_twenty(house: House) -> None:
    client = house.client()
    given = [said(house, verdict="right", note=str(n)) for n in range(SHOWN + 3)]
    shown = client.get("/v1/events/cam1/0/goal/0").json()["feedback"]
    assert [one["note"] for one in shown] == [one["note"] for one in reversed(given[3:])]


def test_an_event_is_shown_while_kafka_is_away_with_what_was_known(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = house.client()
    said(house, verdict="right")
    assert len(client.get("/v1/events/cam1/0/goal/0").json()["feedback"]) == 1

    def away(*_: Any, **__: Any) -> int:
        raise BrokerError("away")

    monkeypatch.setattr(house.memory, "end", away)
    assert len(client.get("/v1/events/cam1/0/goal/0").json()["feedback"]) == 1


def test_feedback_is_held_within_bounds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all together: twenty of each of twenty thousand events, with a page of words each, would be gigabytes."""
    monkeypatch.setattr(subject, "KEPT_MAX", 3)
    house.put(made("goal", 8000), made("goal", 12_000))
    client = house.client()
    for start in (0, 0, 8000, 12_000):
        client.post(f"/v1/events/cam1/0/goal/{start}/feedback", json={"verdict": "right"}, headers=HEADERS)
    book = FeedbackBook(house.memory, clock=house.clock)
    book.look("cam1/0/goal/0")
    assert [len(book.known(f"cam1/0/goal/{start}")) for start in (0, 8000, 12_000)] == [0, 1, 1]


def test_what_was_missed_stands_in_the_run_that_is_on(house: House) -> None:
    house.put(annotation(3, stream="cam1", epoch=7))
    sent = {"verdict": "missed", "rule": "goal", "start_ms": 1000, "end_ms": 3000, "note": "a header"}
    answer = house.client().post("/v1/streams/cam1/feedback", json=sent, headers=HEADERS)
    assert answer.status_code == 201
    (one,) = written(house)
    assert (one.verdict, one.rule, one.epoch, one.start_ms, one.end_ms, one.note, one.event) == (
        "missed", "goal", 7, 1000, 3000, "a header", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("events/cam1/0/goal/0", {"verdict": "perhaps"}, 422),
        ("events/cam1/0/goal/0", {"verdict": "right", "note": "x" * 2_001}, 422),
        ("events/cam1/0/goal/0", {"verdict": "right", "by": "somebody else"}, 422),
        ("events/cam1/0/goal/1", {"verdict": "right"}, 404),
        ("streams/cam1", {"verdict": "right"}, 422),
        ("streams/cam1", {"verdict": "missed", "start_ms": 2, "end_ms": 1}, 422),
        ("streams/nobody", {"verdict": "missed"}, 404),
    ],
)
def test_what_is_no_feedback_is_not_taken(house: House, path: str, sent: dict[str, Any], status: int) -> None:
    answer = house.client().post(f"/v1/{path}/feedback", json=sent, headers=HEADERS)
    assert (answer.status_code, written(house)) == (status, [])
