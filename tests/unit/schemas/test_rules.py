"""Rules files: defaults that follow from what is given, and errors that point to the line."""

from __future__ import annotations

import pytest

from framecue.errors import RulesError
from framecue.schemas.codec import pack, unpack_media
from framecue.schemas.media import RulesMedia
from framecue.schemas.rules import EventRule, RuleSet, identity, rules_from_yaml

DESIGN = """\
scenes:
  - streams: "*"
    labels: [news studio, football match, kitchen, street at night, lecture hall]
events:
  - name: goal
    streams: "sport-*"
    picture: ["players celebrating a goal"]
    text: ["goal", "he scores"]
    not: ["replay of a goal"]
    combine: both
    tolerance: 4s
    when: settled
    enter: 0.6
    exit: 0.4
    for: 2s
    cooldown: 30s
"""


def event(text: str) -> EventRule:
    return rules_from_yaml(f"events:\n  - {{name: e, {text}}}").events[0]


def test_rules_file_of_the_design() -> None:
    rules = rules_from_yaml(DESIGN)
    goal = rules.events[0]
    assert goal.negatives == ("replay of a goal",)
    assert (goal.tolerance_ms, goal.for_ms, goal.cooldown_ms) == (4000, 2000, 30_000)
    assert rules.scenes[0].labels[1] == "football match"


@pytest.mark.parametrize(
    ("text", "combine", "when", "reason"),
    [
        ("picture: a", "picture", "early", "one side given: nothing to combine; pictures do not wait for words"),
        ("text: a", "text", "settled", "words may still come"),
        ("picture: a, text: b", "either", "settled", "the defaults of the design"),
        ("picture: a, text: b, combine: picture", "picture", "early", "said outright"),
        ("picture: a, when: settled", "picture", "settled", "said outright"),
        ("picture: a, text: b, combine: both", "both", "settled", "needs the words"),
    ],
)
def test_combine_and_when_follow_from_what_is_given(text: str, combine: str, when: str, reason: str) -> None:
    rule = event(text)
    assert (rule.combine, rule.when) == (combine, when), reason


