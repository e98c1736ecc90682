"""A rule set compiled against a space: matrices ready to be multiplied, patterns ready to be searched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import re2

from framecue.analysis.scores import Floats, sigmoid
from framecue.analysis.spaces import Array, Pairing, Space, from_wire
from framecue.errors import RulesError
from framecue.schemas.codec import pack
from framecue.schemas.features import RulesFeatures
from framecue.schemas.rules import Calibration, EventRule, RuleSet, as_regex, identity


def version_of(record: RulesFeatures) -> str:
    """A rules record is its content, whenever it came: 16 hex digits."""
    return hashlib.sha256(pack(record.model_copy(update={"at_ms": None}))).hexdigest()[:16]


def check_rules(rules: RuleSet, space: Space) -> None:
    """Raises RulesError where this model cannot do what the rules ask."""
    if space.closed_labels is None:
        return
    for rule in rules.events:
        if rule.picture:
            raise RulesError(
                f"the event {rule.name!r} asks for pictures in words, but this model is a classifier with a fixed list "
                "of classes; use a dual encoder (the preset `default`, CLIP, SigLIP) or text: alone"
            )


@dataclass(frozen=True)
class PromptScorer:
    """Scores of one pair kind for all rules at once: one product with the prompts, two with averaging matrices.

    `matrix` (K, E) holds the background, then the prompts. `positive` and `rest` (K, rules) average its columns into
    each rule's phrases and into everything else. `owners` are the rules that have phrases on this side.
    """

    scale: float
    matrix: Array
    owners: tuple[int, ...]
    positive: Floats
    rest: Floats
    a: Floats
    b: Floats

    def scores(self, similarities: Array) -> Floats:
        """(N, K) similarities give (N, owners) probabilities: `scores.margin`, then `scores.probability`."""
        scaled = self.scale * similarities.astype(np.float64)
        e = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        tiny = np.finfo(np.float64).tiny
        margins = np.log(np.maximum(e @ self.positive, tiny)) - np.log(np.maximum(e @ self.rest, tiny))
        return sigmoid(self.a * margins + self.b)


@dataclass(frozen=True)
class CompiledRules:
    """What one stream is judged by, as of one rules record."""

    version: str
    space: Space
    events: tuple[EventRule, ...]
    identities: tuple[str, ...]
    labels: tuple[str, ...]
    label_vectors: Array
    pictures: PromptScorer | None
    texts: PromptScorer | None
    patterns: tuple[tuple[Any, ...], ...]
    calibrated: tuple[bool, ...]

    @cached_property
    def reaches(self) -> tuple[int | None, ...]:
        """For each rule, how far from a window words count, ms; 0 wants an overlap, None reads no words."""
        return tuple(
            None if not r.text else r.tolerance_ms if r.combine in ("both", "weighted") else 0 for r in self.events
        )

    @cached_property
    def reach_ms(self) -> int:
        """How far beyond a window any rule looks for words."""
        return max((reach for reach in self.reaches if reach is not None), default=0)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each rule stands, by identity."""
        return {identity: i for i, identity in enumerate(self.identities)}

    def picture_scores(self, vectors: Array) -> Floats:
        """(N, D) frame vectors give (N, rules); columns of rules without picture phrases are 0."""
        out = np.zeros((vectors.shape[0], len(self.events)))
        if self.pictures is not None and len(vectors):
            similarities = self.space.similarity(vectors, self.pictures.matrix)
            out[:, self.pictures.owners] = self.pictures.scores(similarities)
        return out

    def text_scores(self, texts: Sequence[str], vectors: Array) -> Floats:
        """N cues, as text and as (N, E) vectors, give (N, rules); a pattern that matches counts 1."""
        out = np.zeros((len(texts), len(self.events)))
        if self.texts is not None and len(texts):
            similarities = self.space.text_similarity(vectors, self.texts.matrix)
            out[:, self.texts.owners] = self.texts.scores(similarities)
        for rule, patterns in enumerate(self.patterns):
            for pattern in patterns:
                for row, text in enumerate(texts):
                    if pattern.search(text):
                        out[row, rule] = 1.0
        return out

    def distribution(self, vectors: Array) -> Floats | None:
        """(N, D) frame vectors give (N, labels + 1), the last being `unknown`; None without labels."""
        if not self.labels or not len(vectors):
            return None
        return self.space.distribution(vectors, self.label_vectors).astype(np.float64)


