"""From a decoded frame to the JPEG that leaves ingest: upright, square pixels, one size. Knows no stream, no time."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
import numpy.typing as npt
import simplejpeg
from av import VideoFrame
from av.video.plane import VideoPlane

from framecue.media.opening import foreign_errors
from framecue.media.sampling import Sampling
from framecue.media.side_data import display_matrix

Plane = npt.NDArray[np.uint8]
UNSPECIFIED = 2
"""`AVCOL_SPC_UNSPECIFIED`."""
HD_LINES = 720
"""Untagged video of this height and more is BT.709, as every player assumes."""


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
