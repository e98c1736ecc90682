"""Spaces: pure arithmetic on vectors, built here by hand."""

from __future__ import annotations

import numpy as np
import pytest

from framecue.analysis.spaces import (
    Array,
    ClosedSpace,
    ConseSpace,
    DualSpace,
    Pairing,
    Space,
    conse_anchors,
    conse_prompts,
    conse_vectors,
    from_wire,
    to_wire,
)
from framecue.errors import RulesError

DIMS = 8
CLASSES = np.eye(DIMS, dtype=np.float32)[:6]
NAMES = ("bus", "taxi", "rabbit", "fox", "tie", "suit")
BACKGROUND = np.eye(DIMS, dtype=np.float32)[6:]


def unit(rows: list[list[float]]) -> Array:
    array = np.array(rows, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def prompts(*rows: list[float]) -> Array:
    return conse_prompts(unit([row + [0.0] * (DIMS - len(row)) for row in rows]), CLASSES)


def frames(*classes: int) -> Array:
    logits = np.full((len(classes), len(NAMES)), -4, np.float32)
    logits[np.arange(len(classes)), classes] = 4
    return conse_vectors(logits, conse_anchors(CLASSES, BACKGROUND))


def conse(unknown_cosine: float = 0.2) -> ConseSpace:
    return ConseSpace("c", NAMES, CLASSES, Pairing(4, BACKGROUND), Pairing(8, BACKGROUND), unknown_cosine)


def dual(offset: float = 0.0) -> DualSpace:
    return DualSpace("d", DIMS, Pairing(10, BACKGROUND), Pairing(10, BACKGROUND), offset)


def closed() -> ClosedSpace:
    return ClosedSpace("k", NAMES, DIMS, Pairing(1, BACKGROUND), Pairing(8, BACKGROUND))


TRAFFIC, ANIMAL = [1.0, 1.0], [0.0, 0.0, 1.0, 1.0]
LABELS = [
    ("conse", conse(), frames(0, 2), prompts(TRAFFIC, ANIMAL)),
    ("dual", dual(), unit([[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0.5, 0, 0, 0, 0]]), CLASSES[[0, 2]]),
]


@pytest.mark.parametrize(("kind", "space", "images", "labels"), LABELS, ids=[row[0] for row in LABELS])
def test_distribution_sums_to_one_and_the_nearest_label_leads(
    kind: str, space: Space, images: Array, labels: Array
) -> None:
    rows = space.distribution(images, labels)
    assert rows.shape == (2, 3)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert rows.argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize(("kind", "space", "images", "labels"), LABELS, ids=[row[0] for row in LABELS])
def test_swapped_labels_swap_the_columns(kind: str, space: Space, images: Array, labels: Array) -> None:
    one, other = space.distribution(images, labels), space.distribution(images, labels[::-1].copy())
    np.testing.assert_allclose(one, other[:, [1, 0, 2]], atol=1e-7)


@pytest.mark.parametrize(("kind", "space", "images", "labels"), LABELS, ids=[row[0] for row in LABELS])
def test_frame_that_shows_nothing_is_like_nothing_and_unknown(
    kind: str, space: Space, images: Array, labels: Array
) -> None:
    blank = np.zeros_like(images)
    assert not space.similarity(blank, labels).any()
    np.testing.assert_allclose(space.distribution(blank, labels), [[0, 0, 1]] * 2, atol=1e-7)


@pytest.mark.parametrize(("kind", "space", "images", "labels"), LABELS, ids=[row[0] for row in LABELS])
def test_rows_do_not_depend_on_their_company(kind: str, space: Space, images: Array, labels: Array) -> None:
    together = space.distribution(images, labels)
    alone = np.concatenate([space.distribution(images[i : i + 1], labels) for i in range(2)])
    np.testing.assert_allclose(together, alone, atol=1e-7)
    alone = np.concatenate([space.similarity(images[i : i + 1], labels) for i in range(2)])
    np.testing.assert_allclose(space.similarity(images, labels), alone, atol=1e-7)


def test_unknown_grows_with_its_cosine_and_its_offset() -> None:
    images, labels = frames(0), prompts(TRAFFIC, ANIMAL)
    shares = [conse(cosine).distribution(images, labels)[0, -1] for cosine in (0.0, 0.4, 0.8)]
    assert shares == sorted(shares)
    shares = [dual(offset).distribution(CLASSES[:1], CLASSES[1:3])[0, -1] for offset in (-2.0, 0.0, 2.0)]
    assert shares == sorted(shares)


def test_prompt_near_no_class_is_worth_nothing() -> None:
    nothing, something = prompts([0, 0, 0, 0, 0, 0, 1.0], TRAFFIC)
    assert np.linalg.norm(nothing) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(something) == pytest.approx(1, abs=1e-6)


def test_conse_explains_a_frame_by_its_likely_classes() -> None:
    explained = conse().explain(frames(4)[0])
    assert [name for name, _ in explained] == ["tie"]
    assert explained[0][1] == pytest.approx(1, abs=0.01)
    assert list(dual().explain(CLASSES[0])) == []


def test_closed_space_answers_over_its_own_classes() -> None:
    images = np.array([[0.9, 0.02, 0.02, 0.02, 0.02, 0.02], [0.3, 0.3, 0.1, 0.1, 0.1, 0.1], [0] * 6], np.float32)
    rows = closed().distribution(images, np.zeros((0, DIMS), np.float32))
    assert rows.argmax(axis=1).tolist() == [0, 6, 6]
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(RulesError, match="classifier"):
        closed().similarity(images, CLASSES)


def test_text_similarity_is_the_cosine() -> None:
    cues = unit([[1, 1, 0, 0, 0, 0, 0, 0]])
    for space in (conse(), dual(), closed()):
        np.testing.assert_allclose(space.text_similarity(cues, CLASSES[:3]), [[0.5**0.5, 0.5**0.5, 0]], atol=1e-6)


def test_wire_keeps_half_precision() -> None:
    vector = np.array([0.1, -0.5, 1.0], np.float32)
    np.testing.assert_array_equal(from_wire(to_wire(vector)), vector.astype(np.float16).astype(np.float32))
    assert len(to_wire(vector)) == 6
