"""Internal: what ingest makes of one input record. Times are exact, on the own clock; the fold places them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framecue.schemas.base import Int64, Seconds, StreamId, Wire
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import TextClock


class Origin(Wire):
    """Where an input record stood. `at_ms` is the broker's append time; None where input has no arrival (a file)."""

    topic: str
    partition: Int64
    offset: Int64
    at_ms: Int64 | None = None


class Cue(Wire):
    """Text with a span, in ms of the clock that `clock` names; a `live` cue has none yet and says 0."""

    start_ms: int
    end_ms: int
    text: str
    language: str | None = None
    clock: TextClock
    source: Literal["container", "header", "document", "live"]


class Frame(Wire):
    """One sampled picture."""

    at: Seconds = Field(description="own clock")
    cell: int = Field(description="cell of the sampling grid; of media time where the segment has a start, else own")
    width: int
    height: int
    jpeg: bytes = Field(repr=False)


class SegmentFacts(Wire):
    """What is known of a segment beside its pictures and words."""

    stream: StreamId
    origin: Origin
    requeued_from: Origin | None = None
    digest: bytes = Field(description="first 16 bytes of the SHA-256 of the segment", repr=False)
    session: str | None = None
    seq: int | None = None
    start: Seconds | None = Field(None, description="media time of the first video frame, where a header says it")
    end: bool = False
    lag_ms: int | None = Field(
        None,
        description="between what is said and its cue here; written only where a header says it",
        exclude_if=lambda lag_ms: lag_ms is None,
    )
    captured_at_ms: int | None = None
    traceparent: str | None = None
    container: str
    wraps: bool = Field(description="whether the own clock wraps at 2**33 / 90 000 s (MPEG-TS)")
    first: Seconds = Field(description="own clock of the first video frame, or of the first audio without video")
    last: Seconds = Field(description="own clock of the last one")
    last_duration: Seconds
    sampling_per_second: Seconds
    damaged: str | None = Field(None, description="what was lost, in words; frames before it count")
    warnings: tuple[str, ...] = ()


class SegmentMedia(SegmentFacts):
    """A segment's sampled frames and cues."""

    kind: Literal["segment"] = "segment"
    v: Literal[1] = 1
    frames: tuple[Frame, ...] = ()
    cues: tuple[Cue, ...] = ()


class TextFacts(Wire):
    """What is known of a text message beside its cues."""

    stream: StreamId
    origin: Origin
    session: str | None = None
    lag_ms: int | None = None
    traceparent: str | None = None
    warnings: tuple[str, ...] = ()


class TextMedia(TextFacts):
    """The cues of one text message, in the order they start."""

    kind: Literal["text"] = "text"
    v: Literal[1] = 1
    cues: tuple[Cue, ...] = ()


class Tick(Wire):
    """Once a second, from each input partition to each media partition that it feeds."""

    kind: Literal["tick"] = "tick"
    v: Literal[1] = 1
    topic: str
    partition: int
    caught_up: bool
    at_ms: int = Field(description="broker time")


class RulesMedia(Wire):
    """Rules take effect at this record, on every worker alike."""

    kind: Literal["rules"] = "rules"
    v: Literal[1] = 1
    rules: RuleSet
    at_ms: int | None = None


class ForgetMedia(Wire):
    """A stream's run ends at this record, and whatever is remembered of the stream is let go."""

    kind: Literal["forget"] = "forget"
    v: Literal[1] = 1
    stream: StreamId
    at_ms: int | None = None


Media = Annotated[SegmentMedia | TextMedia | Tick | RulesMedia | ForgetMedia, Field(discriminator="kind")]
