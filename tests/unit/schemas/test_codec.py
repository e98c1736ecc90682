"""Internal records as bytes: what is not one is refused, however it is broken."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecue.errors import MessageError
from framecue.schemas.codec import pack, unpack_features, unpack_media, unpack_request
from framecue.schemas.media import Tick

TICK = Tick(topic="segments", partition=3, caught_up=True, at_ms=1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing"),
        (b"\xc1", "a byte that msgpack never uses"),
        (pack(TICK)[:-1], "cut short"),
        (pack(TICK) + b"\x00", "something behind it"),
        (msgpack.packb([1, 2]), "no map"),
        (msgpack.packb({"kind": "mood", "v": 1}), "a kind that does not exist"),
        (msgpack.packb({**TICK.model_dump(), "v": 2}), "a version to come"),
        (msgpack.packb({**TICK.model_dump(), "mood": 1}), "an unknown field"),
        (msgpack.packb({"kind": "tick", 1: 2}), "a key that is no text"),
        (msgpack.packb(msgpack.ExtType(4, b"x")), "an extension type"),
        (b"\x91" * 2000, "nested deeply"),
        (b"\xdd\xff\xff\xff\xff", "an array that claims four thousand million entries"),
        (msgpack.packb(TICK.model_dump()).replace(b"segments", b"segment\xff"), "text that is not UTF-8"),
    ],
)
def test_unpack_when_it_is_no_record(data: bytes, reason: str) -> None:
    for unpack in (unpack_media, unpack_features, unpack_request):
        with pytest.raises(MessageError, match="record: "):
            unpack(data)


@given(st.integers(0, len(pack(TICK)) - 1), st.integers(0, 255))
def test_unpack_when_one_byte_is_wrong(at: int, byte: int) -> None:
    data = bytearray(pack(TICK))
    data[at] = byte
    try:
        record = unpack_media(bytes(data))
    except MessageError:
        return
    assert isinstance(record, Tick)
