"""What of a stored picture people get to see: the one gate between pictures and eyes.

Whoever shows a picture opens a `Faces` once and passes every picture through it, at the size it was stored, whatever
size is asked for: a face that is found in a large picture may be missed in a small one.

    stored JPEG ─► decode ─► find faces, low threshold ─► coarsen each ─► scale down ─► JPEG

Fails closed: what cannot be looked at for faces is not shown. It must not know who asks, nor any topic or setting.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from math import ceil, floor
from typing import Literal, Protocol

import numpy as np
from PIL import Image, ImageDraw

from framecue.errors import DamagedMediaError, SetupError
from framecue.models.protocols import Picture

THRESHOLD = 0.2
"""Recall before precision: a blurred flower pot harms nobody. At .2 all faces of 8 px and more that look at the camera
are found, and people from behind often; at .1 there are three times as many boxes for 1 face in 100 more."""
LOOKED_AT_SHORT_PX, LOOKED_AT_AREA_PX = 384, 1280 * 720
"""Smaller pictures are enlarged for the detector: of 150 px its recall rises from .84 to .98. Larger ones than the area
are brought down: one costs 0.2 s and 0.2 GB at most. At 1.5 times the size faces of 6 px are found too, for twice the
time.
"""
CELLS = 4
"""What is left of a face: this many cells along its longer side, so both eyes and the nose are one row of three."""
CELL_MIN_PX = 6
GROWN = 1.5
"""The ellipse that is coarsened, against the box of the face: 1.42 would just take in the corners of the box."""
RAISED = 0.1
"""Upwards, in heights of the box: it ends at the forehead, and hair says a lot."""
JPEG_QUALITY = 82

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Faces(Protocol):
    """Makes stored pictures ready to be seen. Any thread may call; a call takes as long as a forward, on one core."""

    @property
    def state(self) -> str:
        """`blurred`, `shown` (by choice), or `unblurred: ` and why, with the cure: what a page says of its pictures."""
        ...

    def seen(self, jpeg: bytes, *, width: int | None = None) -> bytes:
        """The picture as it may be seen, as JPEG, at most `width` px wide.

        Raises DamagedMediaError when `jpeg` is no picture, ModelError when the detector fails: then show nothing.
        """
        ...


class Detector(Protocol):
    """Finds faces."""

    def find(self, picture: Picture, *, threshold: float) -> Iterable[tuple[float, ...]]:
        """Left, top, right, bottom and score of each."""
        ...


def open_faces(mode: Literal["blur", "off"]) -> Faces:
    """What `privacy.faces` asks for, as far as this installation can: `state` says what came of it. Loads no torch."""
    if mode == "off":
        return Unblurred("shown")
    try:
        from framecue.models.centerface import load_centerface

        return Blurred(load_centerface())
    except ImportError as e:
        return Unblurred(f"unblurred: install framecue[privacy]: the package {e.name} is missing")
    except SetupError as e:
        return Unblurred(f"unblurred: {e}")


class Blurred:
    """Pictures without recognisable faces."""

    state = "blurred"

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def seen(self, jpeg: bytes, *, width: int | None = None) -> bytes:
        """As `Faces` has it; always a new JPEG, also where there is no face."""
        picture = _decode(jpeg)
        return _encode(coarsened(picture, self._found(picture)), width=width)

    def _found(self, picture: Image.Image) -> list[Box]:
        scale = max(1.0, LOOKED_AT_SHORT_PX / min(picture.size))
        scale = min(scale, (LOOKED_AT_AREA_PX / (picture.width * picture.height)) ** 0.5)
        looked_at = picture if scale == 1 else _resized(picture, scale)
        across, down = picture.width / looked_at.width, picture.height / looked_at.height
        found = self._detector.find(np.asarray(looked_at), threshold=THRESHOLD)
        return [(b[0] * across, b[1] * down, b[2] * across, b[3] * down) for b in found]


class Unblurred:
    """Pictures as they are; `state` says why."""

    def __init__(self, state: str) -> None:
        self.state = state

    def seen(self, jpeg: bytes, *, width: int | None = None) -> bytes:
        """As `Faces` has it; without a width the same bytes."""
        return jpeg if width is None else _encode(_decode(jpeg), width=width)


def coarsened(picture: Image.Image, faces: Iterable[Box]) -> Image.Image:
    """A copy in which each face is an ellipse of a few colours.

    What was under it is gone: averages of cells are left, not a filter that could be turned back; and its edge is hard,
    for a soft one would let the face through.
    """
    out = picture.copy()
    for box in faces:
        whole = _around(box)
        left, top = max(0, whole[0]), max(0, whole[1])
        right, bottom = min(picture.width, whole[2]), min(picture.height, whole[3])
        if right <= left or bottom <= top:
            continue
        size = (right - left, bottom - top)
        cell = max(CELL_MIN_PX, max(box[2] - box[0], box[3] - box[1]) / CELLS)
        cells = (max(1, round(size[0] / cell)), max(1, round(size[1] / cell)))
        averages = picture.crop((left, top, right, bottom)).resize(cells, Image.Resampling.BOX)
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).ellipse(
            (whole[0] - left, whole[1] - top, whole[2] - left - 1, whole[3] - top - 1), fill=255
        )
        out.paste(averages.resize(size, Image.Resampling.BICUBIC), (left, top), mask)
    return out


def _around(box: Box) -> tuple[int, int, int, int]:
    """The box of the ellipse, outwards to whole pixels; it may reach out of the picture."""
    left, top, right, bottom = box
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2 - RAISED * (bottom - top)
    half_x, half_y = GROWN * (right - left) / 2, GROWN * (bottom - top) / 2
    return (floor(middle_x - half_x), floor(middle_y - half_y), ceil(middle_x + half_x), ceil(middle_y + half_y))


def _decode(jpeg: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        raise DamagedMediaError(f"the picture cannot be shown: {e}") from e


def _resized(picture: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _encode(picture: Image.Image, *, width: int | None) -> bytes:
    if width is not None and width < picture.width:
        picture = _resized(picture, width / picture.width)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
