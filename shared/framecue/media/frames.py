"""From a decoded frame to the JPEG that leaves ingest: upright, square pixels, one size. Knows no stream, no time."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import numpy as np
import numpy.typing as npt
import simplejpeg
from av import VideoFrame
from av.buffer import Buffer
from av.video.plane import VideoPlane
from av.video.reformatter import ColorTrc

from framecue.media.opening import foreign_errors
from framecue.media.sampling import Sampling

Plane = npt.NDArray[np.uint8]
UNSPECIFIED = 2
"""`AVCOL_SPC_UNSPECIFIED`."""
HD_LINES = 720
"""Untagged video of this height and more is BT.709, as every player assumes."""
HDR: Mapping[int, str] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}


def to_jpeg(frame: VideoFrame, sample_aspect: Fraction, *, sampling: Sampling) -> tuple[int, int, bytes]:
    """(width, height, JPEG) of `frame` as a viewer sees it, its short side at most `sampling.short_side`.

    One area-averaging pass scales, squares the pixels and gives the planes that a JPEG holds (JFIF: BT.601, full
    range, 4:2:0); they are turned plane by plane, and no RGB is ever made.
    """
    width, height = fit(frame.width * sample_aspect, Fraction(frame.height), sampling.short_side)
    untagged_hd = frame.colorspace == UNSPECIFIED and frame.height >= HD_LINES
    with foreign_errors():
        scaled = frame.reformat(
            width=width,
            height=height,
            format="yuvj420p",
            interpolation="AREA",
            src_colorspace="ITU709" if untagged_hd else None,
            dst_colorspace="ITU601",
            threads=1,
        )
    y, u, v = (_upright(_pixels(p), display_matrix(frame)) for p in scaled.planes)
    return y.shape[1], y.shape[0], simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality=sampling.quality)


def fit(width: Fraction, height: Fraction, short_side: int) -> tuple[int, int]:
    """`width` x `height` brought down to `short_side`, never up, to even numbers (planes are halved)."""
    ratio = min(Fraction(1), short_side / min(width, height))
    return max(2, round(width * ratio / 2) * 2), max(2, round(height * ratio / 2) * 2)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of x' = ax + cy, y' = bx + dy, by which the picture is to be shown; None where it is upright.

    `frame.rotation` would lose a mirror.
    """
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return None
    m = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), "<i4")
    return int(m[0]), int(m[1]), int(m[3]), int(m[4])


def carries_captions(frame: VideoFrame) -> bool:
    """Whether closed captions come with the picture: a valid pair of CEA-608 or 708 that is no padding (ATSC A/53)."""
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    if "A53_CC" not in side_data:
        return False
    triplets = np.frombuffer(bytes(side_data["A53_CC"]), np.uint8)
    kind, first, second = triplets[: len(triplets) // 3 * 3].reshape(-1, 3).T
    return bool(np.any((kind & 4 > 0) & ((first | second) & 0x7F > 0)))  # without the parity bits of 608


def _upright(plane: Plane, matrix: tuple[int, int, int, int] | None) -> Plane:
    if matrix is None:
        return plane
    a, b, c, d = matrix
    if a == 0 and d == 0:
        turned = plane.T[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    else:
        turned = plane[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(turned)


def _pixels(plane: VideoPlane) -> Plane:
    rows = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: plane.height, : plane.width])
