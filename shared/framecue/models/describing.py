"""Factual descriptions: what was recognised, how the scene is named, what was said. No verbs or places are invented.

It must not know any model: it reads what a space can explain. User text and subtitles are hostile: quoted, cleaned of
control characters and capped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from framecue.analysis.spaces import Space
from framecue.models.protocols import Description, ImageEncoder, Picture
from framecue.schemas.annotation import LabelScore
from framecue.schemas.rules import UNKNOWN

LEAST_WEIGHT = 0.1
"""A concept is mentioned from this mean probability over the frames on."""
_MOST_CONCEPTS = 3
_MOST_QUOTES = 3
_QUOTE_CHARACTERS = 160


@dataclass(frozen=True)
class FactualCaptioner:
    """A `Captioner` for any model whose space explains itself; honest words where nothing is recognised."""

    name: str
    space: Space
    images: ImageEncoder

    def describe(self, frames: Sequence[Picture], *, scene: LabelScore | None, quotes: Sequence[str]) -> Description:
        named = self._concepts(frames)
        scene = None if scene is None or scene.label == UNKNOWN else scene
        sentence = "; ".join(
            [_likeness(named), *([] if scene is None else [f"the scene is named {quoted(scene.label)}"])]
        )
        lines = [quoted(line) for line in quotes[:_MOST_QUOTES] if line.strip()]
        return Description(f"{sentence}." + (f" Subtitle: {' '.join(lines)}" if lines else ""), named=named)

    def _concepts(self, frames: Sequence[Picture]) -> tuple[LabelScore, ...]:
        if not frames:
            return ()
        mean = self.images.embed(frames).mean(axis=0)
        found = self.space.explain(mean, top=_MOST_CONCEPTS)
        return tuple(LabelScore(label=name, score=round(w, 3)) for name, w in found if w >= LEAST_WEIGHT)


def quoted(text: str) -> str:
    """`text` between quotation marks that it cannot close: one line, at most 160 characters, no control characters."""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 8 * _QUOTE_CHARACTERS])
    plain = " ".join(plain.replace("“", "'").replace("”", "'").replace('"', "'").split())
    if len(plain) > _QUOTE_CHARACTERS:
        plain = plain[: _QUOTE_CHARACTERS - 1].rstrip() + "…"
    return f"“{plain}”"


def _likeness(named: Sequence[LabelScore]) -> str:
    if not named:
        return "Nothing in the picture is recognised with confidence"
    return "Looks like " + ", ".join(n.label for n in named)
