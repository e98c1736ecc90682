"""One annotation per stream and window: scene, rule scores, and the words that were joined."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from framecue.schemas.base import StreamId, Wire

TextState = Literal["none", "pending", "silent", "lost", "present"]


class FrameRef(Wire):
    """Names a picture: fetch it from the `media` topic."""

    partition: int
    offset: int
    index: int
    at_ms: int = Field(description="media time")


class LabelScore(Wire):
    label: str
    score: float


class Scene(Wire):
    """The leading label (or `unknown`) with the rest of its distribution, best first."""

    label: str
    score: float
    runners_up: tuple[LabelScore, ...] = ()
    matched: tuple[LabelScore, ...] = Field(
        (), description="what the picture was recognised through, where the model can say"
    )


class RuleScore(Wire):
    """How a rule stood in the window: `picture` is null without frames, `text` without a cue, `score` if undecided."""

    rule: str
    picture: float | None
    text: float | None
    score: float | None
    calibrated: bool = True


class JoinedCue(Wire):
    """A cue as joined: media time after the lag was taken off."""

    start_ms: int
    end_ms: int
    text: str
    language: str | None = None
    source: str
    lag_ms: int = 0


class JoinedText(Wire):
    """The words of a window."""

    state: TextState
    cues: tuple[JoinedCue, ...] = ()
    lag_ms: int | None = Field(None, description="the lag that was taken off the first cue; null without cues")
    confidence: float | None = Field(None, description="of the alignment; null where the lag was given, not estimated")


class Annotation(Wire):
    """What was seen and said in one window. (id, revision) is unique and without gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)

    schema_: Literal["framecue.annotation/1"] = Field("framecue.annotation/1", alias="schema")
    id: str
    revision: int = Field(ge=1)
    stream: StreamId
    epoch: int
    start_ms: int
    end_ms: int
    wall_at: str | None = Field(None, description="wall time of the start, RFC 3339; null where unknown")
    published_at: str | None = Field(None, description="wall time of publication")
    settled_until_ms: int = Field(
        description="text before this media time is final; this window is when it reaches end_ms"
    )
    scene: Scene | None = Field(None, description="null without labels or without frames")
    rules: tuple[RuleScore, ...] = ()
    text: JoinedText
    frames: tuple[FrameRef, ...] = ()
    degraded: str | None = Field(None, description="gap, damaged or model: why the window says less than it could")
    model: str
    space: str
    calibrated: bool = True
