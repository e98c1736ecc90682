"""What every model on the wire shares: frozen, strict about unknown fields, versioned."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from framecue.errors import MessageError

STREAM_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
UNKEYED = "unkeyed"
"""The key of a dead letter whose message had no usable key."""


def stream_id(key: bytes | None) -> str:
    """The stream id that a message key holds; raises MessageError with what a key must be."""
    text = (key or b"").decode("utf-8", "replace")
    if not STREAM_ID.fullmatch(text):
        raise MessageError(f"the key {text[:140]!r} is no stream id: send 1 to 128 of A-Z a-z 0-9 . _ - as the key")
    return text


class Wire(BaseModel):
    """A value that leaves a process. Immutable; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


SECONDS = re.compile(r"-?[0-9]{1,18}([./][0-9]{1,18})?")
"""Bounded, and without exponents: `1e999999999` would be computed for hours."""


def exact_seconds(value: Any) -> Any:
    """`1001/24000`, `12.5` or a whole number as a Fraction; raises ValueError for anything else."""
    if isinstance(value, str) and SECONDS.fullmatch(value) and not re.search("/0+$", value):
        return Fraction(value)
    if isinstance(value, Fraction | int):
        return Fraction(value)
    raise ValueError("not exact seconds; write a whole number, 12.5 or 1001/24000")


Seconds = Annotated[
    Fraction,
    BeforeValidator(exact_seconds),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(/\d+)?$"}),
]
"""Exact seconds; `1001/24000` on the wire."""

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number that msgpack and every reader of ours can hold: from a header or a document it may be anything."""

StreamId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
