"""The gateway as a process over real servers: what is pushed can be asked for, and it outlives whatever is away."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from framecue.schemas.feedback import Feedback
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import SegmentHeaders, segment_headers
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer
from tests.support.clips import Picture, make_clip
from tests.support.encoders import PALETTE
from tests.support.fleet import Fleet, read_all
from tests.support.servers import HOST, free_port
from tests.unit.cli.results import annotation

# The client forgets the sockets of attempts that failed; they go when their memory does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
SERVICES = ("ingest", "fusion", "captioner", "projector")
STREAM = "cam1"
SIZE = (192, 108)
SEGMENT_S = 2
IMPATIENT = {"FRAMECUE_KAFKA__CONNECT_TIMEOUT_MS": "1000", "FRAMECUE_KAFKA__ANSWER_TIMEOUT_MS": "3000"}
"""Where Kafka is away, all that asks it waits for so long."""
SCENES = ("red", "blue", "red", "red")
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "green", "blue")),),
    events=(EventRule(name="late blue", picture=("blue",)),),
)


class Person:
    """Somebody on this machine with a browser, and a gateway without tokens."""

    def __init__(self, fleet: Fleet, client: httpx.Client) -> None:
        self.fleet, self.client = fleet, client

    def get(self, path: str, **query: Any) -> Any:
        """What is there; fails where there is a problem."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def until(self, path: str, condition: Callable[[Any], Any], **query: Any) -> Any:
        """The answer at `path` once it is as it should be."""

        def found() -> Any:
            answer = self.client.get(path, params=query)
            return answer.json() if answer.status_code == 200 and condition(answer.json()) else None

        return self.fleet.until(found, what=f"{path} as it should be")


@pytest.fixture
def at_desk() -> Generator[Callable[[Fleet], Person]]:
    """Starts the gateway of a fleet, and sits down before it."""
    with ExitStack() as closing:

        def sit(fleet: Fleet) -> Person:
            port = free_port()
            fleet.start("gateway", settings={"FRAMECUE_GATEWAY__AUTH": "off", "FRAMECUE_GATEWAY__PORT": str(port)})
            origin = f"http://{HOST}:{port}"
            client = httpx.Client(base_url=origin, headers={"origin": origin}, timeout=60)
            return Person(fleet, closing.enter_context(client))

        yield sit


def test_what_is_pushed_can_be_asked_for(
    tmp_path: Path, kafka: str, redis_url: str, at_desk: Callable[[Fleet], Person]
) -> None:
    settings = {"FRAMECUE_ANALYSIS__CAPTION_EVERY_MS": "1000"}
    with Fleet(tmp_path / "fleet", bootstrap=kafka, redis_url=redis_url, settings=settings) as fleet:
        for name in SERVICES:
            fleet.start(name)
        person = at_desk(fleet)
        fleet.until(fleet.ready, what="all services ready")
        _put_rules(person)
        _push(fleet, 0)
        person.until(f"/v1/streams/{STREAM}/timeline", lambda page: page["items"])
        _say(person, "and now for something blue")
        for number in range(1, len(SCENES)):
            _push(fleet, number)
        event = _event(person)
        _look_at_stream(person)
        _look_at_pictures(person, event)
        _judge(person, event)
        _join(person)
        _restart(person)


def test_it_outlives_servers_that_are_away(
    tmp_path: Path,
    own_kafka: KafkaServer,
    own_redis: Callable[[], RedisServer],
    at_desk: Callable[[Fleet], Person],
) -> None:
    """Nothing else runs: results stand in the topics and in Redis as stages write them."""
    kafka, redis = own_kafka, own_redis()
    with Fleet(
        tmp_path / "fleet", bootstrap=kafka.bootstrap, redis_url=redis.url, settings=IMPATIENT, restart="never"
    ) as fleet:
        redis.stop()
        person = at_desk(fleet)
        fleet.until(lambda: person.status("/readyz") == 503, what="a gateway without Redis")
        fleet.until(lambda: _away(person) == "Redis does not answer", what="Kafka seen")
        assert (person.status("/"), person.status("/healthz"), person.status("/v1/rules")) == (200, 200, 200)
        answer = person.client.get("/v1/streams")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["detail"].startswith("Redis")
        assert not fleet.ready()

        redis.start()
        fleet.store.put([annotation(0, stream=STREAM)])
        fleet.until(fleet.ready, what="Redis seen")
        assert person.get(f"/v1/streams/{STREAM}/latest")["stream"] == STREAM
        redis.kill()
        fleet.until(lambda: person.status("/readyz") == 503, what="Redis seen to be away")
        redis.start()
        fleet.until(lambda: person.status("/v1/streams") == 200, what="Redis seen again")

        kafka.stop()
        fleet.until(lambda: person.status("/readyz") == 503, what="Kafka seen to be away")
        assert (person.status("/v1/streams"), person.status("/v1/rules")) == (200, 503), "what needs no Kafka goes on"
        fleet.until(lambda: not fleet.ready(), what="said to whoever started it")
        assert fleet.worker("gateway").terminate() == 0
        fleet.start("gateway")
        fleet.until(lambda: person.status("/v1/streams") == 200, what="a gateway without Kafka")
        assert _away(person) == "Kafka does not answer"

        kafka.start()
        fleet.until(fleet.ready, what="Kafka seen again")
        assert person.get("/v1/rules") == {"since": None, "rules": {"scenes": [], "events": []}}
        assert fleet.worker("gateway").terminate() == 0
        assert "Traceback" not in fleet.worker("gateway").log.read_text()


