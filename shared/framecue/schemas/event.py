"""When something starts and ends, and why."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from framecue.schemas.annotation import FrameRef, JoinedCue
from framecue.schemas.base import StreamId, Wire

Phase = Literal["started", "updated", "ended", "retracted"]
Reason = Literal["score", "signal_lost", "back", "rule", "epoch", "end", "idle"]

SHOT_CUT = "framecue.shot_cut"
BLACK = "framecue.black"
FROZEN = "framecue.frozen"
SIGNAL_LOST = "framecue.signal_lost"
SUBTITLES_LOST = "framecue.subtitles_lost"
GAP = "framecue.gap"
WARNING = "framecue.warning"


class Evidence(Wire):
    """What carried the peak: frames, the words joined, and the scores of that window."""

    frames: tuple[FrameRef, ...] = ()
    cues: tuple[JoinedCue, ...] = ()
    picture: float | None = None
    text: float | None = None


class Event(Wire):
    """One change of one event. (id, sequence) is unique and without gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)

    schema_: Literal["framecue.event/1"] = Field("framecue.event/1", alias="schema")
    id: str
    sequence: int = Field(ge=1)
    phase: Phase
    stream: StreamId
    epoch: int
    rule: str
    start_ms: int
    end_ms: int | None = None
    reason: Reason | None = None
    peak: float | None = None
    message: str | None = Field(None, description="what a built-in event has to say, in words")
    evidence: Evidence = Evidence()
    wall_at: str | None = Field(None, description="wall time of the start, RFC 3339; null where unknown")
    published_at: str | None = None
    model: str
    space: str
