"""What could not be used: the original bytes as the value, and in the headers where they came from and why."""

from __future__ import annotations

from collections.abc import Iterable

from framecue.errors import MessageError
from framecue.schemas.base import Wire
from framecue.schemas.media import Origin
from framecue.schemas.segment import Headers, first_error

PREFIX = "framecue-dead-"


class DeadLetter(Wire):
    """`headers` are the original message's own."""

    origin: Origin
    stage: str
    error: str
    reason: str
    value: bytes
    headers: Headers = ()

    def to_headers(self) -> Headers:
        """The headers of the dead letter: the original ones, and ours under a prefix of their own."""
        origin = self.origin
        ours = {
            "topic": origin.topic,
            "partition": str(origin.partition),
            "offset": str(origin.offset),
            "stage": self.stage,
            "error": self.error,
            "reason": self.reason,
        }
        if origin.at_ms is not None:
            ours["at-ms"] = str(origin.at_ms)
        own = tuple((n, v) for n, v in self.headers if not n.startswith(PREFIX))
        return own + tuple((PREFIX + name, value.encode(errors="backslashreplace")) for name, value in ours.items())


def parse_dead_letter(value: bytes, headers: Iterable[tuple[str, bytes]]) -> DeadLetter:
    """A dead letter read back from its message; raises MessageError where the headers are not ours."""
    headers = tuple(headers)
    ours = {n.removeprefix(PREFIX): v.decode("utf-8", "replace") for n, v in headers if n.startswith(PREFIX)}
    try:
        origin = Origin(
            topic=ours["topic"],
            partition=int(ours["partition"]),
            offset=int(ours["offset"]),
            at_ms=int(ours["at-ms"]) if "at-ms" in ours else None,
        )
        return DeadLetter(
            origin=origin,
            stage=ours["stage"],
            error=ours["error"],
            reason=ours["reason"],
            value=value,
            headers=tuple((n, v) for n, v in headers if not n.startswith(PREFIX)),
        )
    except (KeyError, ValueError) as e:
        raise MessageError(f"not a dead letter of ours: {first_error(e)}") from e
