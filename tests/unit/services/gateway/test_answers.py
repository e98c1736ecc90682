"""Lists are put together from JSON as it is held: they are what the models of the API would have written."""

from __future__ import annotations

import pytest

from framecue.schemas.event import Evidence
from framecue_services.gateway.answers import AnnotationPage, Answer, CaptionPage, EventPage, StreamNow, StreamPage
from tests.support.gateway import House
from tests.unit.cli.results import annotation, caption, event


@pytest.fixture
def house() -> House:
    """One stream with some of everything, and one that nothing but an event is known of."""
    house = House()
    goal = event("goal", 0, stream="cam1").model_copy(
        update={"id": 'cam1/0/goal "ü"/0', "peak": float("nan"), "evidence": Evidence(picture=0.5)}
    )
    said = [caption(n, f"a \\ street, \u2028 {n}") for n in range(2)]
    house.put(annotation(1, stream="cam1"), annotation(2, stream="cam1"), goal, event("corner", 1, stream="cam1"))
    house.put(*(one.model_copy(update={"stream": "cam1"}) for one in said))
    house.put(event("goal", 2, stream="cam2").model_copy(update={"id": "cam2/0/goal/2000"}))
    return house


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/streams", StreamPage),
        ("/v1/streams?limit=1", StreamPage),  # with a cursor behind it
        ("/v1/streams?match=nobody", StreamPage),  # and nothing at all
        ("/v1/streams/cam1/latest", StreamNow),
        ("/v1/streams/cam2/latest", StreamNow),  # nulls
        ("/v1/streams/cam1/timeline", AnnotationPage),
        ("/v1/streams/cam1/timeline?limit=1", AnnotationPage),
        ("/v1/streams/cam1/timeline?since=2020-01-01T00:00:00Z", AnnotationPage),
        ("/v1/streams/cam1/events", EventPage),
        ("/v1/streams/cam1/captions", CaptionPage),  # from Kafka
        ("/v1/events", EventPage),
        ("/v1/events?limit=1", EventPage),
    ],
)
def test_an_answer_is_what_its_model_would_write(house: House, path: str, model: type[Answer]) -> None:
    answer = house.client().get(path)
    assert answer.status_code == 200, answer.text
    assert answer.text == model.model_validate_json(answer.content).model_dump_json(by_alias=True)
