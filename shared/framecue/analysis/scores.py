"""What a similarity means: margins against everything else, calibrated to probabilities, and how they combine.

Scores are the same thing under every model: 0.5 is as likely as not at equal priors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from framecue.schemas.rules import Calibration, Combine

Floats = npt.NDArray[np.float64]

DECIMALS = 3
"""Scores are published, and decisions rest on them, to this many decimals: a reader can re-derive every one."""

CLAMP = 0.001
"""Weighted combination keeps probabilities this far from 0 and 1, so that no one side can decide alone for ever."""


def margin(positives: Floats, rest: Floats) -> Floats:
    """(N, P) and (N, R) scaled similarities give (N,) margins m = LSE(pos) - log P - (LSE(rest) - log R).

    LSE is log-sum-exp; dividing by the counts keeps synonyms from inflating the margin.
    """
    return log_mean_exp(positives) - log_mean_exp(rest)


def log_mean_exp(values: Floats) -> Floats:
    """(N, K) gives (N,) log(mean(exp)) over the last axis, stable for large values."""
    top = values.max(axis=-1)
    result: Floats = top + np.log(np.mean(np.exp(values - top[..., None]), axis=-1))
    return result


def probability(margins: Floats, calibration: Calibration | None) -> Floats:
    """p = sigmoid(a * m + b); without calibration a = 1, b = 0 (Platt 1999, fitted at equal priors)."""
    a, b = (1.0, 0.0) if calibration is None else (calibration.a, calibration.b)
    return sigmoid(a * np.asarray(margins, dtype=np.float64) + b)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    result: Floats = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
    return result


def upper_half_mean(values: Floats) -> Floats:
    """(N, R) over N frames gives (R,) means of the ceil(N / 2) largest: seen half of the time counts in full."""
    n = values.shape[0]
    keep = (n + 1) // 2
    result: Floats = np.sort(values, axis=0)[n - keep :].mean(axis=0)
    return result


def published(score: float) -> float:
    """`score` as it is published and decided on."""
    return round(float(score), DECIMALS)


def combined(
    combine: Combine, picture: float | None, text: float | None, weights: Sequence[float] | None = None
) -> float | None:
    """One score from the two sides, as published; None where the window cannot be judged (no frames).

    `picture` is None without frames, `text` None without a cue.
    """
    match combine:
        case "picture":
            return picture
        case "text":
            return text or 0.0
        case "either":
            given = [p for p in (picture, text) if p is not None]
            return max(given, default=None)
        case "both":
            return None if picture is None else min(picture, text or 0.0)
        case "weighted":
            if picture is None:
                return None
            w_picture, w_text = weights or (0.5, 0.5)
            logit = w_picture * _logit(picture) + (0.0 if text is None else w_text * _logit(text))
            return published(1 / (1 + math.exp(-logit)))


def _logit(p: float) -> float:
    p = min(max(p, CLAMP), 1 - CLAMP)
    return math.log(p / (1 - p))
