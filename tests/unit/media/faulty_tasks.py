"""What hostile bytes may make of a decoder child, as a task for `DecoderPool`. The product cannot name it."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
import time
from fractions import Fraction
from pathlib import Path

from framecue.media.decoding import DecodedSegment, DecodeLimits, decode_segment
from framecue.media.sampling import Sampling


def run(
    data: bytes, *, start: Fraction | None, program: int | None, sampling: Sampling, limits: DecodeLimits
) -> DecodedSegment:
    """Does what the first word of `data` says; anything else is decoded."""
    word, _, rest = data[:300].partition(b" ")
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
        case b"lie":
            os.write(_pool_socket(), (5).to_bytes(4, "big") + b"hello")
        case b"flood":
            os.write(_pool_socket(), (1 << 30).to_bytes(4, "big"))
        case b"stop":
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            return run(rest, start=start, program=program, sampling=sampling, limits=limits)
        case b"bug":
            raise KeyError("a fault of ours")
        case b"write":
            Path(os.fsdecode(rest)).write_bytes(b"x")
        case b"say":
            known = {**os.environ, "pid": os.getpid(), "parent": os.getppid(), "torch": "torch" in sys.modules}
            zero = Fraction(0)
            return DecodedSegment(
                container="", wraps=False, first=zero, last=zero, last_duration=zero, warnings=(str(known),)
            )
    return decode_segment(data, start=start, program=program, sampling=sampling, limits=limits)


def _pool_socket() -> int:
    return next(fd for fd in range(3, 64) if _is_socket(fd))


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
