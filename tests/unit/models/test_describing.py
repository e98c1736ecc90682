"""Factual descriptions: evidence only, and quotes that stay quotes."""

from __future__ import annotations

import pytest

from framecue.models.describing import FactualCaptioner, quoted
from framecue.schemas.annotation import LabelScore
from tests.support.encoders import ColourEncoder, ColourSpace
from tests.support.pictures import even

CAPTIONER = FactualCaptioner("light", ColourSpace(), ColourEncoder())


def test_says_what_was_recognised_how_it_is_named_and_what_was_said() -> None:
    scene = LabelScore(label="night", score=0.8)
    said = CAPTIONER.describe([even(0, 40, 40)], scene=scene, quotes=["Good evening.", " "])
    assert said.text == "Looks like black; the scene is named “night”. Subtitle: “Good evening.”"
    assert said.named == (LabelScore(label="black", score=1.0),)


def test_is_honest_when_nothing_is_recognised() -> None:
    said = CAPTIONER.describe([], scene=LabelScore(label="unknown", score=0.9), quotes=[])
    assert said.text == "Nothing in the picture is recognised with confidence."
    assert said.named == ()


QUOTES = [
    ("plain words", "He scores!", "“He scores!”"),
    ("a quotation mark that would close it", 'end" “x”', "“end' 'x'”"),
    ("terminal escapes and line breaks", "a\x1b[31mb\nc\u202ed", "“a [31mb c d”"),
    ("more than fits", "x" * 500, "“" + "x" * 159 + "…”"),
]


@pytest.mark.parametrize(("why", "text", "expected"), QUOTES, ids=[row[0] for row in QUOTES])
def test_quoted_text_stays_inside_its_quotes(why: str, text: str, expected: str) -> None:
    assert quoted(text) == expected
