"""From a JPEG to numbers, for who looks at pictures. NumPy and simplejpeg only: it runs where no decoder is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg

from framecue.errors import DamagedMediaError
from framecue.schemas.features import GRID_HEIGHT, GRID_WIDTH

Picture = npt.NDArray[np.uint8]
_LUMA = np.array([299, 587, 114], np.uint32)
"""BT.601 weights of red, green and blue, in thousandths."""


def jpeg_to_rgb(data: bytes) -> Picture:
    """RGB, (height, width, 3), 0 to 255; raises DamagedMediaError when `data` is no whole JPEG."""
    try:
        picture: Picture = simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError as e:
        raise DamagedMediaError(f"the picture cannot be read: {e}") from e
    return picture


def luma_grid(rgb: Picture) -> bytes:
    """GRID_HEIGHT x GRID_WIDTH luma samples of `rgb`, row by row: one point at the centre of each cell."""
    height, width = rgb.shape[:2]
    rows = (2 * np.arange(GRID_HEIGHT) + 1) * height // (2 * GRID_HEIGHT)
    columns = (2 * np.arange(GRID_WIDTH) + 1) * width // (2 * GRID_WIDTH)
    points = rgb[rows[:, None], columns[None, :]].astype(np.uint32)
    luma: npt.NDArray[np.uint8] = ((points @ _LUMA + 500) // 1000).astype(np.uint8)
    return luma.tobytes()
