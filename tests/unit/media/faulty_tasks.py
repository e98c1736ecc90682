"""What a decoder child may be made to do by hostile bytes, as tasks for `DecoderPool`. Only tests can name them."""

from __future__ import annotations

import ctypes
import os
import time
from fractions import Fraction
from pathlib import Path

from framecue.media.decoding import DecodedSegment, DecodeLimits, decode_segment
from framecue.media.sampling import Sampling


def run(
    data: bytes, *, start: Fraction | None, program: int | None, sampling: Sampling, limits: DecodeLimits
) -> DecodedSegment:
    """Does what the first word of `data` says; anything else is decoded."""
    word, _, rest = data[:200].partition(b" ")
    match word:
        case b"segfault":
            ctypes.string_at(0)
        case b"exit":
            os._exit(3)
        case b"hang":
            time.sleep(600)
        case b"spin":
            while True:
                pass
        case b"eat":
            bytearray(limits.memory_bytes)
        case b"garbage":
            os.write(int(rest), b"\x00\x00\x00\x05hello")
        case b"bug":
            raise KeyError("a fault of ours")
        case b"say":
            return _saying(str({**os.environ, "parent": os.getppid(), "torch": "torch" in _modules()}))
        case b"write":
            Path(rest.decode()).write_bytes(b"x" * 100)
    return decode_segment(data, start=start, program=program, sampling=sampling, limits=limits)


def _saying(text: str) -> DecodedSegment:
    zero = Fraction(0)
    return DecodedSegment(container="test", wraps=False, first=zero, last=zero, last_duration=zero, warnings=(text,))


def _modules() -> set[str]:
    import sys

    return set(sys.modules)
