"""What people read: times, reasons, and text that cannot fool a terminal."""

from __future__ import annotations

import pytest

from framecue.schemas.event import Event, Evidence
from framecue.schemas.rules import EventRule
from framecue_services.cli.wording import clean, clock, decided_by, ending, event_name
from tests.unit.cli.results import event


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain words", "plain words"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),  # an escape sequence loses what makes it one
        ("\x9b2J cleared", "2J cleared"),  # the one-byte form of the same
        ("line\r\nnext\tcell", "line next cell"),  # one line stays one line
        ("abc\u202edcb", "abcdcb"),  # a bidi override would show it backwards
        ("\ufefffirst\u200b", "first"),  # a mark at the start and a space without width show nothing
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian is spelled with a joiner
        ("\ud800", ""),  # half a character cannot be written
        ("bell\x07", "bell"),
    ],
)
def test_clean_leaves_nothing_that_acts(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0:00"),
        (61_000, "1:01"),
        (3_599_999, "59:59.999"),  # never rounded up to an hour
        (3_600_000, "1:00:00"),
        (2500, "0:02.5"),  # no zeros that say nothing
        (-1500, "-0:01.5"),  # words before the film begins
    ],
)
def test_clock_reads_like_a_player(ms: int, shown: str) -> None:
    assert clock(ms) == shown


@pytest.mark.parametrize(
    ("rule", "evidence", "said"),
    [
        ({"picture": ["a goal"]}, Evidence(picture=0.91), "by picture alone: picture 0.91"),
        ({"text": ["goal"]}, Evidence(text=0.7), "by words alone: words 0.70"),
        (
            {"picture": ["a goal"], "text": ["goal"], "combine": "both"},
            Evidence(picture=0.9, text=0.8),
            "picture 0.90 and words 0.80, both needed",
        ),
        (
            {"picture": ["a goal"], "text": ["goal"], "combine": "either"},
            Evidence(picture=0.9),
            "picture 0.90, either is enough",
        ),
        (
            {"picture": ["a goal"], "text": ["goal"], "combine": "weighted"},
            Evidence(picture=0.9, text=0.5),
            "picture 0.90 and words 0.50, weighed together",
        ),
    ],
)
def test_decided_by_names_what_carried_the_event(rule: dict[str, object], evidence: Evidence, said: str) -> None:
    named = EventRule.model_validate({"name": "goal", **rule})
    assert decided_by(named, event("goal", 0, evidence=evidence)) == said


def test_decided_by_still_says_the_scores_when_the_rule_is_gone() -> None:
    assert decided_by(None, event("goal", 0, evidence=Evidence(picture=0.9))) == "picture 0.90"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (event("goal", 0), ""),  # still on
        (event("goal", 0, 2000), "the score fell below 0.40"),
        (event("goal", 0, 2000, reason="end"), "the stream ended"),
        (event("goal", 0, phase="retracted"), "retracted: with later words it does not hold"),
    ],
)
def test_ending_says_why(change: Event, said: str) -> None:
    assert ending(change, EventRule(name="goal", picture=("a goal",), combine="picture")) == said


def test_event_name_is_words_even_for_one_that_came_later() -> None:
    assert event_name("framecue.shot_cut") == "shot cut"
    assert event_name("framecue.weather") == "weather"
    assert event_name("goal") == "goal"
