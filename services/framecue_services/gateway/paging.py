"""Long answers in pages: how much of a list is asked for, and where the next page begins.

A cursor says where to read on, in terms of what the caller was shown last. It is opaque and not signed: whoever makes
one up can only ask to begin elsewhere in a list of what they see anyway. It must not know any list.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framecue_services.gateway.problems import Problem

LIMIT_MAX = 500
LIMIT = 50
CURSOR_MAX = 1_000
"""Characters: the longest holds the id of an event, which has a stream's and a rule's name in it."""

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="at most so many; there may be more on the next page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX, description="`next` of the page before; the other parameters stay the same"),
]
InstantMs = Annotated[int, Field(ge=0, lt=2**53)]
C = TypeVar("C", bound="Place")


class Place(BaseModel):
    """Where to read on; a subclass for each list."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def cursor_of(place: Place) -> str:
    """`place` as a cursor."""
    return urlsafe_b64encode(place.model_dump_json(by_alias=True, exclude_none=True).encode()).decode().rstrip("=")


def place_of(cursor: str | None, kind: type[C]) -> C | None:
    """The place that a cursor says; raises Problem 400 for what was never a cursor of this list."""
    if cursor is None:
        return None
    try:
        return kind.model_validate_json(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (Error, ValidationError, ValueError) as e:
        raise Problem(400, "the cursor is none of this list; leave it out to begin anew") from e
