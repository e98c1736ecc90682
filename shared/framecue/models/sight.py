"""Whether a picture shows anything at all. A classifier asked about darkness or static still answers with a class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framecue.models.protocols import Picture

LEAST_CONTRAST = 2.0
"""Standard deviation of the green channel (0 to 255) below which a picture is one even surface."""
LEAST_STRUCTURE = 0.5
"""Correlation of neighbouring pixels below which a picture is noise; photographs lie above .8, white noise at 0."""
_STEP = 4
"""Every fourth row and column are enough for two statistics."""


def shows_something(picture: Picture) -> bool:
    """False for an even surface (black, white, a test colour) and for noise without structure."""
    rows = picture[::_STEP, :, 1].astype(np.float32)
    columns = picture[:, ::_STEP, 1].astype(np.float32).T
    if float(rows.std()) < LEAST_CONTRAST:
        return False
    return max(_correlation(rows), _correlation(columns)) >= LEAST_STRUCTURE


def _correlation(lines: npt.NDArray[np.float32]) -> float:
    """How alike neighbours along the second axis are: 1 - half the mean squared step over the variance."""
    if lines.shape[1] < 2:
        return 1.0
    variance = float(lines.var())
    return 1.0 if variance == 0 else 1 - float(np.square(np.diff(lines, axis=1)).mean()) / (2 * variance)
