"""Who may use the gateway: a token as the `control` topic holds it, which is never the secret itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framecue.schemas.base import Wire
from framecue.schemas.rules import StreamPattern

Scope = Literal["read", "write", "admin"]
"""Each includes those before it: `write` adds text and feedback, `admin` the rules and what concerns all streams."""
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
TOKEN_KEY = "token:"  # noqa: S105
"""Before the id, the key of its message on `control`."""


class Token(Wire):
    """What a bearer token may do. `sha256` is of the whole token as it was shown once."""

    v: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9]{8,32}$")
    name: str = Field(min_length=1, max_length=100)
    scope: Scope = "read"
    streams: Annotated[tuple[StreamPattern, ...], Field(min_length=1, max_length=100)] = ("*",)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created_at: str
    expires_at: str | None = None
