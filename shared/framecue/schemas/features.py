"""Internal: a media record without its pictures, with one vector per frame, cue and prompt, as the fold reads it.

Vectors are little-endian fp16 bytes: what the log holds is what decisions rest on, never the model's own tensors.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framecue.schemas.base import Seconds, Wire
from framecue.schemas.media import Cue, ForgetMedia, RulesMedia, SegmentFacts, TextFacts, Tick

MEDIA_OFFSET_HEADER = "framecue-media-offset"
"""On every features message: where the media record that it was made of stands, in decimal."""
GRID_WIDTH, GRID_HEIGHT = 32, 18
"""Point samples of the luma plane: enough to tell black, frozen and cut, and it keeps the noise that a mean loses."""


class FrameFeatures(Wire):
    """One frame as numbers. `vector` is empty where the model failed on this frame."""

    at: Seconds
    cell: int
    index: int = Field(description="position among the frames of its media record")
    vector: bytes = Field(repr=False, description="fp16, image dimensions of the space")
    grid: bytes = Field(repr=False, description=f"{GRID_HEIGHT} x {GRID_WIDTH} luma samples, row by row")


class CueFeatures(Cue):
    """A cue with its vector (fp16, text dimensions of the space; empty where the model failed)."""

    vector: bytes = Field(b"", repr=False)


class SegmentFeatures(SegmentFacts):
    kind: Literal["segment"] = "segment"
    v: Literal[1] = 1
    space: str
    media_partition: int
    media_offset: int
    frames: tuple[FrameFeatures, ...] = ()
    cues: tuple[CueFeatures, ...] = ()
    model_error: str | None = None


class TextFeatures(TextFacts):
    kind: Literal["text"] = "text"
    v: Literal[1] = 1
    space: str
    cues: tuple[CueFeatures, ...] = ()
    model_error: str | None = None


class TickFeatures(Tick):
    pass


class RulesFeatures(RulesMedia):
    """Rules with the vectors of their prompts (fp16, text dimensions of the space).

    One for each of `rules.picture_prompts()` (labels and what pictures are compared with, in the space's templates)
    and one for each of `rules.text_prompts()` (what cues are compared with, as written).
    """

    space: str
    picture_vectors: tuple[bytes, ...] = Field((), repr=False)
    text_vectors: tuple[bytes, ...] = Field((), repr=False)


class ForgetFeatures(ForgetMedia):
    pass


Features = Annotated[
    SegmentFeatures | TextFeatures | TickFeatures | RulesFeatures | ForgetFeatures, Field(discriminator="kind")
]
