"""What a similarity means: margins, probabilities, windows and how two sides combine, each against a plain loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from framecue.analysis.rules import compile_rules
from framecue.analysis.scores import (
    Floats,
    combined,
    log_mean_exp,
    margin,
    probability,
    published,
    sigmoid,
    upper_half_mean,
)
from framecue.analysis.spaces import Array, DualSpace, Pairing, from_wire, to_wire
from framecue.schemas.features import RulesFeatures
from framecue.schemas.rules import Calibration, Combine, EventRule, RuleSet
from tests.support.streams import rule

DIMS = 12
RNG = np.random.default_rng(11)


def units(n: int) -> Array:
    """Unit vectors as the log holds them: rounded to fp16."""
    made = RNG.normal(size=(n, DIMS))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return from_wire(to_wire(made)).reshape(n, DIMS)


BACKGROUND = units(10)
SPACE = DualSpace(
    "dual", DIMS,
    picture=Pairing(60.0, BACKGROUND, Calibration(a=0.8, b=-0.3)),
    text=Pairing(20.0, BACKGROUND[:4], None),
)  # fmt: skip


def embedded(*events: EventRule) -> tuple[RulesFeatures, dict[str, Array], dict[str, Array]]:
    """A rules record with a random vector for each phrase, and the vectors by phrase."""
    made = RuleSet(events=events)
    picture = dict(zip(made.picture_prompts(), units(len(made.picture_prompts())), strict=True))
    text = dict(zip(made.text_prompts(), units(len(made.text_prompts())), strict=True))
    record = RulesFeatures(
        rules=made, space=SPACE.id,
        picture_vectors=tuple(to_wire(v) for v in picture.values()),
        text_vectors=tuple(to_wire(v) for v in text.values()),
    )  # fmt: skip
    return record, picture, text


def by_hand(positives: Sequence[float], rest: Sequence[float]) -> float:
    """m = LSE(s over the positives) - log n+ - [LSE(s over the rest) - log n-]."""
    return (
        math.log(sum(math.exp(s) for s in positives)) - math.log(len(positives))
        - math.log(sum(math.exp(s) for s in rest)) + math.log(len(rest))
    )  # fmt: skip


def test_margin_is_the_formula_in_a_loop():
    positives, rest = RNG.normal(size=(5, 3)) * 8, RNG.normal(size=(5, 9)) * 8
    expected = [by_hand(list(p), list(r)) for p, r in zip(positives, rest, strict=True)]
    np.testing.assert_allclose(margin(positives, rest), expected, atol=1e-12)


def test_synonyms_do_not_inflate_a_margin():
    one = np.array([[3.0]])
    np.testing.assert_allclose(margin(np.repeat(one, 5, axis=1), one - 2), margin(one, one - 2), atol=1e-12)


def test_log_mean_exp_is_stable_for_large_values():
    np.testing.assert_allclose(log_mean_exp(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])), [1000.0, -1000.0])


@pytest.mark.parametrize(("calibration", "expected"), [
    (None, 1 / (1 + math.exp(-2))),
    (Calibration(a=0.5, b=-1), 0.5),
], ids=["without one a = 1, b = 0", "a * m + b"])  # fmt: skip
def test_probability(calibration: Calibration | None, expected: float):
    assert probability(np.array([2.0]), calibration)[0] == pytest.approx(expected, abs=1e-12)


def test_sigmoid_does_not_overflow():
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])


@pytest.mark.parametrize(("frames", "expected"), [
    ([.7], .7),
    ([.9, .1], .9),
    ([.65, .40, .40], .525),
    ([.1, .9, .1, .7], .8),
    ([.2, .2, .2, .2, .8], (.8 + .2 + .2) / 3),
], ids=["one", "the better of two", "two of three", "half of four", "three of five"])  # fmt: skip
def test_upper_half(frames: Sequence[float], expected: float):
    assert upper_half_mean(np.array(frames)[:, None])[0] == pytest.approx(expected, abs=1e-12)


def test_upper_half_is_by_rule_and_not_by_frame():
    np.testing.assert_allclose(upper_half_mean(np.array([[0.9, 0.1], [0.1, 0.9]])), [0.9, 0.9])


def test_prompt_scorer_is_margin_and_probability_rule_by_rule():
    """One product and two averaging matrices for all rules give what the formula gives for each."""
    own = Calibration(a=1.7, b=0.2)
    events = (
        rule("one", picture=["a", "b"]),
        rule("words", text=["x"]),
        rule("not", picture=["a", "c", "d"], **{"not": ["e", "b"]}),
        rule("own", picture=["c"], picture_calibration=own),
    )
    record, vectors, _ = embedded(*events)
    frames = units(7)
    scores = compile_rules(record, stream="s", space=SPACE).picture_scores(frames)
    for column, event in enumerate(events):
        np.testing.assert_allclose(scores[:, column], _expected(frames, event, vectors), atol=1e-9)


def _expected(frames: Array, event: EventRule, vectors: dict[str, Array]) -> Floats:
    """The rule's scores by `margin` and `probability` alone; 0 where it asks for no picture."""
    if not event.picture:
        return np.zeros(len(frames))
    positives = np.stack([vectors[p] for p in event.picture])
    rest = np.concatenate([BACKGROUND, *(vectors[p][None] for p in event.negatives)])
    scaled = [SPACE.picture.scale * SPACE.similarity(frames, side).astype(np.float64) for side in (positives, rest)]
    return probability(margin(*scaled), event.picture_calibration or SPACE.picture.calibration)


