"""A light, deterministic model for tests: colours are what it sees, words are what it reads. NumPy only, no weights.

A picture's vector says how much of it is nearest to each of nine named colours; a text's vector counts its words, the
colours' names in places of their own and the others hashed. So "red" finds red pictures, "he scores" finds "he scores",
and whatever names no colour is like no picture. It must not know any stage.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from framecue.analysis.spaces import Array, Pairing
from framecue.models.protocols import Description, Model, Picture
from framecue.schemas.annotation import LabelScore
from framecue.schemas.rules import Calibration

PALETTE = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}
COLOURS = tuple(PALETTE)
WORDS = 119
"""Places for the words that name no colour."""
UNKNOWN_SIMILARITY = 0.5
"""A label must be more like the picture than this to win over `unknown`."""


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = rows / np.where(lengths > 0, lengths, 1)
    return unit.astype(np.float32)


@dataclass(frozen=True)
class ColourSpace:
    """Colours against words: `analysis.spaces.Space`."""

    id: str = "light-1"
    image_dims: int = len(COLOURS)
    text_dims: int = len(COLOURS) + WORDS
    picture: Pairing = field(default_factory=lambda: Pairing(10, _nothing(), Calibration(a=1, b=-5)))
    text: Pairing = field(default_factory=lambda: Pairing(16, _nothing(), Calibration(a=1, b=-5)))
    closed_labels: tuple[str, ...] | None = None

    def similarity(self, images: Array, texts: Array) -> Array:
        return images @ _unit(np.ascontiguousarray(texts[:, : self.image_dims])).T

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        return cues @ texts.T

    def distribution(self, images: Array, labels: Array) -> Array:
        unknown = np.full((len(images), 1), UNKNOWN_SIMILARITY, np.float32)
        logits = self.picture.scale * np.hstack([self.similarity(images, labels), unknown])
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows: Array = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return rows

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        best = np.argsort(-image, kind="stable")[:top]
        return [(COLOURS[i], round(float(image[i]), 3)) for i in best if image[i] > 0.05]


def _nothing() -> Array:
    """The background: one vector that is like nothing, so a margin is the scaled similarity itself."""
    return np.zeros((1, len(COLOURS) + WORDS), np.float32)


class ColourEncoder:
    """`models.protocols.ImageEncoder`."""

    def embed(self, frames: Sequence[Picture]) -> Array:
        return _unit(np.stack([self._shares(f) for f in frames]) if frames else np.zeros((0, len(COLOURS)), np.float32))

    def _shares(self, frame: Picture) -> Array:
        pixels = frame[::4, ::4].reshape(-1, 1, 3).astype(np.int32)
        palette = np.array(list(PALETTE.values()), np.int32)
        nearest = ((pixels - palette) ** 2).sum(axis=2).argmin(axis=1)
        return np.bincount(nearest, minlength=len(COLOURS)).astype(np.float32)


class WordEncoder:
    """`models.protocols.TextEncoder`."""

    def embed(self, texts: Sequence[str]) -> Array:
        rows = np.zeros((len(texts), len(COLOURS) + WORDS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[self._place(word)] += 1
        return _unit(rows)

    def embed_prompts(self, texts: Sequence[str]) -> Array:
        return self.embed(texts)

    def _place(self, word: str) -> int:
        return COLOURS.index(word) if word in PALETTE else len(COLOURS) + zlib.crc32(word.encode()) % WORDS


class ColourCaptioner:
    """`models.protocols.Captioner`: names the colours."""

    name = "light"

    def describe(self, frames: Sequence[Picture], *, scene: LabelScore | None, quotes: Sequence[str]) -> Description:
        space, vectors = ColourSpace(), ColourEncoder().embed(frames)
        named = tuple(LabelScore(label=c, score=s) for c, s in space.explain(vectors.mean(axis=0))) if frames else ()
        text = "Mostly " + ", ".join(n.label for n in named) if named else "Nothing to see"
        return Description(text=". ".join([text, *(f"“{q}”" for q in quotes)]), named=named)


def light_model() -> Model:
    """The parts together, as a worker is given them."""
    return Model("light", ColourSpace(), ColourEncoder(), WordEncoder(), ColourCaptioner())
