"""Rules by HTTP: replaced as by `framecue rules apply`, with errors that point to the line."""

from __future__ import annotations

import threading

import pytest

from framecue.broker.protocol import Message
from framecue.broker.rules import rules_in_force
from framecue.schemas.rules import RuleSet, rules_from_yaml
from framecue.schemas.topics import MEDIA
from framecue_services.gateway.routes import rules as subject
from tests.support.gateway import House

YAML = {"Origin": "http://127.0.0.1:8080", "Content-Type": "application/yaml"}
JSON = {"Origin": "http://127.0.0.1:8080", "Content-Type": "application/json"}
FILE = """\
scenes:
- labels: [red, blue]
events:
- name: goal
  text: [goal]
  for: 2
"""


def test_a_rules_file_is_in_force_from_here_on_and_says_what_became_different() -> None:
    house = House()
    client = house.client()
    answer = client.put("/v1/rules", content=FILE, headers=YAML)
    changes = [(c["kind"], c["what"], c["streams"], c["how"]) for c in answer.json()["changes"]]
    assert changes == [("added", "scenes", "*", "2 labels"), ("added", "event goal", "*", "")]
    found = rules_in_force(house.memory)
    assert found is not None
    assert found.rules == rules_from_yaml(FILE)
    assert found.rules.events[0].for_ms == 2000, "a bare number in a file counts seconds"
    records = [house.memory.end(MEDIA.name, partition=p) for p in range(house.memory.partitions(MEDIA.name))]
    assert records == [1, 1], "every worker hears of it"
    again = client.put("/v1/rules", content=FILE.replace("for: 2", "for: 3"), headers=YAML)
    assert again.json()["changes"] == [{"kind": "changed", "what": "event goal", "streams": "*", "how": "for"}]


def test_what_is_shown_can_be_put_back_the_same() -> None:
    client = House().client()
    client.put("/v1/rules", content=FILE, headers=YAML)
    shown = client.get("/v1/rules").json()
    assert RuleSet.model_validate(shown["rules"]) == rules_from_yaml(FILE)
    assert shown["since"] == "2023-11-14T22:13:20.000Z"
    assert client.put("/v1/rules", json=shown["rules"], headers=JSON).json() == {"changes": []}


@pytest.mark.parametrize(
    ("headers", "content", "detail"),
    [
        (YAML, "events:\n- name: goal\n  texts: [goal]\n", "rules:3: events.0.texts: no such setting"),
        (YAML, "events:\n- name: 'goal\n", "rules:"),
        (YAML, "- goal\n", "rules:1: a rules file holds `scenes:` and `events:`"),
        (YAML, b"\xff\xfe", "rules: is no UTF-8 text"),
        (YAML, "", "rules:1: a rules file holds"),
        (JSON, '{"events": [{"name": "goal"}]}', "rules: events.0: combine: either needs phrases"),
        (JSON, "{", "rules: "),
        (
            YAML,
            "scenes:\n- labels: &a [red]\n" + "- labels: *a\n" * 1000,
            "rules:2: scenes: Tuple should have at most 1000",
        ),
    ],
)
def test_rules_that_do_not_hold_together_are_refused_in_words(
    headers: dict[str, str], content: str | bytes, detail: str
) -> None:
    house = House()
    answer = house.client().put("/v1/rules", content=content, headers=headers)
    assert (answer.status_code, answer.json()["detail"][: len(detail)]) == (422, detail)
    assert rules_in_force(house.memory) is None


def test_more_rules_than_the_topic_takes_are_refused() -> None:
    """A file may say by name what it said before, and be much longer than it looks."""
    labels = "".join(f"  - {n:03} {'x' * 480}\n" for n in range(200))
    repeated = "".join(f"- streams: cam{n}\n  labels: *all\n" for n in range(20))
    house = House()
    content = f"scenes:\n- labels: &all\n{labels}{repeated}"
    answer = house.client().put("/v1/rules", content=content, headers=YAML)
    assert (answer.status_code, rules_in_force(house.memory)) == (422, None), answer.text
    assert "too many or too long" in answer.json()["detail"]


def test_rules_are_not_read_where_all_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of YAML takes seconds."""
    readers: list[str] = []

    def read(text: str) -> RuleSet:
        readers.append(threading.current_thread().name)
        return rules_from_yaml(text)

    monkeypatch.setattr(subject, "rules_from_yaml", read)
    assert House().client().put("/v1/rules", content=FILE, headers=YAML).status_code == 200
    assert [name.rpartition("_")[0] for name in readers] == ["what writes to Kafka"]


def test_rules_in_force_that_cannot_be_read_can_be_replaced() -> None:
    house = House()
    house.memory.commit([Message("control", b"rules", b'{"a secret rule": 1}')])
    client = house.client()
    answer = client.get("/v1/rules")
    assert answer.status_code == 503
    assert "secret" not in answer.text, "it may be for streams that the caller does not see"
    assert client.put("/v1/rules", content=FILE, headers=YAML).status_code == 200
    assert client.get("/v1/rules").status_code == 200
