"""Results as JSON lines, safe to print: what `analyze` writes on stdout and `demo` into its folder."""

from __future__ import annotations

import json
import re
from typing import BinaryIO

from framecue.errors import SetupError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event

Result = Annotation | Event | Caption

_KINDS: tuple[tuple[type[Result], str], ...] = ((Annotation, "annotation"), (Event, "event"), (Caption, "caption"))
_WALL_FIELDS = ("wall_at", "published_at")
"""A film knows no wall time: left out where there is none."""
_RISKY = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Terminal controls and bidi overrides that JSON lets through."""


def json_line(result: Result) -> str:
    """The result as one line of JSON with its `type`. The same result gives the same line."""
    kind = next(name for cls, name in _KINDS if isinstance(result, cls))
    value = {"type": kind, **result.model_dump(mode="json", by_alias=True)}
    for name in _WALL_FIELDS:
        if name in value and value[name] is None:
            del value[name]
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _RISKY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_line(out: BinaryIO, result: Result) -> None:
    """Writes the result's line in UTF-8 at once, whatever the locale: a pipe sees it as it comes.

    Raises BrokenPipeError when nobody reads any more, SetupError when the disk takes no more.
    """
    try:
        out.write(json_line(result).encode() + b"\n")
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise SetupError(f"the results cannot be written: {(e.strerror or str(e)).lower()}") from e
