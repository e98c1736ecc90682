"""What the demo tells in the terminal, as plain text."""

from __future__ import annotations

import io

from rich.console import Console

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event, Evidence
from framecue.schemas.rules import rules_from_yaml
from framecue_services.cli.narration import Narration
from tests.unit.cli.results import annotation, caption, cue, event

RULES = rules_from_yaml("events: [{name: goal, picture: [a goal]}]")


def told(*results: Annotation | Event | Caption) -> list[str]:
    out = io.StringIO()
    narration = Narration(Console(file=out, width=200, highlight=False), RULES)
    for result in results:
        narration.tell(result)
    return out.getvalue().splitlines()


def test_a_window_is_a_line_with_time_scene_and_score() -> None:
    assert told(annotation(1)) == [" 0:02  a street               █████████▋   0.80"]


def test_late_words_are_marked_as_a_revision_with_their_lag() -> None:
    late = annotation(1, cues=(cue(2000, 3000, "hello", lag_ms=3000),), revision=2)
    assert told(annotation(1), late)[1:] == [" 0:02  ↻ revised “hello”  revision 2, words 3 s late"]


def test_a_revision_that_brings_no_words_is_counted_and_not_told() -> None:
    assert len(told(annotation(1), annotation(1, revision=2))) == 1


def test_an_event_says_why_it_started_and_why_it_ended() -> None:
    lines = told(event("goal", 0, evidence=Evidence(picture=0.9)), event("goal", 0, 2000, sequence=2))
    assert [" ".join(line.split()) for line in lines] == [
        "▶ goal from 0:00 by picture alone: picture 0.90",
        "■ goal ended, from 0:00 to 0:02 the score fell below 0.40",
    ]


def test_hostile_text_is_neither_obeyed_nor_read_as_markup() -> None:
    (line,) = told(caption(0, "[bold]x[/bold] \x1b[31mred\x9b2J"))
    assert line.strip() == "[bold]x[/bold] [31mred2J"


def test_built_in_events_speak_for_themselves() -> None:
    (line,) = told(event("framecue.warning", 0, 0, message="the PGS track is not read"))
    assert " ".join(line.split()) == "• warning at 0:00 the PGS track is not read"
