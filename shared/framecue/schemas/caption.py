"""A sentence that says what is happening, and the request that asks for one."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from framecue.schemas.annotation import FrameRef, JoinedCue, LabelScore
from framecue.schemas.base import StreamId, Wire

QUOTE_MAX = 300
"""The most characters of subtitle text that a request quotes."""


class CaptionRequest(Wire):
    """Internal: asks for a caption of one annotation; names its frames and quotes its words."""

    v: Literal[1] = 1
    id: str = Field(description="the annotation's id")
    stream: StreamId
    epoch: int
    start_ms: int
    end_ms: int
    scene: LabelScore | None = None
    cues: tuple[JoinedCue, ...] = ()
    frames: tuple[FrameRef, ...] = ()
    traceparent: str | None = None


class Caption(Wire):
    """A sentence about one window, with what it was made from. One per annotation id."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)

    schema_: Literal["framecue.caption/1"] = Field("framecue.caption/1", alias="schema")
    id: str = Field(description="the annotation's id")
    stream: StreamId
    epoch: int
    start_ms: int
    end_ms: int
    status: Literal["made", "skipped"] = "made"
    reason: str | None = Field(None, description="why it was skipped")
    text: str | None = None
    style: Literal["description", "caption"] = Field("description", description="a factual list, or a model's sentence")
    model: str
    named: tuple[LabelScore, ...] = Field((), description="what the picture was recognised as, with weights")
    frames: tuple[FrameRef, ...] = ()
    cues: tuple[JoinedCue, ...] = ()
    published_at: str | None = None
