"""What a model must offer. Calls may block for as long as a forward takes; they come from one thread at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from framecue.analysis.spaces import Array, Space
from framecue.schemas.annotation import LabelScore

Picture = npt.NDArray[np.uint8]
"""RGB, (height, width, 3), 0 to 255."""


class ImageEncoder(Protocol):
    """Turns pictures into vectors."""

    def embed(self, frames: Sequence[Picture]) -> Array:
        """(N, D) fp32, one row a picture, in order; raises ModelError when the forward fails."""
        ...


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    def embed(self, texts: Sequence[str]) -> Array:
        """(N, E) fp32 of unit length, one row a text as written; raises ModelError when the forward fails."""
        ...

    def embed_prompts(self, texts: Sequence[str]) -> Array:
        """(N, E) fp32 as `similarity` wants prompts, through the model's templates; of unit length or shorter."""
        ...


@dataclass(frozen=True)
class Description:
    """A sentence with what it was made from."""

    text: str
    named: tuple[LabelScore, ...] = ()


class Captioner(Protocol):
    """Says in a sentence what pictures and words show."""

    @property
    def name(self) -> str: ...

    def describe(self, frames: Sequence[Picture], *, scene: LabelScore | None, quotes: Sequence[str]) -> Description:
        """One sentence; `quotes` are subtitle lines, quoted as such. Raises ModelError when the forward fails."""
        ...


@dataclass(frozen=True)
class Model:
    """A loaded model: its name for results, its space, and its parts."""

    name: str
    space: Space
    images: ImageEncoder
    texts: TextEncoder
    captioner: Captioner
