"""The state of one stream, and how it becomes bytes and state again.

A snapshot is what the machine cannot compute from elsewhere: no cached scores, no compiled rules. Text that is ahead of
its picture may be long and changes seldom, so it lies under keys of its own, which a writer may skip when they are as
they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgpack
from pydantic import TypeAdapter, ValidationError

from framecue.analysis.epoch import Epoch
from framecue.analysis.words import WaitingText
from framecue.errors import MessageError
from framecue.schemas.segment import first_error

SNAPSHOT_VERSION = 1


@dataclass
class StreamState:
    """All of a stream: what outlives its runs, and the run that is open."""

    last_epoch: int = -1
    session: str | None = None
    """Of the last run, unless it ended: replaced when another opens."""
    retired: list[str] = field(default_factory=list)
    """Sessions that ended or were replaced, newest last: they never open again."""
    waiting: list[WaitingText] = field(default_factory=list)
    """Text of a run that has not begun."""
    sources: dict[str, int | None] = field(default_factory=dict)
    """For each input partition that feeds this stream (`topic/partition`), when it last was seen caught up."""
    rules: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    epoch: Epoch | None = None


@dataclass(frozen=True)
class Snapshot:
    """`core` and the pending text, by key."""

    core: bytes
    pending: Mapping[str, bytes]


_STATE = TypeAdapter(StreamState)


def pack_state(state: StreamState) -> Snapshot:
    """`state` as bytes."""
    plain = _STATE.dump_python(state)
    pending = {f"waiting/{i}": _pack(text) for i, text in enumerate(plain.pop("waiting"))}
    epoch = plain["epoch"]
    if epoch is not None:
        for number, cues in epoch["shelf"].pop("pending").items():
            pending[f"cues/{number}"] = _pack(cues)
    return Snapshot(_pack({"v": SNAPSHOT_VERSION, "state": plain}), pending)


def unpack_state(snapshot: Snapshot) -> StreamState:
    """The state that was packed; raises MessageError where the bytes are of another version or no snapshot."""
    try:
        envelope = _unpack(snapshot.core)
        if envelope["v"] != SNAPSHOT_VERSION:
            raise MessageError(f"a snapshot of version {envelope['v']}; this worker reads {SNAPSHOT_VERSION}")
        plain = envelope["state"]
        parts = {key: _unpack(data) for key, data in snapshot.pending.items()}
        plain["waiting"] = [parts[key] for key in sorted(parts, key=_number) if key.startswith("waiting/")]
        if plain["epoch"] is not None:
            cues = {_number(key): part for key, part in parts.items() if key.startswith("cues/")}
            plain["epoch"]["shelf"]["pending"] = dict(sorted(cues.items()))
        return _STATE.validate_python(plain)
    except (KeyError, TypeError, ValueError, ValidationError, msgpack.UnpackException) as e:
        raise MessageError(f"not a snapshot: {first_error(e)}") from e


def _number(key: str) -> int:
    return int(key.rpartition("/")[2])


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True, default=_plain)
    return packed


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be packed")


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, strict_map_key=False)
