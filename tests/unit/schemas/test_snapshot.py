"""Snapshots as messages: values of any length, whole again."""

from __future__ import annotations

import pytest

from framecue.errors import MessageError
from framecue.schemas.snapshot import PART_BYTES, joined, owner_of, split
from framecue.schemas.topics import SNAPSHOTS


@pytest.mark.parametrize(
    ("length", "parts"),
    [(0, 1), (1, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2), (11 * PART_BYTES, 11)],
    ids=["empty", "short", "just one", "one more", "more than ten: parts are ordered by number"],
)
def test_a_value_of_any_length_is_whole_again(length: int, parts: int) -> None:
    value = bytes(i % 251 for i in range(1000)) * (length // 1000 + 1)
    items = {"core": value[:length], "cues/12": b"words"}
    kept = split("stream/cam1", items)
    assert len(kept) == parts + 1
    assert max(len(key) + len(part) for key, part in kept.items()) < SNAPSHOTS.max_bytes
    assert joined(dict(reversed(kept.items()))) == {"stream/cam1": items}
    assert {owner_of(key) for key in kept} == {"stream/cam1"}


@pytest.mark.parametrize("key", [b"stream", b"stream/cam1", b"stream/cam1/core/x", b"\xff/a/b/0"])
def test_a_key_that_is_none_of_ours_is_refused(key: bytes) -> None:
    with pytest.raises(MessageError, match="none of a snapshot"):
        joined({key: b""})
