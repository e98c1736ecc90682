"""What a grid of luma samples tells: black, frozen, cut. No model is asked, so these hold under every model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framecue.schemas.features import GRID_HEIGHT, GRID_WIDTH

BLACK_MEAN, BLACK_TOP = 24, 40
"""Limited-range black decodes to about 0, or to 16 where a player leaves it alone; noise stays below the top."""

FROZEN_MEAN, FROZEN_TOP = 0.7, 24
"""Mean and largest difference of point samples, in levels of 255. Re-encoding a still picture leaves less; sensor noise
changes more of it on the whole, a speaker in the corner of a slide more in one place."""

CELL_ROWS, CELL_COLUMNS = 6, 8
"""The samples are gathered in cells of three by four, to see where a picture changed."""

CUT_LEVEL, CUT_SHARE, CUT_HISTOGRAM = 18, 0.95, 0.15
"""A cut changes the picture everywhere (nearly all cells, by this mean difference) and how much light there is (half
the L1 distance of 16-bin histograms). On films sampled twice a second cuts changed .96 to 1.00 of the cells, passers-by
at most .90; a pan changes all cells but little of the histogram."""

Grid = npt.NDArray[np.int16]


def grid(data: bytes) -> Grid:
    """The samples that `media.pictures.luma_grid` wrote, one row."""
    return np.frombuffer(data, np.uint8).astype(np.int16)


def is_black(samples: Grid) -> bool:
    """Whether nothing can be seen."""
    return bool(samples.sum() <= BLACK_MEAN * samples.size and np.percentile(samples, 99) <= BLACK_TOP)


def is_frozen(before: Grid, samples: Grid) -> bool:
    """Whether the picture did not change at all."""
    change = np.abs(samples - before)
    return bool(change.max() <= FROZEN_TOP and change.sum() <= FROZEN_MEAN * change.size)


def is_cut(before: Grid, samples: Grid) -> bool:
    """Whether another shot began between two neighbouring samples."""
    change = np.abs(samples - before)
    if change.sum() < CUT_LEVEL * CUT_SHARE * change.size:  # too little for so many cells
        return False
    cells = (CELL_ROWS, GRID_HEIGHT // CELL_ROWS, CELL_COLUMNS, GRID_WIDTH // CELL_COLUMNS)
    if (change.reshape(cells).mean(axis=(1, 3)) > CUT_LEVEL).mean() < CUT_SHARE:
        return False
    a, b = (np.bincount(s >> 4, minlength=16) / s.size for s in (before, samples))
    return bool(np.abs(a - b).sum() / 2 >= CUT_HISTOGRAM)
