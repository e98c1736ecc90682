"""What the API answers with, beside the public results, which it gives as they are.

Lists are put together from the JSON that Redis and Kafka hold: it was checked when it was put there, and to read and
write all of it again would take longer than everything else about a request. The models say what comes out, and
`tests/unit/services/gateway/test_answers.py` holds the one to the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.feedback import Feedback
from framecue.schemas.rules import RuleSet
from framecue.store.protocol import LatestJson
from framecue.timeline import rfc3339

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


def page_json(items: Iterable[bytes], rest: str | None) -> bytes:
    """One of the pages above, as JSON."""
    return b'{"items":[%b],"next":%b}' % (b",".join(items), json.dumps(rest).encode())


def stream_json(stream: str, at_ms: int, latest: LatestJson) -> bytes:
    """A `StreamNow` as JSON."""
    return b'{"stream":%b,"active_at":%b,"annotation":%b,"open_events":[%b],"caption":%b}' % (
        json.dumps(stream, ensure_ascii=False).encode(),
        json.dumps(rfc3339(at_ms)).encode(),
        latest.annotation or b"null",
        b",".join(latest.open_events),
        latest.caption or b"null",
    )