@pytest.mark.parametrize(
    ("written", "ms"),
    [("4s", 4000), ("1.5s", 1500), ("500ms", 500), ("2m", 120_000), ("2 min", 120_000), ("1h", 3_600_000), ("3", 3000)],
)
def test_durations_as_people_write_them(written: str, ms: int) -> None:
    assert event(f"picture: a, cooldown: {written}").cooldown_ms == ms


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "a rules file holds `scenes:` and `events:`"),
        ("just words", 1, "a rules file holds"),
        ("events: [", 1, "expected the node content"),
        ("a: 1\n  b: 2", 2, "mapping values are not allowed here"),
        ("scenes:\n  - labels: []", 2, "scenes.0.labels: Tuple should have at least 1 item"),
        ("scenes:\n  - labels: [a, a]", 2, "a label stands twice"),
        ("scenes:\n  - labels: [a, unknown]", 2, "'unknown' is always among the labels"),
        ("scenes:\n  - labels: [a]\n    streams: 'lab/*'", 3, "scenes.0.streams: String should match pattern"),
        ("events:\n  - picture: a", 2, "events.0.name: Field required"),
        ("events:\n  - name: e\n    picture: a\n    pictures: b", 4, "no such setting"),
        ("events:\n  - name: e\n    picture: a\n    exit: 0.7", 2, "exit (0.7) is above enter (0.6)"),
        ("events:\n  - name: e\n    picture: a\n    enter: 1.1", 4, "less than or equal to 1"),
        ("events:\n  - name: e\n    picture: a\n    for: soon", 4, "'soon' is not a duration; write 4s"),
        ("events:\n  - name: e\n    picture: a\n    for: true", 4, "not a duration"),
        ("events:\n  - name: e\n    picture: a\n    for: .inf", 4, "longer than any stream"),
        (f"events:\n  - name: e\n    picture: a\n    for: {'9' * 400}s", 4, "longer than any stream"),
        ("events:\n  - name: e\n    text: a\n    text_calibration: {a: .nan, b: 0}", 4, "a finite number"),
        ("events:\n  - name: e\n    picture: a\n    for: -1s", 4, "not a duration"),
        ("events:\n  - name: e\n    picture: a\n    for: -1", 4, "greater than or equal to 0"),
        ("events:\n  - name: e\n    picture: a\n    tolerance: 11m", 4, "less than or equal to 600000"),
        ("events:\n  - name: e\n    picture: ['  ']", 3, "an empty phrase"),
        ("events:\n  - name: e\n    picture: /goal/", 2, "a regular expression has meaning under text: only"),
        ("events:\n  - name: e\n    text: /(a/", 3, "/(a/ is no regular expression that runs in linear time"),
        (r"events: [{name: e, text: '/(a)\1/'}]", 1, "is no regular expression that runs in linear time"),
        ("events:\n  - name: e", 2, "combine: either needs phrases under picture:"),
        ("events:\n  - name: e\n    text: a\n    combine: both", 2, "combine: both needs phrases under picture:"),
        ("events:\n  - name: e\n    text: a\n    weights: [0.5, 0.5]", 2, "weights go with combine: weighted"),
        (
            "events:\n  - name: e\n    text: a\n    picture: b\n    combine: weighted\n    weights: [1, 1]",
            2,
            "weights must be two numbers that sum to 1, got [1.0, 1.0]",
        ),
        ("events:\n  - name: framecue.mine\n    text: a", 2, "are kept for built-in events"),
        ("events:\n  - name: e\n    text: a\n  - name: e\n    text: b", 1, "two events are named 'e'"),
        ("events:\n  - name: a/b\n    text: a", 2, "events.0.name: String should match pattern"),
    ],
)
def test_errors_point_to_the_line(text: str, line: int, sentence: str) -> None:
    with pytest.raises(RulesError) as caught:
        rules_from_yaml(text, source="my.yaml")
    assert (caught.value.line, caught.value.source) == (line, "my.yaml")
    assert sentence in caught.value.reason
    assert caught.value.reason.startswith(f"my.yaml:{line}: ")


@pytest.mark.parametrize(
    "text", ["[" * 5000, "a: &a [*a]", "!!python/object:os.system {}", "\x00", "a: 2026-99-99", f"a: {'9' * 5000}"]
)
def test_rules_file_when_hostile(text: str) -> None:
    with pytest.raises(RulesError):
        rules_from_yaml(text)


def test_rules_on_the_wire_are_the_same_rules() -> None:
    rules = rules_from_yaml(DESIGN)
    read = unpack_media(pack(RulesMedia(rules=rules)))
    assert isinstance(read, RulesMedia)
    assert read.rules == rules == RuleSet.model_validate_json(rules.model_dump_json())


def test_rules_of_a_stream_and_their_prompts() -> None:
    rules = rules_from_yaml(DESIGN + '  - {name: word, text: [goal, "/t[o0]r/"], not: [offside]}\n')
    assert [e.name for e in rules.of_stream("sport-1").events] == ["goal", "word"]
    assert [e.name for e in rules.of_stream("lab-1").events] == ["word"]
    assert rules.picture_prompts()[-2:] == ("players celebrating a goal", "replay of a goal")
    assert rules.text_prompts() == ("goal", "he scores", "replay of a goal", "offside")


def test_first_fitting_scene_rule_wins() -> None:
    rules = rules_from_yaml("scenes: [{streams: 'a-*', labels: [x]}, {labels: [y]}]")
    assert [s.labels for s in rules.of_stream("a-1").scenes] == [("x",)]
    assert [s.labels for s in rules.of_stream("b-1").scenes] == [("y",)]


def test_identity_changes_with_any_content() -> None:
    same, other = event("picture: a"), event("picture: a, cooldown: 1s")
    assert identity(same) == identity(event("picture: [a], when: early"))
    assert identity(same) != identity(other)
