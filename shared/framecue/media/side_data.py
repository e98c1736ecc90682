"""What comes with a decoded frame beside its pixels: how it is to be turned, captions, HDR.

It must not load NumPy: who only cuts needs no pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import cast

from av import VideoFrame
from av.buffer import Buffer
from av.video.reformatter import ColorTrc

HDR: Mapping[int, str] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of x' = ax + cy, y' = bx + dy, by which the picture is to be shown; None where it is upright.

    `frame.rotation` would lose a mirror.
    """
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return None
    a, b, _, c, d = struct.unpack_from("<5i", bytes(side_data["DISPLAYMATRIX"]))
    return a, b, c, d


def carries_captions(frame: VideoFrame) -> bool:
    """Whether closed captions come with the picture: a valid pair of CEA-608 or 708 that is no padding (ATSC A/53)."""
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    if "A53_CC" not in side_data:
        return False
    data = bytes(side_data["A53_CC"])
    triplets = zip(data[::3], data[1::3], data[2::3], strict=False)
    return any(kind & 4 and (first | second) & 0x7F for kind, first, second in triplets)  # without 608's parity bits
