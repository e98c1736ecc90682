"""Pictures drawn for tests: nothing is stored. Seeded, so the same in every run."""

from __future__ import annotations

import numpy as np

from framecue.models.protocols import Picture

SIZES = ((90, 160), (240, 320), (720, 1280))
"""Heights and widths in which blank pictures are tried."""


def scenery(seed: int, height: int = 90, width: int = 160) -> Picture:
    """Smooth colour fields with an edge or two: has contrast and structure, shows nothing in particular."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(draw.uniform(2, 9) * x + draw.uniform(2, 9) * y + draw.uniform(0, 6)) for _ in range(3)]
    picture = np.stack(waves, axis=2) * 90 + 128
    picture[height // 3 : height // 2, width // 4 : width // 2] = draw.uniform(0, 255, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def even(level: int, height: int, width: int) -> Picture:
    """One grey level all over; 0 is black."""
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int, height: int, width: int) -> Picture:
    """White noise in all three channels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
