"""Calibration: the arithmetic on numbers made here, and what `default` is worth on the labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from framecue.analysis.scores import margin, probability
from framecue.analysis.spaces import Array
from framecue.models.calibrating import (
    CAPTIONS_THAT_AGREE,
    LEAST_POSITIVES,
    PROMPTS,
    Captioned,
    as_logged,
    auc,
    brier,
    calibration_error,
    equal_priors,
    mentioned,
    picture_pairs,
    picture_vectors,
    platt,
    prompt_aucs,
    read_captioned,
    text_pairs,
)
from framecue.models.loading import load_model
from framecue.models.protocols import Model
from tests.support.paths import SHARED

if TYPE_CHECKING:
    from framecue.models.minilm import SentenceEncoder

BLOCK = 40


def drawn(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose log odds at equal priors are 2 m - 1, of which one in eleven is true."""
    draw = np.random.default_rng(0)
    true = np.arange(count) % 11 == 0
    # two unit normals whose means lie 2 apart around 0.5: the log odds of their densities are 2 (m - 0.5)
    return draw.normal(np.where(true, 1.5, -0.5), 1.0), true


def test_platt_finds_the_log_odds_whatever_the_share_of_true_ones() -> None:
    margins, true = drawn(40_000)
    found = platt(margins, true)
    assert found.a == pytest.approx(2, abs=0.1)
    assert found.b == pytest.approx(-1, abs=0.1)


def test_fitted_scores_are_calibrated_and_beat_the_constant() -> None:
    margins, true = drawn()
    p = probability(margins, platt(margins, true))
    assert calibration_error(p, true) < 0.05
    assert brier(p, true) < brier(np.full(len(p), 0.5), true) == pytest.approx(0.25)


def test_calibration_error_is_the_distance_of_a_constant_from_the_truth() -> None:
    _, true = drawn()
    assert calibration_error(np.full(len(true), 0.9), true) == pytest.approx(0.4, abs=0.01)


def test_auc_counts_ties_by_half() -> None:
    true = np.array([True, True, False, False])
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), true) == 1
    assert auc(np.array([1.0, 1.0, 1.0, 1.0]), true) == 0.5
    assert auc(np.array([1.0, 3.0, 2.0, 0.0]), true) == 0.75


def test_equal_priors_give_each_side_half() -> None:
    weights = equal_priors(np.array([True, False, False, False]))
    np.testing.assert_allclose(weights, [0.5, 1 / 6, 1 / 6, 1 / 6])


class Remembering:
    """A sentence encoder that computes each text once; alone in its batch, a vector depends on its text only."""

    def __init__(self, sentences: SentenceEncoder) -> None:
        self._vector = cache(lambda text: sentences.embed([text])[0])

    def embed(self, texts: Sequence[str]) -> Array:
        return np.stack([self._vector(text) for text in texts])


@dataclass(frozen=True)
class Labelled:
    pictures: Captioned
    model: Model
    vectors: Array
    prompts: Array
    said: np.ndarray


@pytest.fixture(scope="module")
def labelled(default_model: Model) -> Labelled:
    assert SHARED is not None
    pictures = read_captioned(SHARED / "labelled" / "flickr8k")
    model = replace(
        default_model, texts=replace(default_model.texts, sentences=Remembering(default_model.texts.sentences))
    )
    counted = {prompt: mentioned(pictures, words) for prompt, words in PROMPTS.items()}
    kept = {p: c for p, c in counted.items() if (c >= CAPTIONS_THAT_AGREE).sum() >= LEAST_POSITIVES}
    prompts = as_logged(model.texts.embed_prompts(list(kept)))
    return Labelled(pictures, model, vectors_of(pictures), prompts, np.stack(list(kept.values()), axis=1))


def vectors_of(pictures: Captioned) -> Array:
    """Those of `picture_vectors`, by two models on a core each."""

    def by_one(paths: tuple[Path, ...]) -> Array:
        return picture_vectors(load_model("default", deterministic=True), replace(pictures, paths=paths))

    middle = len(pictures.paths) // 2
    with ThreadPoolExecutor(2) as threads:
        return np.concatenate(list(threads.map(by_one, (pictures.paths[:middle], pictures.paths[middle:]))))


def on_labelled(test):
    return pytest.mark.shared(pytest.mark.model(test))


@on_labelled
def test_single_prompts_rank_pictures(labelled: Labelled) -> None:
    space = labelled.model.space
    aucs = prompt_aucs(space, labelled.vectors, labelled.prompts, labelled.said, scale=space.picture.scale)
    assert len(aucs) >= 20
    assert np.mean(aucs) >= 0.75


@on_labelled
def test_captions_find_their_picture_among_forty_by_published_score(labelled: Labelled) -> None:
    space, picture = labelled.model.space, labelled.model.space.picture
    captions = [caption for group in labelled.pictures.captions for caption in group]
    owners = np.array([own for own, group in enumerate(labelled.pictures.captions) for _ in group])
    prompts = as_logged(labelled.model.texts.embed_prompts(captions))
    found: list[bool] = []
    for at in range(0, len(labelled.vectors) - BLOCK + 1, BLOCK):
        vectors = labelled.vectors[at : at + BLOCK]
        asked = (owners >= at) & (owners < at + BLOCK)
        background = picture.scale * space.similarity(vectors, picture.background).astype(float)
        similarities = picture.scale * space.similarity(vectors, prompts[asked]).astype(float)
        scores = np.stack([probability(margin(s[:, None], background), picture.calibration) for s in similarities.T])
        found += list(scores.argmax(axis=1) == owners[asked] - at)
    assert np.mean(found) >= 0.40


@on_labelled
def test_scores_are_calibrated_on_the_half_they_were_not_fitted_on(labelled: Labelled) -> None:
    space = labelled.model.space
    pairs, fitted = picture_pairs(space, labelled.vectors, labelled.prompts, labelled.said, labelled.pictures.fitted)
    for measured, pairing in (
        (pairs.of(~fitted), space.picture),
        (text_pairs(labelled.model, labelled.pictures)[1], space.text),
    ):
        p = probability(measured.margins(pairing.scale), pairing.calibration)
        assert calibration_error(p, measured.true) <= 0.10
        assert brier(p, measured.true) < 0.25