def _away(person: Person) -> str:
    """What `/readyz` says."""
    return str(person.client.get("/readyz").json().get("detail"))


def _put_rules(person: Person) -> None:
    applied = person.client.put("/v1/rules", content=RULES.model_dump_json(by_alias=True), headers=_JSON)
    assert applied.status_code == 200, applied.text
    assert [change["what"] for change in applied.json()["changes"]] == ["scenes", "event late blue"]
    shown = person.get("/v1/rules")
    assert (RuleSet.model_validate(shown["rules"]), shown["since"] is None) == (RULES, False)
    wrong = person.client.put("/v1/rules", content="events:\n- name: goal\n  pictures: [x]\n", headers=_YAML)
    assert (wrong.status_code, wrong.json()["detail"].startswith("rules:3: ")) == (422, True), wrong.text


def _push(fleet: Fleet, number: int) -> None:
    colour = PALETTE[SCENES[min(number, len(SCENES) - 1)]]

    def draw(index: int, at: Fraction) -> Picture:
        return np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)

    clip = make_clip(seconds=SEGMENT_S, fps=5, size=SIZE, pattern=draw)
    said = SegmentHeaders(session="s", seq=number, start=Fraction(SEGMENT_S * number))
    fleet.push(STREAM, clip, headers=segment_headers(said))


def _say(person: Person, text: str) -> None:
    said = person.client.post(f"/v1/streams/{STREAM}/text", json={"text": text, "language": "en"})
    assert (said.status_code, said.json()) == (202, {"status": "accepted"})


def _event(person: Person) -> str:
    page = person.until("/v1/events", lambda page: page["items"], rule="late blue", state="closed")
    (event,) = page["items"]
    assert (event["stream"], event["start_ms"], event["end_ms"]) == (STREAM, 2000, 4000)
    return str(event["id"])


def _look_at_stream(person: Person) -> None:
    person.until(f"/v1/streams/{STREAM}/timeline", lambda page: len(page["items"]) == len(SCENES))
    starts = [item["start_ms"] for item in person.get(f"/v1/streams/{STREAM}/timeline")["items"]]
    assert starts == [6000, 4000, 2000, 0]
    (now,) = person.get("/v1/streams")["items"]
    assert (now["stream"], now["annotation"]["scene"]["label"]) == (STREAM, "red")
    events = person.get(f"/v1/streams/{STREAM}/events", limit=500)["items"]
    assert "late blue" in [event["rule"] for event in events]
    captions = person.until(f"/v1/streams/{STREAM}/captions", lambda page: len(page["items"]) >= 2)
    assert captions["items"][0]["start_ms"] > captions["items"][-1]["start_ms"]


def _look_at_pictures(person: Person, event: str) -> None:
    detail = person.get(f"/v1/events/{event}")
    shown = _picture(person, detail["pictures"][0], "blue")
    assert shown == SIZE
    assert _picture(person, f"/v1/streams/{STREAM}/thumbnail?width=96", "red") == (96, 54)
    ref = detail["event"]["evidence"]["frames"][0]
    named = f"{ref['partition']}/{ref['offset']}/{ref['index']}"
    assert _picture(person, f"/v1/streams/{STREAM}/pictures/{named}?width=48", "blue") == (48, 27)
    assert person.status(f"/v1/streams/other/pictures/{named}") == 404, "it is of another stream"


def _picture(person: Person, path: str, colour: str) -> tuple[int, int]:
    """The size of the picture at `path`, which is of that colour."""
    answer = person.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    again = person.client.get(path, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    mean = np.asarray(picture, np.float32).mean(axis=(0, 1))
    assert np.abs(mean - PALETTE[colour]).max() < 40, mean
    return picture.size


def _judge(person: Person, event: str) -> None:
    given = person.client.post(f"/v1/events/{event}/feedback", json={"verdict": "wrong", "note": "that was a sky"})
    assert given.status_code == 201, given.text
    missed = {"verdict": "missed", "rule": "late blue", "start_ms": 0, "end_ms": 2000}
    assert person.client.post(f"/v1/streams/{STREAM}/feedback", json=missed).status_code == 201
    (shown,) = person.get(f"/v1/events/{event}")["feedback"]
    assert shown == given.json()
    written = [Feedback.model_validate_json(r.value or b"") for r in read_all(person.fleet.broker, "feedback")]
    assert [(one.verdict, one.event, one.rule, one.by) for one in written] == [
        ("wrong", event, "late blue", "everybody"),
        ("missed", None, "late blue", "everybody"),
    ]


def _join(person: Person) -> None:
    """The typed line stands in the window that was on when it was said."""
    pushed = len(SCENES)

    def is_joined(page: Any) -> bool:
        """While the film goes on: what was said is placed by when it arrived, wherever that falls."""
        nonlocal pushed
        if any(item["text"]["cues"] for item in page["items"]):
            return True
        if page["items"][0]["start_ms"] == SEGMENT_S * 1000 * (pushed - 1):
            _push(person.fleet, pushed)
            pushed += 1
        return False

    page = person.until(f"/v1/streams/{STREAM}/timeline", is_joined)
    words = {cue["text"] for item in page["items"] for cue in item["text"]["cues"]}
    assert words == {"and now for something blue"}


def _restart(person: Person) -> None:
    """It holds nothing that it would lose."""
    before = person.get("/v1/streams")
    person.fleet.worker("gateway").kill()
    person.fleet.until(person.fleet.ready, what="the gateway again")
    assert person.get("/v1/streams")["items"][0]["stream"] == before["items"][0]["stream"]


_JSON = {"content-type": "application/json"}
_YAML = {"content-type": "application/yaml"}
