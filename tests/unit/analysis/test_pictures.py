"""Black, frozen and cut, by the luma grid alone: on pictures made by formula."""

from __future__ import annotations

import numpy as np
import pytest

from framecue.analysis.pictures import Grid, grid, is_black, is_cut, is_frozen
from framecue.schemas.features import GRID_HEIGHT, GRID_WIDTH
from tests.support.streams import flat_grid, noise_grid

RNG = np.random.default_rng(7)
X, Y = np.meshgrid(np.linspace(0, 1, GRID_WIDTH), np.linspace(0, 1, GRID_HEIGHT))


def flat(level: int) -> Grid:
    return grid(flat_grid(level))


def noisy(picture: Grid, amount: float) -> Grid:
    """`picture` with sensor noise of a standard deviation of `amount` levels."""
    return np.clip(picture + RNG.normal(0, amount, picture.size), 0, 255).astype(np.int16)


def scene(shift: float = 0.0) -> Grid:
    """A textured picture whose content has moved by `shift` widths."""
    texture = 128 + 60 * np.sin(9 * (X + shift)) + 40 * np.sin(23 * (X + shift) + 7 * Y)
    return np.clip(texture, 0, 255).astype(np.int16).ravel()


def sign(background: int, ink: int, share: float) -> Grid:
    """Large letters on a plain ground."""
    picture = np.full(X.size, background, np.int16)
    picture[: int(share * X.size)] = ink
    return picture


DARK_STREET = (
    np.clip(20 + 12 * np.sin(9 * X) + 100 * (np.hypot(X - 0.7, Y - 0.3) < 0.1), 0, 255).astype(np.int16).ravel()
)


def test_a_grid_is_read_as_it_was_written():
    picture = grid(noise_grid(1))
    assert (picture.size, picture.dtype) == (GRID_WIDTH * GRID_HEIGHT, np.int16)


@pytest.mark.parametrize(("picture", "expected"), [
    (flat(0), True),
    (flat(16), True),
    (noisy(flat(16), 5), True),
    (flat(30), False),
    (sign(0, 235, 0.05), False),
    (DARK_STREET, False),
    (scene(), False),
    (flat(255), False),
], ids=["full range", "limited range", "noise in the dark", "dark grey", "letters", "a lamp at night", "a picture",
        "white"])  # fmt: skip
def test_is_black(picture: Grid, expected: bool):
    assert is_black(picture) is expected


@pytest.mark.parametrize(("before", "after", "expected"), [
    (scene(), scene(), True),
    (scene(), noisy(scene(), 0.4), True),
    (scene(), noisy(scene(), 2), False),
    (grid(noise_grid(1)), grid(noise_grid(2)), False),
    (scene(), scene(0.004), False),
    (scene(), np.where(np.arange(X.size) < 4, scene() + 60, scene()), False),
], ids=["the same", "re-encoded", "sensor noise", "noise", "a slow pan", "a mouth"])  # fmt: skip
def test_is_frozen(before: Grid, after: Grid, expected: bool):
    assert is_frozen(before, after) is expected


@pytest.mark.parametrize(("before", "after", "expected"), [
    (scene(), flat(230), True),
    (flat(0), scene(), True),
    (DARK_STREET, scene(), True),
    (scene(), scene(0.2), False),
    (scene(), scene(0.1), False),
    (scene(), np.clip(scene() + 12, 0, 255), False),
    (noisy(scene(), 6), noisy(scene(), 6), False),
    (scene(), scene(), False),
], ids=["to white", "out of black", "night to day", "a pan", "a slow pan", "a cloud", "noise", "none"])  # fmt: skip
def test_is_cut(before: Grid, after: Grid, expected: bool):
    assert is_cut(before, after) is expected
