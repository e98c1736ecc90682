"""Fits what a model's scores mean, from captioned pictures: `python -m framecue.models.calibrating PICTURES_DIR`.

The folder holds pictures and `captions.tsv` (columns `image`, `caption`; several rows a picture). One half of the
pictures (by a hash of the file name) is fitted on, the other measured on; what is recorded are figures only. Three
things are fitted, all at equal priors: Platt's (a, b) for picture and prompt, the same for cue and phrase, and where
`unknown` stands among scene labels. It must not know how vectors are made.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.analysis.scores import Floats, margin, probability
from framecue.analysis.spaces import Array, ConseSpace, DualSpace, Space, from_wire, to_wire
from framecue.clock import SystemClock
from framecue.errors import SetupError
from framecue.models.loading import find_record, load_model
from framecue.models.lock import PRESETS, Fit, Lock, LockedModel, PairRecord, UnknownRecord, read_lock, write_lock
from framecue.models.protocols import Model
from framecue.schemas.rules import Calibration
from framecue.timeline import rfc3339

Flags = npt.NDArray[np.bool_]

LEAST_POSITIVES = 8
CAPTIONS_THAT_AGREE = 2
"""A word is true of a picture when this many of its (usually five) captions have it."""

PROMPTS: dict[str, str] = {
    "a dog": "dogs?|puppy|puppies",
    "water": "water",
    "a beach": "beach",
    "a street": "streets?|roads?|sidewalk",
    "a bicycle": "bikes?|bicycles?|bicyclists?|bikers?|cyclists?",
    "a child": "child|children|kids?|toddler",
    "a boy": "boys?",
    "a girl": "girls?",
    "a man": "man|men",
    "a woman": "woman|women|lady|ladies",
    "people": "people",
    "a group of people": "group|crowd",
    "green grass": "grass|grassy",
    "a field": "fields?",
    "a ball": "balls?",
    "a swimming pool": "pool",
    "rocks": "rocks?|rocky|cliff",
    "climbing a rock": "climbs?|climbing|climbers?",
    "a boat": "boats?|kayak|kayaker|canoe|raft",
    "a lake": "lake",
    "a river": "rivers?|stream|creek",
    "the ocean": "ocean|sea|surf|surfers?|surfing|waves?",
    "a mountain": "mountains?|mountainside|hills?",
    "snow": "snow|snowy|ski|skis|skiers?|skiing|snowboard|snowboarders?",
    "a car": "cars?|truck|van",
    "a hat": "hats?|cap|helmet",
    "a ball game": "soccer|football|basketball|baseball|tennis|volleyball",
    "running": "runs?|running",
    "jumping": "jumps?|jumping",
    "sitting": "sits?|sitting",
    "riding": "rides?|riding",
    "trees": "trees?|forest|woods|wooded",
    "a camera": "cameras?|photos?|photograph|photographer|pictures?",
    "a person swimming": "swims?|swimming|swimmers?",
    "a playground": "playground|swings?|slide",
}
"""What pictures are asked for, and the words that make it true; written before any score was seen. Prompts with fewer
than `LEAST_POSITIVES` positives in the pictures given are left out."""

_SCALES = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_SPARE_NATS = 0.01
"""What a sharper scale of texts may cost: the sharper, the more a rule's `not:` weighs against the background."""
_UNKNOWN_STEPS = 31
_LABELS_A_TRIAL = 8
_TRIALS_A_PICTURE = 8
_BINS = 10


@dataclass(frozen=True)
class Captioned:
    """Pictures by file name, with their captions; `fitted` says which half each belongs to."""

    paths: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    fitted: Flags


@dataclass(frozen=True)
class Pairs:
    """Similarities of pairs (N,) and of their left side with the background (N, B), and which pairs belong together."""

    similarities: Floats
    background: Floats
    true: Flags

    def margins(self, scale: float) -> Floats:
        return margin(scale * self.similarities[:, None], scale * self.background)

    def of(self, which: Flags) -> Pairs:
        return Pairs(self.similarities[which], self.background[which], self.true[which])


