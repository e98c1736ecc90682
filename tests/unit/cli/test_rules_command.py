"""Rules on `control` and in the media partitions: what is written, what is said, and what reads back the same."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.broker.rules import apply_rules, rules_in_force
from framecue.clock import FixedClock
from framecue.errors import RulesError, SetupError
from framecue.schemas.codec import unpack_media
from framecue.schemas.media import RulesMedia
from framecue.schemas.rules import RuleSet, rules_from_yaml
from framecue.schemas.topics import CONTROL, MEDIA
from framecue.settings import Settings, overlaid
from framecue_services.cli.__main__ import main
from framecue_services.cli.rules import apply_default_rules, run_apply, run_show
from framecue_services.cli.rules_file import read_rules, rules_as_yaml

NOW_MS = 1_700_000_000_000
RULES = """\
scenes:
  - {streams: "*", labels: [kitchen, street]}
events:
  - {name: goal, streams: "sport-*", text: [goal], for: 2s, cooldown: 1500ms}
"""


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(partitions=3, clock=FixedClock(NOW_MS))


def applied(broker: MemoryBroker, rules: str) -> set[str]:
    return {f"{c.kind} {c.what} {c.streams} {c.how}".strip() for c in apply_rules(broker, rules_from_yaml(rules))}


def test_rules_stand_on_control_and_in_every_media_partition_as_of_one_moment(broker: MemoryBroker) -> None:
    apply_rules(broker, rules := rules_from_yaml(RULES))
    records = [list(broker.read(MEDIA.name, partition=p)) for p in range(3)]
    assert [unpack_media(r.value or b"") for [r] in records] == [RulesMedia(rules=rules, at_ms=NOW_MS)] * 3
    found = rules_in_force(broker)
    assert found is not None
    assert (found.rules, found.since_ms) == (rules, NOW_MS)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (RULES, set()),
        (RULES.replace("kitchen", "garden"), {"changed scenes * 1 labels more, 1 fewer"}),
        (RULES.replace("[kitchen, street]", "[street, kitchen]"), {"changed scenes * labels in another order"}),
        (RULES.replace("sport-*", "news"), {"changed event goal news streams"}),
        (RULES.replace("text: [goal]", "text: [gooal], enter: 0.9"), {"changed event goal sport-* text, enter"}),
        (RULES.replace("name: goal", "name: foul"), {"added event foul sport-*", "removed event goal sport-*"}),
        (RULES.replace('"*"', '"cam*"'), {"added scenes cam* cam* 2 labels", "removed scenes *"}),
    ],
)
def test_applying_says_what_changes(broker: MemoryBroker, after: str, expected: set[str]) -> None:
    assert applied(broker, RULES) == {"added scenes * 2 labels", "added event goal sport-*"}
    assert {line.replace("scenes * *", "scenes *") for line in applied(broker, after)} == expected


def test_the_same_rules_are_written_again_for_a_fusion_that_lost_them(broker: MemoryBroker) -> None:
    applied(broker, RULES)
    assert applied(broker, RULES) == set()
    assert broker.end(MEDIA.name, partition=0) == 2


def test_shipped_rules_take_nobody_elses_place(broker: MemoryBroker) -> None:
    assert apply_default_rules(broker)
    assert not apply_default_rules(broker)
    assert broker.end(CONTROL.name, partition=0) == 1
    applied(broker, RULES)
    assert not apply_default_rules(broker)


def test_rules_too_large_for_their_topic_are_refused_before_anything_is_written(broker: MemoryBroker) -> None:
    events = [{"name": f"e{i}", "text": [f"{j:0500d}" for j in range(64)]} for i in range(40)]
    with pytest.raises(RulesError, match="takes 1048576"):
        apply_rules(broker, RuleSet.model_validate({"events": events}))
    assert broker.end(MEDIA.name, partition=0) == 0


def test_what_is_no_rule_set_on_control_is_one_sentence_and_can_be_replaced(broker: MemoryBroker) -> None:
    broker.commit([Message(CONTROL.name, b"rules", b'{"scenes": 3}')])
    with pytest.raises(RulesError, match="rules apply FILE"):
        rules_in_force(broker)
    applied(broker, RULES)
    assert rules_in_force(broker) is not None


@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        "events: [{name: a, picture: [a dog], when: settled}]",  # would be `early` without its own word
        "events: [{name: a, picture: [x], text: [/y+/], not: [z], combine: weighted, weights: [0.3, 0.7]}]",
        "events: [{name: a, text: ['öffnen: \"ja\"'], text_calibration: {a: 1.5, b: -2}}]",
        'events: [{name: a, text: ["one \\u202e two \\x9b31m"]}]',
        "{}",
    ],
)
def test_what_is_shown_reads_back_the_same(rules: str) -> None:
    parsed = rules_from_yaml(rules)
    shown = rules_as_yaml(parsed)
    assert rules_from_yaml(shown) == parsed
    assert not {"\u202e", "\x9b"} & set(shown)


def test_showing_as_yaml_json_and_for_one_stream(broker: MemoryBroker, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError, match="rules apply FILE"):
        run_show(broker)
    rules = rules_from_yaml(RULES)
    apply_rules(broker, rules)
    run_show(broker)
    text = capsys.readouterr().out
    assert "since 2023-11-14T22:13:20.000Z" in text
    assert rules_from_yaml(text) == rules
    run_show(broker, stream="news", form="json")
    shown = json.loads(capsys.readouterr().out)
    assert RuleSet.model_validate(shown["rules"]) == rules.of_stream("news")
    with pytest.raises(SetupError, match="stream id"):
        run_show(broker, stream="a b")


def test_a_bad_file_points_at_its_line_before_a_broker_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.replace("for: 2s", "for: soon"))
    monkeypatch.setattr(sys, "argv", ["framecue", "rules", "apply", str(tmp_path / "rules.yaml")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "rules.yaml:4: events.0.for" in capsys.readouterr().err


def test_applying_says_what_changed(broker: MemoryBroker) -> None:
    out = Console(file=io.StringIO(), width=200)
    run_apply(rules_from_yaml(RULES), broker, settings=Settings(), console=out)
    assert isinstance(out.file, io.StringIO)
    assert "+ event goal  sport-*" in out.file.getvalue()
    assert "3 media partitions: 2 added" in out.file.getvalue()
    assert rules_in_force(broker)


def test_a_model_without_calibration_is_warned_of(
    broker: MemoryBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    settings = overlaid(Settings(), {"model": {"name": str(tmp_path / "model"), "lock": tmp_path / "models.lock"}})
    for rules, warned in ((RULES, True), (RULES.replace("[goal]", "[goal], text_calibration: {a: 1, b: 0}"), False)):
        run_apply(rules_from_yaml(rules), broker, settings=settings, console=Console(file=io.StringIO()))
        assert ("is not calibrated: scores of goal" in capsys.readouterr().err) == warned


def test_the_shipped_rules_hold_together() -> None:
    assert read_rules(None).scenes
