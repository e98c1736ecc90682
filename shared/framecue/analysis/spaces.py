"""Spaces: how vectors of frames, cues and prompts are compared. Pure NumPy; models build them, the fold reads them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from framecue.errors import RulesError
from framecue.schemas.rules import Calibration

Array: TypeAlias = npt.NDArray[np.floating]
"""Vectors, one a row: fp32 from a model, fp64 where something is computed with often."""
Doubles: TypeAlias = npt.NDArray[np.float64]

SEEN_FROM = 0.05
"""`explain` names nothing that has less weight than this."""
AVERAGING_TEMPERATURE = 2.0
"""Softness of the average over class vectors: the best of 1 to 4 for finding one picture among 40 by its caption."""
GROUNDED_FROM = (0.25, 0.5)
"""Cosine to the nearest class at which a prompt begins to count, and counts in full: gibberish lies at .2 to .4,
things and places lie above .5, most actions between."""


@dataclass(frozen=True)
class Pairing:
    """How one kind of pair (frame and prompt, or cue and prompt) becomes a score.

    `scale` multiplies the similarity; `background` holds the vectors (B, E) that stand for "anything else";
    `calibration` is fitted at equal priors, None where nobody fitted one.
    """

    scale: float
    background: Array
    calibration: Calibration | None = None


class Space(Protocol):
    """Where vectors of one model live. Vectors of different spaces are never compared. Pure: same input, same output.

    `id` changes whenever anything that changes a score does. `closed_labels` are a classifier's own classes: then
    `distribution` ignores its labels and answers over those, and there are no picture prompts.
    """

    @property
    def id(self) -> str: ...
    @property
    def image_dims(self) -> int: ...
    @property
    def text_dims(self) -> int: ...
    @property
    def picture(self) -> Pairing: ...
    @property
    def text(self) -> Pairing: ...
    @property
    def closed_labels(self) -> tuple[str, ...] | None: ...

    def similarity(self, images: Array, texts: Array) -> Array:
        """(N, D) frame vectors and (M, E) prompt vectors give (N, M) similarities in [-1, 1]."""
        ...

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        """(N, E) cue vectors and (M, E) prompt vectors give (N, M) similarities in [-1, 1]."""
        ...

    def distribution(self, images: Array, labels: Array) -> Array:
        """(N, D) frame vectors and (L, E) label vectors give (N, L + 1) rows that sum to 1; the last is `unknown`."""
        ...

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        """What the frame (D,) was recognised through, best first with weights in [0, 1]; empty where nobody can say."""
        ...


def to_wire(vector: Array) -> bytes:
    """A vector as the log holds it: little-endian fp16."""
    return np.asarray(vector, dtype="<f2").tobytes()


def from_wire(data: bytes) -> Array:
    """The fp32 vector that `to_wire` wrote, after its rounding to fp16."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)


@dataclass(frozen=True, eq=False)
class ConseSpace:
    """A classifier composed with a sentence encoder: pictures stand where the names of their classes stand.

    ConSE (Norouzi et al. 2014) over all classes, centred: a frame's vector (E + C numbers) is `conse_vectors`. A frame
    in which nothing can be seen is zero: it is like no prompt, and `unknown`. Prompt and label vectors come centred
    from the model (`conse_prompts`), no longer than 1; cue vectors are the sentence encoder's own.

    Labels share out each class's vote by softmax(cosine / `vote_temperature`) together with `unknown`, which stands
    at `unknown_cosine`.
    """

    id: str
    names: tuple[str, ...]
    classes: Array
    picture: Pairing
    text: Pairing
    unknown_cosine: float
    vote_temperature: float = 0.05
    closed_labels: None = None
    _votes: _Remembered = field(default_factory=lambda: _Remembered(), init=False, repr=False)

    @property
    def image_dims(self) -> int:
        return sum(self.classes.shape)

    @property
    def text_dims(self) -> int:
        return int(self.classes.shape[1])

    def similarity(self, images: Array, texts: Array) -> Array:
        return _cosines(images[:, : self.text_dims], texts)

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        return _cosines(cues, texts)

    def distribution(self, images: Array, labels: Array) -> Array:
        votes = self._votes.get(labels, self._shares)
        shares = images[:, self.text_dims :].astype(np.float64)
        total = shares.sum(axis=1, keepdims=True)
        rows = shares / np.where(total > 0, total, 1) @ votes
        rows[:, -1] += total[:, 0] == 0
        return rows.astype(np.float32)

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        return _leading(self.names, image[self.text_dims :], top)

    @cached_property
    def _directions(self) -> Doubles:
        return conse_directions(self.classes, self.classes)

    def _shares(self, labels: Array) -> Doubles:
        """(L, E) give (C, L + 1): how each class divides its vote over the labels and `unknown`."""
        cosines = self._directions @ labels.astype(np.float64).T
        unknown = np.full((len(cosines), 1), self.unknown_cosine)
        return _softmax(np.hstack([cosines, unknown]) / self.vote_temperature)


def conse_directions(texts: Array, classes: Array) -> Doubles:
    """(M, E) sentence vectors as (M, E) unit directions from the middle of the class vectors (C, E)."""
    return _unit(texts.astype(np.float64) - classes.astype(np.float64).mean(axis=0))