@dataclass(frozen=True)
class Trial:
    """Open set: a picture's row, columns of labels of which the last is true where `there`, else none is."""

    picture: int
    labels: tuple[int, ...]
    there: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the record it wrote."""
    parser = argparse.ArgumentParser(prog="python -m framecue.models.calibrating", description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder with pictures and captions.tsv")
    parser.add_argument("--model", default="default", help="a preset, or a folder or id that the lock holds")
    parser.add_argument("--lock", type=Path, help="models.lock to write to; without it, the preset's own record")
    parser.add_argument("--data", default="", help="how the record describes the pictures")
    given = parser.parse_args(arguments)
    if given.lock is None and given.model not in PRESETS:
        parser.error("--lock is needed for a model that is no preset")
    record = calibrated(
        find_record(given.model, lock=given.lock),
        load_model(given.model, lock=given.lock, deterministic=True),
        read_captioned(given.pictures),
        data=given.data or given.pictures.name,
        today=rfc3339(SystemClock().now_ms())[:10],
    )
    if given.lock is None:
        path = Path(__file__).parent / "presets" / f"{record.name}.json"
        path.write_text(record.model_dump_json(indent=2, exclude_none=True) + "\n")
    else:
        write_lock(given.lock, Lock(models={**read_lock(given.lock).models, given.model: record}))
    sys.stdout.write(record.model_dump_json(indent=2, exclude={"files"}, exclude_none=True) + "\n")
    return 0


def read_captioned(folder: Path) -> Captioned:
    """The pictures of a folder with their captions; raises SetupError where there is no `captions.tsv`."""
    listing = folder / "captions.tsv"
    if not listing.is_file():
        raise SetupError(f"{folder} holds no captions.tsv (columns image and caption)")
    captions: dict[str, list[str]] = {}
    with listing.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            captions.setdefault(row["image"], []).append(row["caption"])
    names = sorted(captions)
    fitted = np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 0 for name in names])
    return Captioned(tuple(folder / n for n in names), tuple(tuple(captions[n]) for n in names), fitted)


def calibrated(record: LockedModel, model: Model, pictures: Captioned, *, data: str, today: str) -> LockedModel:
    """`record` with everything fitted anew; `data` and `today` (ISO) go into the record."""
    vectors = picture_vectors(model, pictures)
    truth = {p: mentioned(pictures, words) for p, words in PROMPTS.items()}
    truth = {p: t for p, t in truth.items() if (t >= CAPTIONS_THAT_AGREE).sum() >= LEAST_POSITIVES}
    prompts = as_logged(model.texts.embed_prompts(list(truth)))
    said = np.stack(list(truth.values()), axis=1)
    text = _fitted_pairs(text_pairs(model, pictures), _SCALES, spare=_SPARE_NATS, data=data, today=today)
    picture: PairRecord = record.picture
    if model.space.closed_labels is None:
        pairs, halves = picture_pairs(model.space, vectors, prompts, said, pictures.fitted)
        scales = (model.space.picture.scale,) if isinstance(model.space, DualSpace) else _SCALES
        picture = _fitted_pairs((pairs.of(halves), pairs.of(~halves)), scales, spare=0, data=data, today=today)
        if picture.fit is not None and picture.scale is not None:
            by_prompt = prompt_aucs(model.space, vectors, prompts, said, scale=picture.scale)
            fit = picture.fit.model_copy(update={"mean_prompt_auc": round(float(np.mean(by_prompt)), 4)})
            picture = picture.model_copy(update={"fit": fit})
    unknown = _fitted_unknown(model.space, vectors, prompts, said, pictures.fitted) or record.unknown
    return record.model_copy(update={"picture": picture, "text": text, "unknown": unknown})


def picture_vectors(model: Model, pictures: Captioned) -> Array:
    """(N, D) as the log would hold them."""
    frames = (np.asarray(Image.open(path).convert("RGB")) for path in pictures.paths)
    return as_logged(np.concatenate([model.images.embed([frame]) for frame in frames]))


def as_logged(vectors: Array) -> Array:
    """After the log's rounding: what decisions rest on."""
    return np.stack([from_wire(to_wire(v)) for v in vectors])


def mentioned(pictures: Captioned, words: str) -> npt.NDArray[np.int64]:
    """(N,) how many captions of each picture have one of `words`."""
    pattern = re.compile(rf"\b({words})\b", re.IGNORECASE)
    return np.array([sum(bool(pattern.search(c)) for c in group) for group in pictures.captions])