def no_rules(space: Space) -> CompiledRules:
    """What is in force before the first rules record: a classifier's own classes, else nothing."""
    return compile_rules(RulesFeatures(rules=RuleSet(), space=space.id), stream="-", space=space, version="")


def compile_rules(record: RulesFeatures, *, stream: str, space: Space, version: str | None = None) -> CompiledRules:
    """`record` as it concerns one stream. Raises RulesError where vectors are missing or of another space."""
    if record.space != space.id:
        raise RulesError(f"the rules were embedded in the space {record.space}, this worker reads {space.id}")
    rules = record.rules.of_stream(stream)
    picture = _vectors(record.rules.picture_prompts(), record.picture_vectors, space.text_dims)
    text = _vectors(record.rules.text_prompts(), record.text_vectors, space.text_dims)
    labels = space.closed_labels or (rules.scenes[0].labels if rules.scenes else ())
    label_vectors = _stack([picture[label] for label in labels] if space.closed_labels is None else [], space.text_dims)
    words = [tuple(p for p in rule.text if as_regex(p) is None) for rule in rules.events]
    pictures = _scorer(space.picture, picture, [r.picture for r in rules.events], rules.events, "picture_calibration")
    texts = _scorer(space.text, text, words, rules.events, "text_calibration")
    return CompiledRules(
        version=version_of(record) if version is None else version,
        space=space,
        events=rules.events,
        identities=tuple(identity(r) for r in rules.events),
        labels=tuple(labels),
        label_vectors=label_vectors,
        pictures=pictures,
        texts=texts,
        patterns=tuple(tuple(_pattern(p) for p in rule.text if as_regex(p) is not None) for rule in rules.events),
        calibrated=tuple(_calibrated(rule, space) for rule in rules.events),
    )


def _pattern(phrase: str) -> Any:
    """A phrase in slashes, compiled; case is ignored, for captions often shout (`(?-i)` brings it back)."""
    return re2.compile(f"(?i){as_regex(phrase)}")


def _calibrated(rule: EventRule, space: Space) -> bool:
    """Whether every score that this rule reads was fitted on something."""
    picture = rule.picture_calibration or space.picture.calibration
    text = rule.text_calibration or space.text.calibration
    words = any(as_regex(p) is None for p in rule.text)
    return not (rule.picture and picture is None) and not (words and text is None)


def _vectors(prompts: Sequence[str], vectors: Sequence[bytes], dims: int) -> dict[str, Array]:
    if len(prompts) != len(vectors):
        raise RulesError(f"the rules name {len(prompts)} phrases but carry {len(vectors)} vectors")
    found = {prompt: from_wire(vector) for prompt, vector in zip(prompts, vectors, strict=True)}
    for prompt, vector in found.items():
        if vector.shape != (dims,):
            raise RulesError(f"the vector of {prompt!r} has {vector.size} dimensions, the space {dims}")
    return found


def _stack(vectors: Sequence[Array], dims: int) -> Array:
    return np.stack(vectors) if vectors else np.zeros((0, dims), np.float32)


def _scorer(
    pairing: Pairing,
    vectors: dict[str, Array],
    phrases: Sequence[Sequence[str]],
    events: Sequence[EventRule],
    own: Literal["picture_calibration", "text_calibration"],
) -> PromptScorer | None:
    """The scorer of the rules that have phrases on this side; None when none has."""
    owners = [i for i, words in enumerate(phrases) if words]
    if not owners:
        return None
    used = list(dict.fromkeys(p for i in owners for p in (*phrases[i], *events[i].negatives)))
    background = pairing.background.shape[0]
    row = {p: background + n for n, p in enumerate(used)}
    positive, rest = np.zeros((2, background + len(used), len(owners)))
    for column, i in enumerate(owners):
        positive[[row[p] for p in phrases[i]], column] = 1 / len(phrases[i])
        others = [*range(background), *(row[p] for p in events[i].negatives)]
        rest[others, column] = 1 / len(others)
    pairs = [getattr(events[i], own) or pairing.calibration or Calibration(a=1, b=0) for i in owners]
    return PromptScorer(
        scale=pairing.scale,
        matrix=np.concatenate([pairing.background, np.stack([vectors[p] for p in used])]).astype(np.float64),
        owners=tuple(owners),
        positive=positive,
        rest=rest,
        a=np.array([c.a for c in pairs]),
        b=np.array([c.b for c in pairs]),
    )