def conse_prompts(texts: Array, classes: Array) -> Array:
    """(M, E) sentence vectors as (M, E) prompt vectors: directions, shorter where no class is near.

    What is near no class (gibberish, most actions) is nothing the classifier can speak for: its margin goes to 0.
    """
    directions = conse_directions(texts, classes)
    nearest = (directions @ conse_directions(classes, classes).T).max(axis=1, keepdims=True)
    low, high = GROUNDED_FROM
    weights: Doubles = np.clip((nearest - low) / (high - low), 0, 1)
    return (directions * weights).astype(np.float32)


def conse_anchors(classes: Array, background: Array) -> Doubles:
    """(C, E) class vectors and (B, E) background as (C, E) anchors, which a frame's vector is the average of.

    Centred, and blind to the mean direction of the background: otherwise a frame that looks like everything outranks
    the one that is meant.
    """
    centred = classes.astype(np.float64) - classes.astype(np.float64).mean(axis=0)
    blind = _unit(background.astype(np.float64).mean(axis=0, keepdims=True))
    anchors: Doubles = centred - centred @ blind.T * blind
    return anchors


def conse_vectors(logits: Array, anchors: Doubles) -> Array:
    """(N, C) logits as (N, E + C) frame vectors: where the softened probabilities put the frame between the anchors
    (C, E), of unit length, then the probabilities themselves.
    """
    doubles = logits.astype(np.float64)
    average = _softmax(doubles / AVERAGING_TEMPERATURE) @ anchors
    return np.hstack([_unit(average), _softmax(doubles)]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DualSpace:
    """Pictures and texts in one space, by a dual encoder (CLIP, SigLIP and what follows): cosine between unit vectors.

    Scenes: softmax over `picture.scale` * cosine of the labels, and of `unknown`, which takes the mean odds of the
    background (each as likely a priori as a label); `unknown_offset` is added to its logit: more says `unknown` more
    often. A frame in which nothing can be seen is zero, and `unknown`.
    """

    id: str
    dims: int
    picture: Pairing
    text: Pairing
    unknown_offset: float = 0.0
    closed_labels: None = None

    @property
    def image_dims(self) -> int:
        return self.dims

    @property
    def text_dims(self) -> int:
        return self.dims

    def similarity(self, images: Array, texts: Array) -> Array:
        return _cosines(images, texts)

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        return _cosines(cues, texts)

    def distribution(self, images: Array, labels: Array) -> Array:
        labelled = self.picture.scale * _cosines(images, labels).astype(np.float64)
        others = self.picture.scale * _cosines(images, self.picture.background).astype(np.float64)
        top = others.max(axis=1, keepdims=True)
        unknown = top + np.log(np.exp(others - top).mean(axis=1, keepdims=True)) + self.unknown_offset
        rows = _softmax(np.hstack([labelled, unknown]))
        rows[~images.any(axis=1)] = [0.0] * len(labels) + [1.0]
        return rows.astype(np.float32)

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        return ()


@dataclass(frozen=True, eq=False)
class ClosedSpace:
    """An image classifier with its own classes: a frame's vector is its probabilities (C,); zero where nothing is seen.

    `unknown` stands against the classes with the weight `unknown_share`: a class is named when it is likelier than
    that. Text is compared by a sentence encoder of `text_dims`.
    """

    id: str
    closed_labels: tuple[str, ...]
    text_dims: int
    picture: Pairing
    text: Pairing
    unknown_share: float = 0.5

    @property
    def image_dims(self) -> int:
        return len(self.closed_labels)

    def similarity(self, images: Array, texts: Array) -> Array:
        """Raises RulesError: a classifier knows no prompts."""
        raise RulesError("a classifier compares no pictures with words; use a dual encoder or the preset `default`")

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        return _cosines(cues, texts)

    def distribution(self, images: Array, labels: Array) -> Array:
        unknown = np.full((len(images), 1), self.unknown_share)
        odds = np.hstack([images.astype(np.float64), unknown])
        rows: Doubles = odds / odds.sum(axis=1, keepdims=True)
        return rows.astype(np.float32)

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        return _leading(self.closed_labels, image, top)


class _Remembered:
    """The last few results of a pure function of an array, found again by its bytes."""

    def __init__(self, size: int = 64) -> None:
        self._found: OrderedDict[tuple[int, bytes], Doubles] = OrderedDict()
        self._size = size

    def get(self, array: Array, make: Callable[[Array], Doubles]) -> Doubles:
        key = (len(array), array.tobytes())
        if key not in self._found:
            self._found[key] = make(array)
            if len(self._found) > self._size:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]


def _cosines(a: Array, b: Array) -> Array:
    """(N, E) and (M, E) vectors no longer than 1 give (N, M); in fp64, so that batching moves no published decimal."""
    doubles = (np.asarray(v, dtype=np.float64) for v in (a, b))
    cosines: Array = np.clip(np.inner(*doubles), -1, 1).astype(np.float32)
    return cosines


def _unit(rows: Doubles) -> Doubles:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _softmax(logits: Doubles) -> Doubles:
    odds: Doubles = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Doubles = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _leading(names: Sequence[str], weights: Array, top: int) -> list[tuple[str, float]]:
    best = np.argpartition(-weights, min(top, len(weights) - 1))[:top]
    ranked = sorted(best.tolist(), key=lambda i: (-weights[i], i))
    return [(names[i], float(weights[i])) for i in ranked if weights[i] >= SEEN_FROM]