def picture_pairs(
    space: Space, vectors: Array, prompts: Array, said: npt.NDArray[np.int64], fitted: Flags
) -> tuple[Pairs, Flags]:
    """Every picture with every prompt, and which of the pairs are to be fitted on."""
    count = prompts.shape[0]
    background = space.similarity(vectors, space.picture.background).astype(np.float64)
    similarities = space.similarity(vectors, prompts).astype(np.float64)
    pairs = Pairs(similarities.ravel(), np.repeat(background, count, axis=0), (said >= CAPTIONS_THAT_AGREE).ravel())
    return pairs, np.repeat(fitted, count)


def text_pairs(model: Model, pictures: Captioned) -> tuple[Pairs, Pairs]:
    """Two captions of one picture against captions of two different pictures: to fit on, to measure on."""
    grouped = list(zip(pictures.captions, pictures.fitted, strict=True))
    return _text_half(model, [c for c, f in grouped if f]), _text_half(model, [c for c, f in grouped if not f])


def prompt_aucs(
    space: Space, vectors: Array, prompts: Array, said: npt.NDArray[np.int64], *, scale: float
) -> list[float]:
    """For each prompt, how well its margin ranks the pictures that show it before those that do not."""
    background = scale * space.similarity(vectors, space.picture.background).astype(np.float64)
    similarities = scale * space.similarity(vectors, prompts).astype(np.float64)
    margins = [margin(column[:, None], background) for column in similarities.T]
    return [auc(m, t >= CAPTIONS_THAT_AGREE) for m, t in zip(margins, said.T, strict=True)]


def auc(scores: Floats, true: Flags) -> float:
    """Probability that a true one scores above a false one, ties counting half (Mann and Whitney 1947)."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(true.sum())
    negatives = len(values[inverse]) - positives
    return float((ranks[true].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def equal_priors(true: Flags) -> Floats:
    """Weights that sum to 1, half of it on the true ones."""
    weights: Floats = np.where(true, 0.5 / max(true.sum(), 1), 0.5 / max((~true).sum(), 1))
    return weights


def platt(margins: Floats, true: Flags) -> Calibration:
    """The (a, b) that minimise the log loss of sigmoid(a m + b) at equal priors, by Newton's method."""
    design = np.stack([margins, np.ones_like(margins)], axis=1)
    weights, found = equal_priors(true), np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -50, 50)))
        gradient = design.T @ (weights * (p - true))
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found = found - step * min(1.0, 2 / float(np.abs(step).max() + 1e-12))  # a long step may overshoot
        if np.abs(step).max() < 1e-10:
            break
    return Calibration(a=round(float(found[0]), 4), b=round(float(found[1]), 4))


def log_loss(p: Floats, true: Flags) -> float:
    """Mean -log of the probability given to what is true, at equal priors, in nats."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-(equal_priors(true) * np.where(true, np.log(p), np.log(1 - p))).sum())


def brier(p: Floats, true: Flags) -> float:
    """Mean squared error at equal priors; the constant 0.5 has 0.25."""
    return float((equal_priors(true) * (p - true) ** 2).sum())


def calibration_error(p: Floats, true: Flags) -> float:
    """Mean distance between what was said and what was so, over 10 bins of equal mass at equal priors."""
    order = np.argsort(p, kind="stable")
    p, true, weights = p[order], true[order], equal_priors(true)[order]
    bins = np.minimum((np.cumsum(weights) - weights / 2) * _BINS, _BINS - 1).astype(int)
    gaps = np.bincount(bins, weights * (p - true), minlength=_BINS)
    return float(np.abs(gaps).sum())


def _text_half(model: Model, groups: Sequence[tuple[str, ...]]) -> Pairs:
    """Each group's first caption with its others, and with the first captions of as many other groups."""
    vectors = [as_logged(model.texts.embed(group)) for group in groups]
    space = model.space
    left, right, true = [], [], []
    for at, group in enumerate(vectors):
        others = [vectors[(at + step) % len(vectors)][0] for step in range(1, len(group))]
        left += [group[0]] * (2 * (len(group) - 1))
        right += [*group[1:], *others]
        true += [True] * (len(group) - 1) + [False] * len(others)
    cues, phrases = np.stack(left), np.stack(right)
    similarities = [space.text_similarity(c[None], p[None])[0, 0] for c, p in zip(cues, phrases, strict=True)]
    background = space.text_similarity(cues, space.text.background)
    return Pairs(np.array(similarities, np.float64), background.astype(np.float64), np.array(true))


