"""Spaces: how vectors of frames, cues and prompts are compared. Pure NumPy; models build them, the fold reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from framecue.schemas.rules import Calibration

Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pairing:
    """How one kind of pair (frame and prompt, or cue and prompt) becomes a score.

    `scale` multiplies the similarity; `background` holds the vectors (B, E) that stand for "anything else";
    `calibration` is fitted at equal priors, None where nobody fitted one.
    """

    scale: float
    background: Array
    calibration: Calibration | None = None


class Space(Protocol):
    """Where vectors of one model live. Vectors of different spaces are never compared. Pure: same input, same output.

    `id` changes whenever anything that changes a score does. `closed_labels` are a classifier's own classes: then
    `distribution` ignores its labels and answers over those, and there are no picture prompts.
    """

    @property
    def id(self) -> str: ...
    @property
    def image_dims(self) -> int: ...
    @property
    def text_dims(self) -> int: ...
    @property
    def picture(self) -> Pairing: ...
    @property
    def text(self) -> Pairing: ...
    @property
    def closed_labels(self) -> tuple[str, ...] | None: ...

    def similarity(self, images: Array, texts: Array) -> Array:
        """(N, D) frame vectors and (M, E) prompt vectors give (N, M) similarities in [-1, 1]."""
        ...

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        """(N, E) cue vectors and (M, E) prompt vectors give (N, M) similarities in [-1, 1]."""
        ...

    def distribution(self, images: Array, labels: Array) -> Array:
        """(N, D) frame vectors and (L, E) label vectors give (N, L + 1) rows that sum to 1; the last is `unknown`."""
        ...

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        """What the frame (D,) was recognised through, best first with weights in [0, 1]; empty where nobody can say."""
        ...


def to_wire(vector: Array) -> bytes:
    """A vector as the log holds it: little-endian fp16."""
    return np.asarray(vector, dtype="<f2").tobytes()


def from_wire(data: bytes) -> Array:
    """The fp32 vector that `to_wire` wrote, after its rounding to fp16."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
