"""What the API answers with, beside the public results, which it gives as they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.feedback import Feedback
from framecue.schemas.rules import RuleSet

Next = Annotated[str | None, Field(description="`cursor` of the next page; null where this is the last one")]


class Answer(BaseModel):
    """Immutable, and every field is there."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class StreamNow(Answer):
    """One stream as it is now."""

    stream: str = Field(examples=["cam1"])
    active_at: str = Field(description="when something of it was last published", examples=["2026-02-03T10:00:00.000Z"])
    annotation: Annotation | None = Field(description="the newest window; null where none came yet")
    open_events: tuple[Event, ...] = Field(description="what goes on, by when it started")
    caption: Caption | None = Field(description="the newest sentence; null where none came yet")


class StreamPage(Answer):
    """Streams, the most recently active first."""

    items: tuple[StreamNow, ...]
    next: Next


class AnnotationPage(Answer):
    """Windows of one stream, the newest first, each in its newest revision."""

    items: tuple[Annotation, ...]
    next: Next


class EventPage(Answer):
    """Events, the newest first, each in its newest state."""

    items: tuple[Event, ...]
    next: Next


class CaptionPage(Answer):
    """Sentences about one stream, the newest first."""

    items: tuple[Caption, ...]
    next: Next


class EventDetail(Answer):
    """One event with all that speaks for it, and what people said of it."""

    event: Event
    pictures: tuple[str, ...] = Field(
        description="paths of its evidence, the best first", examples=[["/v1/events/cam1/0/goal/8000/evidence/0"]]
    )
    feedback: tuple[Feedback, ...] = Field(description="the last 20, the newest first")


class RulesNow(Answer):
    """The rules in force, as far as the caller sees streams that they may be for."""

    since: str | None = Field(description="null where nobody knows, or no rules were ever put in force")
    rules: RuleSet


class RuleChanged(Answer):
    """One line of what became different."""

    kind: Literal["added", "changed", "removed"]
    what: str = Field(examples=["event goal"])
    streams: str = Field(examples=["sport-*"])
    how: str = Field(description="what of it; empty where it came or went", examples=["enter, for"])


class RulesApplied(Answer):
    """The rules hold from here on, on every worker alike."""

    changes: tuple[RuleChanged, ...] = Field(description="empty where they are the same as before")


class Accepted(Answer):
    """It stands in Kafka, and is joined as soon as it is read."""

    status: Literal["accepted"] = "accepted"
