"""Internal: what the fold keeps on `snapshots`, so that a partition of `media` goes on elsewhere from a short log.

    partition                        one record: how far this reaches, ticks, the rules in force
    rules/<version>/record/<part>    each rules record that the partition or a stream refers to
    stream/<id>/core/<part>          the state of one stream, as of its last change
    stream/<id>/<text>/<part>        words of it that are ahead of their picture: long, and seldom others

Values are split into parts, for the state of a stream has no bound that its topic has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from framecue.errors import MessageError
from framecue.schemas.base import Wire
from framecue.schemas.features import TickFeatures

PARTITION_KEY = b"partition"
PART_BYTES = 4 << 20
"""Half of what the topic takes."""


class HeardTick(TickFeatures):
    """The last tick of one source; `media_offset` is where it stood."""

    media_offset: int


class PartitionSnapshot(Wire):
    """How far the snapshots of one partition reach, and what all its streams share."""

    kind: Literal["partition"] = "partition"
    v: Literal[1] = 1
    media_offset: int = Field(description="the last media record that was folded")
    features_end: int = Field(description="the features of every later media record stand at or after it")
    rules: str | None = Field(None, description="version of the rules in force")
    ticks: tuple[HeardTick, ...] = ()
    space: str
    model: str


class StreamSnapshot(Wire):
    """The state of one stream. Nothing but ticks without effect came between `media_offset` and the partition's."""

    kind: Literal["stream"] = "stream"
    v: Literal[1] = 1
    media_offset: int
    core: bytes = Field(repr=False)


def split(owner: str, items: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """The messages, by key, that hold the `items` of `owner` ("stream/cam1")."""
    return {
        f"{owner}/{name}/{n}".encode(): data[at : at + PART_BYTES]
        for name, data in items.items()
        for n, at in enumerate(range(0, max(1, len(data)), PART_BYTES))
    }


def joined(kept: Mapping[bytes, bytes]) -> dict[str, dict[str, bytes]]:
    """For each owner its items, whole again; raises MessageError where a key or a part is not ours."""
    parts: dict[str, dict[str, dict[int, bytes]]] = {}
    for owner, name, n, data in _parsed(kept):
        parts.setdefault(owner, {}).setdefault(name, {})[n] = data
    return {
        owner: {name: b"".join(part for _, part in sorted(found.items())) for name, found in items.items()}
        for owner, items in parts.items()
    }


def owner_of(key: bytes) -> str:
    """The owner that `split` made `key` for."""
    return "/".join(key.decode(errors="replace").split("/", 2)[:2])


def _parsed(kept: Mapping[bytes, bytes]) -> Iterator[tuple[str, str, int, bytes]]:
    for key, data in kept.items():
        try:
            kind, name, rest = key.decode().split("/", 2)
            item, _, n = rest.rpartition("/")
            yield f"{kind}/{name}", item, int(n), data
        except ValueError as e:
            raise MessageError(f"the key {key!r} is none of a snapshot") from e