def test_prompt_scorer_of_texts_has_its_own_scale_background_and_calibration():
    event = rule("x", text=["goal", "he scores"], text_calibration=Calibration(a=2, b=-1), **{"not": ["replay"]})
    record, _, vectors = embedded(event)
    cues = units(5)
    scores = compile_rules(record, stream="s", space=SPACE).text_scores(["-"] * 5, cues)[:, 0]
    positives = np.stack([vectors[p] for p in event.text])
    rest = np.concatenate([BACKGROUND[:4], vectors["replay"][None]])
    scaled = [20.0 * SPACE.text_similarity(cues, side).astype(np.float64) for side in (positives, rest)]
    np.testing.assert_allclose(scores, probability(margin(*scaled), event.text_calibration), atol=1e-9)


def test_scores_do_not_depend_on_the_batch():
    record, *_ = embedded(rule("one", picture=["a", "b"]), rule("two", picture=["c"], **{"not": ["a"]}))
    compiled, frames = compile_rules(record, stream="s", space=SPACE), units(6)
    one_by_one = np.concatenate([compiled.picture_scores(frame[None]) for frame in frames])
    np.testing.assert_allclose(compiled.picture_scores(frames), one_by_one, atol=1e-12)


def test_a_hopeless_match_scores_nothing_and_does_not_overflow():
    """Scale 1e4: exp of what lies 10 000 below the best is 0, and its logarithm must not be minus infinity."""
    sharp = DualSpace("dual", DIMS, picture=Pairing(1e4, BACKGROUND, None), text=SPACE.text)
    record, *_ = embedded(rule("x", picture=["a"]))
    scores = compile_rules(record, stream="s", space=sharp).picture_scores(BACKGROUND[:1])
    assert 0 <= scores[0, 0] < 1e-6


@pytest.mark.parametrize(("combine", "picture", "text", "expected"), [
    ("picture", .7, None, .7),
    ("picture", None, 1.0, None),
    ("text", None, .8, .8),
    ("text", .9, None, 0.0),
    ("either", .3, .8, .8),
    ("either", .3, None, .3),
    ("either", None, .8, .8),
    ("either", None, None, None),
    ("both", .7, 1.0, .7),
    ("both", .7, .2, .2),
    ("both", .7, None, 0.0),
    ("both", None, 1.0, None),
    ("weighted", .30, 1.0, .954),
    ("weighted", .7, .7, .7),
    ("weighted", .7, None, .604),
    ("weighted", 0.0, 0.0, .001),
    ("weighted", 1.0, 0.0, .5),
    ("weighted", None, 1.0, None),
])  # fmt: skip
def test_combined(combine: Combine, picture: float | None, text: float | None, expected: float | None):
    """No frames: only words can decide. No cue: 0, left out of `either`, logit 0 in `weighted`. .954 is case 34."""
    assert combined(combine, picture, text) == expected


def test_weights():
    assert combined("weighted", 0.3, 1.0, (1.0, 0.0)) == 0.3
    assert combined("weighted", 0.3, 1.0, (0.2, 0.8)) == published(1 / (1 + math.exp(-(0.2 * -0.8473 + 0.8 * 6.9068))))


def test_scores_are_published_to_three_decimals():
    assert published(0.59949) == 0.599
    assert published(0.5996) == 0.6
