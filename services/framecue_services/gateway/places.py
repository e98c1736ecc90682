"""Where a subscriber stands in the result topics, as a word that it keeps and shows again: the id of a frame.

A place is the offset to go on from in every partition. Not a time: results of several workers stand in a topic in no
order of time, become visible later than they were written, and clocks differ; going back "far enough" would either lose
some or give minutes of them twice. Offsets say exactly what was seen, on any gateway and after any restart.

They also count what streams do that the subscriber may not see. So a place is sealed, under a key that every gateway of
a deployment has and nobody else: the ids that Kafka gave the topics. That also tells places of topics that were deleted
and made again from those of today.

    id = base64url( tag ‖ (salt, time, offsets) xor keystream(tag) )      tag = MAC(salt, time, offsets)

The salt is other each time: else two ids that are the same would tell that nothing happened anywhere in between.

It must not know HTTP, nor any broker.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, shake_256
from secrets import token_bytes

TAG_BYTES = 12
"""2^48 places under one key before two of them may share a keystream: nine thousand years at 1,000 a second."""
SALT_BYTES = 8
LONGEST = 16_384
"""Characters: three topics of more than a thousand partitions each."""


class PlaceError(ValueError):
    """The id is none."""


@dataclass(frozen=True)
class Place:
    """`at_ms` is when the newest result before it was written; `offsets` are what comes next, one for each slot."""

    at_ms: int
    offsets: tuple[int, ...]


def check_form(text: str) -> None:
    """Raises PlaceError where `text` cannot be an id, of whatever topics."""
    if len(_decoded(text)) <= TAG_BYTES:
        raise PlaceError("too short for an id of a gateway")


class PlaceSeal:
    """Places as ids, for topics that are named by `log_id` and have so many partitions, `slots`, together."""

    def __init__(self, log_id: bytes, slots: int) -> None:
        self._key = blake2b(log_id, digest_size=32, person=b"framecue place").digest()
        self._slots = slots

    def seal(self, at_ms: int, offsets: Sequence[int]) -> str:
        """The id of a place."""
        plain = token_bytes(SALT_BYTES) + _number(at_ms) + b"".join(map(_number, offsets))
        tag = self._tag(plain)
        return base64.urlsafe_b64encode(tag + self._crypted(tag, plain)).rstrip(b"=").decode()

    def open(self, text: str) -> Place:
        """The place that `seal` made `text` of; raises PlaceError, also for one of other topics."""
        raw = _decoded(text)
        tag, plain = raw[:TAG_BYTES], self._crypted(raw[:TAG_BYTES], raw[TAG_BYTES:])
        if not hmac.compare_digest(tag, self._tag(plain)):
            raise PlaceError("not an id of these topics")
        at_ms, *offsets = _numbers(plain[SALT_BYTES:])
        if len(offsets) != self._slots:
            raise PlaceError("an id of another number of partitions")
        return Place(at_ms, tuple(offsets))

    def _tag(self, plain: bytes) -> bytes:
        return blake2b(plain, digest_size=TAG_BYTES, key=self._key).digest()

    def _crypted(self, tag: bytes, data: bytes) -> bytes:
        """`data` under the keystream of `tag`; twice is once back."""
        stream = shake_256(self._key + tag).digest(len(data))
        return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def _decoded(text: str) -> bytes:
    if len(text) > LONGEST:
        raise PlaceError("too long for an id of a gateway")
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as e:
        raise PlaceError("not an id of a gateway") from e


@lru_cache(65_536)
def _number(value: int) -> bytes:
    """`value` in base 128, the low digits first; all but the last have their high bit set."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
