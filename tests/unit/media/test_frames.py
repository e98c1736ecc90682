"""From a frame to an upright JPEG, and from there to numbers."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from framecue.errors import DamagedMediaError
from framecue.media.frames import fit, to_jpeg
from framecue.media.opening import open_media
from framecue.media.pictures import jpeg_to_rgb, luma_grid
from framecue.media.sampling import Sampling
from framecue.media.side_data import display_matrix
from framecue.schemas.features import GRID_HEIGHT, GRID_WIDTH
from tests.support.clips import COLOURS, make_clip

CORNERS = list(itertools.product((0, 1), (0, 1)))
"""(x, y) of top left, bottom left, top right, bottom right."""


def corners_pattern(width: int, height: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    for (x, y), colour in zip(CORNERS, COLOURS, strict=False):
        picture[y * height // 2 : (y + 1) * height // 2, x * width // 2 : (x + 1) * width // 2] = colour
    return picture


def colour_at(picture: np.ndarray, x: int, y: int) -> int:
    """The index in COLOURS of what the corner (x, y) shows."""
    height, width = picture.shape[:2]
    found = picture[height // 4 + y * height // 2, width // 4 + x * width // 2].astype(int)
    return min(range(4), key=lambda i: int(np.abs(found - COLOURS[i]).sum()))


@pytest.mark.parametrize("rotation", list(itertools.product((0, 90, 180, 270), (False, True), (False, True))))
def test_to_jpeg_stands_upright_for_every_orientation(rotation):
    clip = make_clip(
        seconds=0.1, size=(96, 64), container="mp4", rotation=rotation, pattern=lambda i, t: corners_pattern(96, 64)
    )
    frame = first_frame(clip, "mov")
    width, height, jpeg = to_jpeg(frame, Fraction(1), sampling=Sampling())
    picture = jpeg_to_rgb(jpeg)
    a, b, c, d = display_matrix(frame) or (1, 0, 0, 1)
    assert picture.shape == (height, width, 3)
    assert (width, height) == ((96, 64) if a else (64, 96))
    for i, (x, y) in enumerate(CORNERS):  # x' = ax + cy, y' = bx + dy, about the middle
        across, down = 2 * x - 1, 2 * y - 1
        seen_x, seen_y = a * across + c * down, b * across + d * down
        assert colour_at(picture, int(seen_x > 0), int(seen_y > 0)) == i


@pytest.mark.parametrize(
    ("options", "height", "why"),
    [
        ({}, 180, "untagged and small: BT.601"),
        ({"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}, 180, "tagged BT.709"),
        ({"colorspace": "bt2020nc"}, 180, "tagged BT.2020"),
        ({"colorspace": "smpte170m", "color_range": "pc"}, 180, "full range"),
    ],
)
def test_to_jpeg_shows_the_colours_that_the_frame_says(options, height, why):
    clip = make_clip(seconds=0.1, pattern="colour", size=(320, height), options=options)
    frame = first_frame(clip, "mpegts")
    expected = frame.to_ndarray(format="rgb24").mean(axis=(0, 1))
    _, _, jpeg = to_jpeg(frame, Fraction(1), sampling=Sampling())
    assert jpeg_to_rgb(jpeg).mean(axis=(0, 1)) == pytest.approx(expected, abs=4), why


def test_to_jpeg_takes_untagged_hd_for_bt709():
    frame = first_frame(make_clip(seconds=0.1, pattern="colour", size=(1280, 720)), "mpegts")
    expected = frame.to_ndarray(format="rgb24", src_colorspace="ITU709").mean(axis=(0, 1))
    width, height, jpeg = to_jpeg(frame, Fraction(1), sampling=Sampling())
    assert (width, height) == (682, 384)
    assert jpeg_to_rgb(jpeg).mean(axis=(0, 1)) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize(
    ("width", "height", "expected", "why"),
    [
        (1920, 1080, (682, 384), "wide"),
        (1080, 1920, (384, 682), "tall"),
        (320, 180, (320, 180), "never enlarged"),
        (Fraction(720 * 8, 9), 480, (512, 384), "non-square pixels"),
        (1, 1, (2, 2), "planes are halved"),
        (8192, 2, (8192, 2), "a line stays a line"),
    ],
)
def test_fit(width, height, expected, why):
    assert fit(Fraction(width), Fraction(height), 384) == expected, why


def test_luma_grid_samples_the_middle_of_each_cell():
    picture = np.zeros((GRID_HEIGHT * 10, GRID_WIDTH * 10, 3), np.uint8)
    picture[5::10, 5::10] = (255, 255, 255)
    assert luma_grid(picture) == b"\xff" * (GRID_WIDTH * GRID_HEIGHT)
    assert luma_grid(np.full((7, 9, 3), (255, 0, 0), np.uint8)) == bytes([76]) * (GRID_WIDTH * GRID_HEIGHT)


def test_luma_grid_keeps_the_order_of_rows():
    picture = np.repeat(np.arange(GRID_HEIGHT, dtype=np.uint8), GRID_WIDTH).reshape(GRID_HEIGHT, GRID_WIDTH, 1)
    grid = np.frombuffer(luma_grid(np.repeat(picture, 3, axis=2)), np.uint8).reshape(GRID_HEIGHT, GRID_WIDTH)
    assert (grid == picture[:, :, 0]).all()


def test_jpeg_to_rgb_refuses_what_is_no_jpeg():
    with pytest.raises(DamagedMediaError, match="picture"):
        jpeg_to_rgb(b"\xff\xd8 not really")


def first_frame(clip: bytes, fmt: str) -> av.VideoFrame:
    with open_media(clip, fmt=fmt) as container:
        return next(container.decode(video=0))
