"""What a person says of an event: that it is right, that it is wrong, or that one was missed."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from framecue.schemas.base import StreamId, Wire

NOTE_MAX = 2_000
"""Characters of what a person adds in words."""


class Feedback(Wire):
    """One judgement; a later one of the same person about the same event replaces it for whoever reads them."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)

    schema_: Literal["framecue.feedback/1"] = Field("framecue.feedback/1", alias="schema")
    id: str
    stream: StreamId
    verdict: Literal["right", "wrong", "missed"]
    event: str | None = Field(None, description="id of the event; null where none was told")
    sequence: int | None = Field(None, ge=1, description="the state of the event that was judged")
    rule: str | None = Field(None, max_length=100, description="the event's, or the one that should have told")
    epoch: int | None = Field(None, description="of the times; null: the stream's latest")
    start_ms: int | None = Field(None, description="media time, where one was missed")
    end_ms: int | None = None
    note: str | None = Field(None, max_length=NOTE_MAX)
    by: str = Field(description="name of the token")
    published_at: str
