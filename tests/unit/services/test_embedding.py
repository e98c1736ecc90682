"""Embed: media records into features records, whatever a model fails on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from framecue.analysis.spaces import Array, from_wire
from framecue.errors import ModelError
from framecue.models.protocols import Model, Picture
from framecue.schemas.features import (
    GRID_HEIGHT,
    GRID_WIDTH,
    Features,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
    TickFeatures,
)
from framecue.schemas.media import Media, RulesMedia, Tick
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CUES_MAX
from framecue_services.fusion.embedding import Embedder, Source, asked
from tests.support.encoders import COLOURS, ColourEncoder, WordEncoder, light_model
from tests.support.films import cue, segment, text


def embed(*media: Media, model: Model | None = None) -> list[tuple[Features, ...]]:
    return Embedder(model or light_model()).embed([Source(0, 100 + i, m) for i, m in enumerate(media)])


def one(media: Media, model: Model | None = None) -> Features:
    ((features,),) = embed(media, model=model)
    return features


def top_colour(vector: bytes) -> str:
    return COLOURS[int(from_wire(vector).argmax())]


def test_a_segment_keeps_its_facts_and_gains_vectors() -> None:
    media = segment(3, ["red", "blue"], cues=[cue(6000, 7000, "a red car")])
    features = one(media)
    assert isinstance(features, SegmentFeatures)
    assert (features.stream, features.seq, features.first, features.digest) == ("cam1", 3, media.first, media.digest)
    assert (features.space, features.media_partition, features.media_offset) == ("light-1", 0, 100)
    assert [(f.at, f.cell, f.index, top_colour(f.vector)) for f in features.frames] == [
        (6, 12, 0, "red"),
        (7, 14, 1, "blue"),
    ]
    assert [len(f.grid) for f in features.frames] == [GRID_HEIGHT * GRID_WIDTH] * 2
    assert [(c.text, top_colour(c.vector)) for c in features.cues] == [("a red car", "red")]
    assert features.model_error is None


def test_ticks_pass_as_they_are() -> None:
    tick = Tick(topic="segments", partition=1, caught_up=True, at_ms=5)
    assert one(tick) == TickFeatures(topic="segments", partition=1, caught_up=True, at_ms=5)


def test_rules_gain_a_vector_for_each_prompt() -> None:
    rules = RuleSet(
        scenes=(SceneRule(labels=("red", "blue")),),
        events=(EventRule(name="goal", picture=("green",), text=("goal", "/go+l/"), combine="both"),),
    )
    features = one(RulesMedia(rules=rules))
    assert isinstance(features, RulesFeatures)
    assert [top_colour(v) for v in features.picture_vectors] == ["red", "blue", "green"]
    assert len(features.text_vectors) == 1  # a regular expression has no meaning to compare


def test_one_forward_sees_the_frames_of_all_streams_and_each_text_once() -> None:
    counted = Counting()
    model = replace(light_model(), images=counted, texts=counted.words)
    media = [segment(0, ["red", "red"], stream=s, cues=[cue(0, 1, "hello")]) for s in ("a", "b", "c")]
    embedder = Embedder(model)
    embedder.embed([Source(0, i, m) for i, m in enumerate(media)])
    embedder.embed([Source(0, 9, text(cue(0, 1, "hello"), cue(1, 2, "again")))])
    assert (counted.batches, counted.words.batches) == ([6], [["hello"], ["again"]])


def test_long_texts_are_not_remembered() -> None:
    counted = Counting()
    embedder = Embedder(replace(light_model(), texts=counted.words))
    for _ in range(2):
        embedder.embed([Source(0, 0, text(cue(0, 1, "x" * 501), cue(1, 2, "short")))])
    assert counted.words.batches == [["x" * 501, "short"], ["x" * 501]]


@dataclass
class CountingWords(WordEncoder):
    batches: list[list[str]] = field(default_factory=list)

    def embed(self, texts: Sequence[str]) -> Array:
        self.batches.append(list(texts))
        return super().embed(texts)


@dataclass
class Counting(ColourEncoder):
    batches: list[int] = field(default_factory=list)
    words: CountingWords = field(default_factory=CountingWords)

    def embed(self, frames: Sequence[Picture]) -> Array:
        self.batches.append(len(frames))
        return super().embed(frames)


class Failing(ColourEncoder):
    """Cannot take a batch that holds a picture of `colour`."""

    def __init__(self, colour: str) -> None:
        self.colour = colour

    def embed(self, frames: Sequence[Picture]) -> Array:
        rows = super().embed(frames)
        if any(COLOURS[int(row.argmax())] == self.colour for row in rows):
            raise ModelError("the device gave up")
        return rows


def test_a_model_error_costs_one_frame_and_not_its_neighbours() -> None:
    streams = [segment(0, ["red", "blue"], stream=f"cam{i}") for i in range(63)]
    bad = segment(0, ["red", "magenta"], stream="bad")
    given = embed(*streams, bad, model=replace(light_model(), images=Failing("magenta")))
    features = [f for (f,) in given if isinstance(f, SegmentFeatures)]
    assert [f.stream for f in features if f.model_error] == ["bad"]
    assert all(frame.vector for f in features if f.stream != "bad" for frame in f.frames)
    hurt = features[-1]
    assert [bool(f.vector) for f in hurt.frames] == [True, False]
    assert [bool(f.grid) for f in hurt.frames] == [True, True]  # black and frozen are still seen
    assert hurt.model_error == "the device gave up"


@pytest.mark.parametrize("size", [2, 15, 16, 64, 100, 128])
def test_a_failure_costs_less_than_a_good_batch_beside_it(size: int) -> None:
    """Counted in items, of which a failing call costs as many as a good one; below 16, as much as a good batch."""
    worst = 0
    for bad in range(size):
        calls = []

        def embed_all_but_one(items: Sequence[int], bad: int = bad, calls: list[int] = calls) -> Array:
            calls.append(len(items))
            if bad in items:
                raise ModelError("not this one")
            return np.ones((len(items), 2), np.float32)

        rows = asked(embed_all_but_one, list(range(size)))
        assert [i for i, row in enumerate(rows) if isinstance(row, str)] == [bad]
        worst = max(worst, sum(calls))
    assert worst < 2 * size if size >= 16 else worst <= 2 * size + 2


def test_a_good_batch_costs_itself() -> None:
    calls: list[int] = []
    asked(lambda items: calls.append(len(items)) or np.ones((len(items), 2), np.float32), list(range(64)))
    assert calls == [32, 32]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda n: np.full((n, 2), np.nan, np.float32), "not finite"),
        (lambda n: np.full((n, 2), 1e6, np.float32), "not finite"),  # beyond fp16
        (lambda n: np.ones((n + 1, 2), np.float32), "2 vectors for 1 inputs"),
    ],
)
def test_a_vector_that_the_log_cannot_hold_is_a_failure(answer: Callable[[int], Array], reason: str) -> None:
    (row,) = asked(lambda items: answer(len(items)), ["x"])
    assert isinstance(row, str)
    assert reason in row


class Mute(WordEncoder):
    def embed(self, texts: Sequence[str]) -> Array:
        if any("secret" in t for t in texts):
            raise ModelError("cannot read this")
        return super().embed(texts)


def test_a_cue_that_the_model_cannot_take_keeps_its_words() -> None:
    model = replace(light_model(), texts=Mute())
    features = one(text(cue(0, 1, "fine"), cue(1, 2, "a secret")), model)
    assert isinstance(features, TextFeatures)
    assert [(c.text, bool(c.vector)) for c in features.cues] == [("fine", True), ("a secret", False)]
    assert features.model_error == "cannot read this"


def test_rules_hold_whole_or_not_at_all() -> None:
    rules = RuleSet(events=(EventRule(name="x", text=("a secret",)),))
    with pytest.raises(ModelError, match="the prompt 'a secret' cannot be embedded"):
        embed(RulesMedia(rules=rules), model=replace(light_model(), texts=Mute()))


def test_a_picture_that_cannot_be_read_is_left_out() -> None:
    media = segment(0, ["red", "blue"])
    torn = media.frames[0].model_copy(update={"jpeg": media.frames[0].jpeg[:20]})
    features = one(media.model_copy(update={"frames": (torn, media.frames[1])}))
    assert isinstance(features, SegmentFeatures)
    assert [(f.index, top_colour(f.vector)) for f in features.frames] == [(1, "blue")]
    assert "cannot be read" in (features.model_error or "")


def test_a_long_document_becomes_several_records() -> None:
    cues = [cue(1000 * i, 1000 * i + 500, f"line {i}") for i in range(CUES_MAX + 1)]
    media = text(*cues).model_copy(update={"warnings": ("odd",)})
    (parts,) = embed(media)
    assert [len(p.cues) for p in parts if isinstance(p, TextFeatures)] == [CUES_MAX, 1]
    assert [p.warnings for p in parts if isinstance(p, TextFeatures)] == [("odd",), ()]
