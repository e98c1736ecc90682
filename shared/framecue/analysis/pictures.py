"""What a grid of luma samples tells: black, frozen, cut. No model is asked, so these hold under every model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLACK_MEAN, BLACK_TOP = 24, 40
"""Limited-range black decodes to about 0, or to 16 where a player leaves it alone; noise stays below the top."""

FROZEN_MEAN, FROZEN_TOP = 0.7, 24
"""Mean and largest difference of point samples, in levels of 255. Re-encoding a still picture leaves less; sensor noise
changes more of it on the whole, a speaker in the corner of a slide more in one place."""

CUT_MEAN, CUT_HISTOGRAM = 22.0, 0.25
"""A cut changes where light is (mean difference of samples) and how much of it there is (half the L1 distance of
16-bin histograms). A pan changes only the first, a flash mostly the second."""

Grid = npt.NDArray[np.int16]


def grid(data: bytes) -> Grid:
    """The samples that `media.pictures.luma_grid` wrote, one row."""
    return np.frombuffer(data, np.uint8).astype(np.int16)


def is_black(samples: Grid) -> bool:
    """Whether nothing can be seen."""
    return bool(samples.mean() <= BLACK_MEAN and np.percentile(samples, 99) <= BLACK_TOP)


def is_frozen(before: Grid, samples: Grid) -> bool:
    """Whether the picture did not change at all."""
    change = np.abs(samples - before)
    return bool(change.mean() <= FROZEN_MEAN and change.max() <= FROZEN_TOP)


def is_cut(before: Grid, samples: Grid) -> bool:
    """Whether another shot began between two neighbouring samples."""
    if np.abs(samples - before).mean() < CUT_MEAN:
        return False
    a, b = (np.bincount(np.clip(s, 0, 255) >> 4, minlength=16) / s.size for s in (before, samples))
    return bool(np.abs(a - b).sum() / 2 >= CUT_HISTOGRAM)
