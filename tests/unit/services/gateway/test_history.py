"""What was: page by page from Redis into the topics, each result once and as it stood last, and never for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from framecue.broker.history import SPAN_MAX_MS, SPAN_MIN_MS, Anchor, Bounds, look_back
from framecue.broker.protocol import Message, Record
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX
from framecue.timeline import rfc3339
from framecue_services.gateway.routes.history import while_there
from tests.support.gateway import NOW_MS, House
from tests.unit.cli.results import annotation, caption, event

STREAM = "film"
WINDOW_MS = 2_000
DAY_MS = 86_400_000


def watch(house: House, count: int, *, first: int = 0, stream: str = STREAM) -> None:
    """So many windows as they come, one every two seconds."""
    for number in range(first, first + count):
        house.put(annotation(number, stream=stream).model_copy(update={"id": f"{stream}/0/{number * 2000}+2000"}))
        house.clock.advance(WINDOW_MS)


def everything(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """The items of all pages; fails where a page is missing or comes again and again."""
    found: list[dict[str, Any]] = []
    for _ in range(100):
        answer = client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if (cursor := answer.json()["next"]) is None:
            return found
        query["cursor"] = cursor
    raise AssertionError("pages without end")


def starts(items: Sequence[dict[str, Any]]) -> list[int]:
    return [item["start_ms"] // WINDOW_MS for item in items]


@pytest.mark.parametrize("limit", [7, 50, 300, 500])
def test_pages_go_on_from_the_store_into_the_topics_without_a_seam(limit: int) -> None:
    house, count = House(), TIMELINE_MAX + 60
    watch(house, count)
    shown = everything(house.client(), f"/v1/streams/{STREAM}/timeline", limit=limit)
    assert starts(shown) == list(reversed(range(count)))


def test_others_on_the_same_partition_are_not_shown() -> None:
    house = House(partitions=1)
    for number in range(40):
        watch(house, 1, first=number)
        watch(house, 1, first=number, stream="other")
    house.store.forget(STREAM)  # so that all has to come from the topics
    since = rfc3339(NOW_MS)
    shown = everything(house.client(), f"/v1/streams/{STREAM}/timeline", limit=9, since=since)
    assert starts(shown) == list(reversed(range(40)))
    assert {item["stream"] for item in shown} == {STREAM}


def test_a_window_from_the_topics_is_shown_once_in_its_newest_revision() -> None:
    """Also where the later revision came after the page before it was read."""
    house = House()
    for number in range(30):
        house.publish(annotation(number))
        house.clock.advance(WINDOW_MS)
        if number >= 5:
            house.publish(annotation(number - 5, revision=2))
    shown = everything(house.client(), f"/v1/streams/{STREAM}/timeline", limit=4, since=rfc3339(NOW_MS))
    assert starts(shown) == list(reversed(range(30)))
    assert [item["revision"] for item in shown] == [1] * 5 + [2] * 25


def test_events_come_by_publication_and_retracted_ones_are_left_out() -> None:
    house = House()
    house.publish(event("late", 90_000), event("ghost", 0))
    house.clock.advance(60_000)
    house.publish(event("long", 0), event("ghost", 0, sequence=2, phase="retracted"))
    house.publish(event("late", 90_000, 95_000, sequence=2))
    house.clock.advance(60_000)
    shown = everything(house.client(), f"/v1/streams/{STREAM}/events", limit=1, since=rfc3339(NOW_MS))
    assert [(item["rule"], item["phase"]) for item in shown] == [("long", "started"), ("late", "ended")]


def test_events_of_the_store_go_on_into_the_topics() -> None:
    house = House()
    for number in range(EVENTS_MAX + 20):
        house.put(event("goal", number * WINDOW_MS, number * WINDOW_MS + 1))
        house.clock.advance(WINDOW_MS)
    shown = everything(house.client(), f"/v1/streams/{STREAM}/events", limit=100)
    assert starts(shown) == list(reversed(range(EVENTS_MAX + 20)))


def test_captions_come_from_the_topics_back_to_the_oldest() -> None:
    house = House()
    for number in range(5):
        house.put(caption(number, f"sentence {number}"))
        house.clock.advance(DAY_MS // 4)
    shown = everything(house.client(), f"/v1/streams/{STREAM}/captions", limit=2)
    assert [item["text"] for item in shown] == [f"sentence {number}" for number in reversed(range(5))]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (10, None, range(10, 20)),  # the store reaches back so far
        (None, 5, range(5)),
        (5, 10, range(5, 10)),
        (-10, 3, range(3)),
        (19, 19, range(0)),
        (100, None, range(0)),  # from a time on that is yet to come
    ],
)
@pytest.mark.parametrize("held", ["store", "topics"])
def test_a_span_of_time_is_half_open(held: str, since: int | None, until: int | None, expected: range) -> None:
    house = House()
    watch(house, 20)
    if held == "topics":
        house.store.forget(STREAM)
    span = {"since": since, "until": until}
    query = {name: rfc3339(NOW_MS + at * WINDOW_MS) for name, at in span.items() if at is not None}
    client, path = house.client(), f"/v1/streams/{STREAM}/timeline"
    if held == "topics" and not expected:  # nobody knows of the stream then
        assert client.get(path, params=query).status_code == 404
        return
    assert starts(everything(client, path, **query)) == list(reversed(expected))


def test_a_stream_that_only_the_topics_know_is_found_there() -> None:
    house = House()
    watch(house, 3)
    house.clock.advance(3 * DAY_MS)
    client, path = house.client(), f"/v1/streams/{STREAM}/timeline"
    assert client.get(path).status_code == 404
    assert starts(everything(client, path, since=rfc3339(NOW_MS))) == [2, 1, 0]
    assert client.get(path, params={"since": rfc3339(NOW_MS + DAY_MS)}).status_code == 404


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "e30",  # {}
        "eyJraW5kIjoiZXZlbnQifQ",  # of events
        "eyJraW5kIjoiYW5ub3RhdGlvbiIsInNob3duIjpbMSwyLCJ4Il19",  # a place with a word in it
        "eyJraW5kIjoiYW5ub3RhdGlvbiIsIm9mZnNldCI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OX0",  # beyond every log
    ],
)
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    house = House()
    watch(house, 1)
    answer = house.client().get(f"/v1/streams/{STREAM}/timeline", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["detail"][:10]) == (400, "the cursor")


# the bounds of one look


class Counted:
    """A memory broker that says how many records were read, and calls `at_record` for each."""

    def __init__(self, house: House) -> None:
        self._broker, self.read_records = house.memory, 0
        self.at_record = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        for record in self._broker.read(topic, partition=partition, start=start):
            self.read_records += 1
            self.at_record()
            yield record


def test_a_look_ends_at_its_bounds_and_the_next_one_goes_on_from_there() -> None:
    house = House(partitions=1)
    watch(house, 100, stream="other")
    watch(house, 20)
    watch(house, 400, stream="other")
    broker, found, looks = Counted(house), list[int](), 0
    anchor: Anchor | None = Anchor(house.memory.end("annotations", partition=0), house.clock.now_ms())
    while anchor is not None:
        before = broker.read_records
        looked = look_back(broker, "annotations", STREAM, begin=anchor, bounds=Bounds(records=90), limit=500)
        assert broker.read_records - before <= 91
        found += [result.start_ms // WINDOW_MS for result in looked.results]
        anchor, looks = looked.rest, looks + 1
        assert looks < 60, "it does not get on"
    assert found == list(reversed(range(20)))


def test_a_look_that_nobody_waits_for_ends_between_two_records() -> None:
    house = House(partitions=1)
    watch(house, 300)
    broker, bounds = Counted(house), Bounds()
    broker.at_record = lambda: bounds.stop.set() if broker.read_records == 10 else None
    begin = Anchor(house.memory.end("annotations", partition=0), house.clock.now_ms())
    looked = look_back(broker, "annotations", STREAM, begin=begin, bounds=bounds, limit=500)
    assert (broker.read_records, looked.results) == (10, ())
    assert looked.rest is not None
    assert (looked.rest.offset, looked.rest.span_ms >= SPAN_MIN_MS) == (begin.offset, True)


def test_a_place_that_somebody_made_up_holds_no_thread() -> None:
    """Spans in which nothing was ever written, back from a time thousands of years ahead: each is asked about."""
    house = House(partitions=1)
    watch(house, 5)
    broker, bounds, asked = Counted(house), Bounds(), list[int]()

    def offset_at(topic: str, *, partition: int, at_ms: int) -> int:
        asked.append(at_ms)
        if len(asked) == 5:
            bounds.stop.set()
        assert len(asked) < 10, "nobody waits for it any more"
        return house.memory.offset_at(topic, partition=partition, at_ms=at_ms)

    broker.offset_at = offset_at  # type: ignore[attr-defined]
    begin = Anchor(2**63 - 1, 2**53 - 1, SPAN_MAX_MS)
    assert look_back(broker, "annotations", STREAM, begin=begin, bounds=bounds, limit=500).results == ()


def test_whoever_goes_away_ends_the_look() -> None:
    """As uvicorn tells it: `http.disconnect`, while the answer is still being looked for."""
    stop, gone = threading.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def look() -> None:
        gone.set()
        await asyncio.Event().wait()  # for ever, were it not for who went away

    async def ask() -> None:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)
        await asyncio.wait_for(while_there(request, look(), stop=stop.set), 30)

    with pytest.raises(Exception, match="has gone"):
        asyncio.run(ask())
    assert stop.is_set()


def test_a_record_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.publish(annotation(0))
    house.memory.commit([Message("annotations", STREAM.encode(), b'{"schema": "framecue.annotation/9"}')])
    assert starts(everything(house.client(), f"/v1/streams/{STREAM}/timeline", since=rfc3339(NOW_MS))) == [0]
    assert "is left out" in caplog.text
