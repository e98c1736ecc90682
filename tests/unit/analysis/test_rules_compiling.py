"""A rules record against a space: what does not fit is refused with a sentence, what fits is ready to be asked."""

from __future__ import annotations

import numpy as np
import pytest

from framecue.analysis.rules import check_rules, compile_rules, no_rules, version_of
from framecue.analysis.spaces import ClosedSpace, Pairing, to_wire
from framecue.errors import RulesError
from framecue.schemas.features import RulesFeatures
from framecue.schemas.rules import Calibration, RuleSet, SceneRule
from tests.support.streams import DIALS, DialSpace, rule, rules

SPACE = DialSpace()
FITTED = Calibration(a=1, b=0)
NOTHING = Pairing(1.0, np.zeros((1, DIALS), np.float32))
CLOSED = ClosedSpace("closed", ("cat", "dog"), DIALS, NOTHING, NOTHING)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"space": "clip"}, "embedded in the space clip, this worker reads dials"),
    ({"picture_vectors": ()}, "name 1 phrases but carry 0 vectors"),
    ({"text_vectors": (to_wire(np.zeros(DIALS)),) * 2}, "name 1 phrases but carry 2 vectors"),
    ({"picture_vectors": (to_wire(np.zeros(3)),)}, "'dial 0' has 3 dimensions, the space 8"),
], ids=["another space", "no vectors", "too many", "of another size"])  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, object], sentence: str):
    record = rules(rule("x", picture=["dial 0"], text=["words"]))
    with pytest.raises(RulesError, match=sentence):
        compile_rules(record.model_copy(update=changes), stream="s", space=SPACE)


def test_a_classifier_is_asked_for_no_pictures_in_words():
    check_rules(RuleSet(events=(rule("x", text=["words"]),)), CLOSED)
    with pytest.raises(RulesError, match=r"'y' asks for pictures in words.*fixed list"):
        check_rules(RuleSet(events=(rule("x", text=["words"]), rule("y", picture=["a cat"]))), CLOSED)


def test_a_dual_encoder_is_asked_anything():
    check_rules(RuleSet(events=(rule("y", picture=["a cat"]),)), SPACE)


def test_a_classifier_names_scenes_by_its_own_classes_with_or_without_rules():
    frame = np.array([[0.9, 0.1]], np.float32)
    plain = no_rules(CLOSED)
    assert plain.labels == ("cat", "dog")
    spread = plain.distribution(frame)
    assert spread is not None
    np.testing.assert_allclose(spread.sum(axis=1), 1, atol=1e-6)
    assert spread.shape == (1, 3)


def test_without_rules_or_labels_there_is_nothing_to_say():
    plain = no_rules(SPACE)
    frames = np.zeros((2, DIALS), np.float32)
    assert (plain.events, plain.labels, plain.version) == ((), (), "")
    assert plain.distribution(frames) is None
    assert plain.picture_scores(frames).shape == (2, 0)
    assert plain.text_scores(["words"], frames[:1]).shape == (1, 0)


@pytest.mark.parametrize(("pattern", "text", "expected"), [
    ("/goal/", "What a GOAL!", 1.0),
    ("/(?-i)goal/", "What a GOAL!", 0.0),
    (r"/\bgoal\b/", "goalkeeper", 0.0),
    ("/to+r/", "TOOOOR", 1.0),
    ("/tor|but/", "und das Tor", 1.0),
    ("/^and/", "and so\nand", 1.0),
    ("/über/", "ÜBER den Wolken", 1.0),
    ("/(a+)+$/", "a" * 5000 + "b", 0.0),
], ids=["any case", "unless told", "a word", "repeated", "or", "the start", "not ASCII", "linear"])  # fmt: skip
def test_a_pattern_that_matches_counts_one(pattern: str, text: str, expected: float):
    compiled = compile_rules(rules(rule("x", text=[pattern])), stream="s", space=SPACE)
    assert compiled.text_scores([text], np.zeros((1, DIALS), np.float32))[0, 0] == expected


def test_a_pattern_beside_words_lifts_what_they_score():
    """A zero cue is as near to the phrase as to the background: .5."""
    compiled = compile_rules(rules(rule("x", text=["/goal/", "joy"])), stream="s", space=SPACE)
    scores = compiled.text_scores(["a goal", "nothing"], np.zeros((2, DIALS), np.float32))
    np.testing.assert_allclose(scores[:, 0], [1, 0.5])


def test_only_rules_of_the_stream_are_compiled_and_the_first_scenes_that_fit():
    scenes = (SceneRule(streams="b*", labels=("dial 1",)), SceneRule(labels=("dial 2", "dial 3")))
    made = RuleSet(scenes=scenes, events=(rule("all", picture=["dial 0"]), rule("b", streams="b*", picture=["dial 1"])))
    record = RulesFeatures(
        rules=made, space=SPACE.id, picture_vectors=(to_wire(np.zeros(DIALS)),) * len(made.picture_prompts())
    )
    of_a, of_b = (compile_rules(record, stream=s, space=SPACE) for s in ("a1", "b1"))
    assert [e.name for e in of_a.events] == ["all"]
    assert [e.name for e in of_b.events] == ["all", "b"]
    assert (of_a.labels, of_b.labels) == (("dial 2", "dial 3"), ("dial 1",))


def test_a_version_is_the_content_whenever_it_came():
    one = rules(rule("x", picture=["dial 0"]))
    assert version_of(one) == version_of(one.model_copy(update={"at_ms": 5}))
    assert version_of(one) != version_of(rules(rule("x", picture=["dial 1"])))


@pytest.mark.parametrize(("event", "expected"), [
    (rule("x", picture=["dial 0"]), False),
    (rule("x", picture=["dial 0"], picture_calibration=FITTED), True),
    (rule("x", text=["words"], text_calibration=FITTED), True),
    (rule("x", text=["words"]), False),
    (rule("x", text=["/goal/"]), True),
    (rule("x", picture=["dial 0"], text=["words"], picture_calibration=FITTED), False),
    (rule("x", picture=["dial 0"], text=["/goal/"], picture_calibration=FITTED), True),
], ids=["picture, not fitted", "picture, fitted", "text, fitted", "text, not fitted", "an exact match needs none",
        "one of two sides", "both"])  # fmt: skip
def test_calibrated_says_whether_every_score_was_fitted(event, expected: bool):
    assert compile_rules(rules(event), stream="s", space=SPACE).calibrated == (expected,)