def _fitted_pairs(
    pairs: tuple[Pairs, Pairs], scales: Sequence[float], *, spare: float, data: str, today: str
) -> PairRecord:
    """The sharpest of `scales` that costs at most `spare` nats on the fitting half, its Platt pair, their worth."""
    fitting, measuring = pairs

    def loss(scale: float) -> float:
        margins = fitting.margins(scale)
        return log_loss(probability(margins, platt(margins, fitting.true)), fitting.true)

    losses = {scale: loss(scale) for scale in scales}
    scale = max(scale for scale in scales if losses[scale] <= min(losses.values()) + spare)
    calibration = platt(fitting.margins(scale), fitting.true)
    margins = measuring.margins(scale)
    p = probability(margins, calibration)
    fit = Fit(
        on=today,
        data=data,
        pairs_fitted=len(fitting.true),
        pairs_measured=len(measuring.true),
        auc=round(auc(margins, measuring.true), 4),
        calibration_error=round(calibration_error(p, measuring.true), 4),
        brier=round(brier(p, measuring.true), 4),
    )
    return PairRecord(scale=scale, calibration=calibration, fit=fit)


def _fitted_unknown(
    space: Space, vectors: Array, prompts: Array, said: npt.NDArray[np.int64], fitted: Flags
) -> UnknownRecord | None:
    """Where `unknown` stands, by the least log loss on the fitting half; None for a classifier's own classes."""
    moved, values = _unknown_grid(space)
    if moved is None:
        return None
    fitting, measuring = (open_set_trials(said, half) for half in (fitted, ~fitted))
    value = min(values, key=lambda v: _open_set(moved(v), vectors, prompts, fitting)[0])
    _, named, precision = _open_set(moved(value), vectors, prompts, measuring)
    return UnknownRecord(
        value=round(float(value), 4),
        criterion=f"least log loss over trials of {_LABELS_A_TRIAL} labels, the true one left out of every second",
        named=round(named, 4),
        precision=round(precision, 4),
    )


def _unknown_grid(space: Space) -> tuple[Callable[[float], Space] | None, Sequence[float]]:
    """How to move `unknown` in this kind of space, and the values to try."""
    if isinstance(space, ConseSpace):
        return lambda v: replace(space, unknown_cosine=v), [float(v) for v in np.linspace(0.05, 0.35, _UNKNOWN_STEPS)]
    if isinstance(space, DualSpace):
        return lambda v: replace(space, unknown_offset=v), [float(v) for v in np.linspace(-5, 10, _UNKNOWN_STEPS)]
    return None, ()


def open_set_trials(said: npt.NDArray[np.int64], which: Flags) -> list[Trial]:
    """For each picture of `which`: lists of labels that no caption mentions, every second ending in a true one."""
    draw, trials = random.Random(0), []
    for picture in np.flatnonzero(which):
        true = np.flatnonzero(said[picture] >= CAPTIONS_THAT_AGREE)
        false = np.flatnonzero(said[picture] == 0)
        if not len(true) or len(false) < _LABELS_A_TRIAL:
            continue
        for _ in range(_TRIALS_A_PICTURE // 2):
            drawn = tuple(int(i) for i in draw.sample(list(false), _LABELS_A_TRIAL))
            trials.append(Trial(int(picture), drawn, there=False))
            trials.append(Trial(int(picture), (*drawn[:-1], int(draw.choice(list(true)))), there=True))
    return trials


def _open_set(space: Space, vectors: Array, prompts: Array, trials: Sequence[Trial]) -> tuple[float, float, float]:
    """Log loss, share of trials in which a label was named, and share of the named that were right."""
    rows = np.stack(
        [space.distribution(vectors[[t.picture]], prompts[list(t.labels)])[0].astype(np.float64) for t in trials]
    )
    there = np.array([t.there for t in trials])
    answers = np.where(there, _LABELS_A_TRIAL - 1, _LABELS_A_TRIAL)
    loss = -np.log(np.maximum(rows[np.arange(len(rows)), answers], 1e-6)).mean()
    said = rows.argmax(axis=1)
    named = said < _LABELS_A_TRIAL
    right = (said == answers) & named
    return float(loss), float(named.mean()), float(right.sum() / max(named.sum(), 1))


if __name__ == "__main__":
    raise SystemExit(main())
