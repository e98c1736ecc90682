"""Stream ids as people type them."""

from __future__ import annotations

from framecue.errors import SetupError
from framecue.schemas.base import STREAM_ID


def typed_stream(text: str) -> str:
    """`text`, which names a stream; raises SetupError where it cannot."""
    if not STREAM_ID.fullmatch(text):
        raise SetupError(f"{text!r} is no stream id: use 1 to 128 of A-Z a-z 0-9 . _ -")
    return text
