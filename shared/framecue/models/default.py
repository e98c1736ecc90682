"""The preset `default`: EfficientNet-Lite2 and a MiniLM sentence encoder out of ordinary packages, composed by ConSE.

Every class stands where its names and its description stand in the sentence encoder's space (`_class_texts`); a
picture stands where its classes stand (`analysis.spaces.ConseSpace`). The class vectors are computed once on a machine
and kept in the user's cache. It reads no network and no hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from platformdirs import user_cache_path

from framecue.analysis.spaces import Array, ConseSpace, Pairing, conse_anchors, conse_prompts, conse_vectors
from framecue.errors import ModelError, SetupError
from framecue.models.background import BACKGROUND
from framecue.models.describing import FactualCaptioner
from framecue.models.devices import pick_device
from framecue.models.effnet import EfficientNetLite, load_classifier, prepare
from framecue.models.lock import LockedModel
from framecue.models.minilm import SentenceEncoder
from framecue.models.protocols import Model, Picture
from framecue.models.sight import shows_something

SIDE = 260
"""EfficientNet-Lite2's input."""

GPU_BATCH = 64
"""Pictures in one forward on a GPU. On a CPU one at a time is no slower, and the same in any company."""


def load(
    record: LockedModel, *, deterministic: bool, threads: int, device: str = "auto", cache: Path | None = None
) -> Model:
    """The model of a preset record; `cache` is where class vectors are kept (the user's cache folder).

    Only the picture classifier goes to a GPU; the sentence encoder is quick enough without. `deterministic` stays on
    the CPU, where one picture at a time gives the same numbers everywhere.

    Raises SetupError where a package is missing or a file is not the recorded one.
    """
    classifier, weights, tokenizer, *names = [file.locate() for file in record.packaged()]
    torch.set_num_threads(threads)
    sentences = SentenceEncoder(weights, tokenizer, threads=threads, batch=1 if deterministic else 32)
    clean = tuple(json.loads(names[0].read_text("utf-8")))
    classes = _class_vectors(sentences, names, record, cache or user_cache_path("framecue"))
    background = conse_prompts(sentences.embed(BACKGROUND), classes)
    space = ConseSpace(
        id=record.space_id(),
        names=clean,
        classes=classes,
        picture=Pairing(_fitted(record.picture.scale), background, record.picture.calibration),
        text=Pairing(_fitted(record.text.scale), sentences.embed(BACKGROUND), record.text.calibration),
        unknown_cosine=_fitted(None if record.unknown is None else record.unknown.value),
    )
    where = pick_device("cpu" if deterministic else device)
    images = ConseImages(load_classifier(classifier).to(where), space, where, 1 if where.type == "cpu" else GPU_BATCH)
    texts = ConseTexts(sentences, classes)
    return Model(record.name, space, images, texts, FactualCaptioner(record.name, space, images))


@dataclass(frozen=True)
class ConseImages:
    """An `ImageEncoder`, `batch` pictures in one forward."""

    network: EfficientNetLite
    space: ConseSpace
    device: torch.device
    batch: int = 1

    @cached_property
    def _anchors(self) -> npt.NDArray[np.float64]:
        return conse_anchors(self.space.classes, self.space.picture.background)

    def embed(self, frames: Sequence[Picture]) -> Array:
        vectors = np.zeros((len(frames), self.space.image_dims), np.float32)
        shown = [i for i, frame in enumerate(frames) if shows_something(frame)]
        for at in range(0, len(shown), self.batch):
            rows = shown[at : at + self.batch]
            logits = self.logits([frames[i] for i in rows])
            vectors[rows] = conse_vectors(logits, self._anchors)
        return vectors

    def logits(self, frames: Sequence[Picture]) -> Array:
        """(N, classes) as the classifier gives them; raises ModelError when the forward fails."""
        try:
            pictures = torch.stack([prepare(frame, SIDE) for frame in frames])
            with torch.inference_mode():
                logits: Array = self.network(pictures.to(self.device)).cpu().numpy()
        except (RuntimeError, ValueError) as e:
            shapes = ", ".join(str(shape) for shape in sorted({frame.shape for frame in frames}))
            raise ModelError(f"the picture classifier failed on frames of {shapes}: {e}") from e
        return logits


@dataclass(frozen=True)
class ConseTexts:
    """A `TextEncoder`: cues as the sentence encoder has them, prompts as seen from the middle of the classes."""

    sentences: SentenceEncoder
    classes: Array

    def embed(self, texts: Sequence[str]) -> Array:
        return self.sentences.embed(texts)

    def embed_prompts(self, texts: Sequence[str]) -> Array:
        return conse_prompts(self.sentences.embed(texts), self.classes)


def _fitted(value: float | None) -> float:
    if value is None:
        raise SetupError("the record of the preset `default` lacks a fitted number; install framecue again")
    return value


def _class_vectors(sentences: SentenceEncoder, names: Sequence[Path], record: LockedModel, cache: Path) -> Array:
    """(1000, 384) unit vectors of the classes: from the cache, else computed and put there."""
    texts = _class_texts(names)
    key = hashlib.sha256(json.dumps([record.files, texts]).encode()).hexdigest()[:24]
    path = cache / f"classes-{key}.npz"
    kept = _read_cache(path, len(texts))
    if kept is not None:
        return kept
    rows = iter(sentences.embed([text for group in texts for text in group]))
    sums = np.stack([np.sum([next(rows) for _ in group], axis=0) for group in texts])
    vectors: Array = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    _write_cache(path, vectors)
    return vectors


def _class_texts(names: Sequence[Path]) -> list[list[str]]:
    """What stands for each class: its name, as a photo, its synonyms, and what it looks like where that is known."""
    clean, described, synonyms = (json.loads(path.read_text("utf-8")) for path in names)
    texts = []
    for index, name in enumerate(clean):
        texts.append([name, f"a photo of a {name}", synonyms[str(index)]])
        if text := described.get(str(index), {}).get("description"):
            texts[-1] += [f"{name}. {text.split('. ')[0]}.", f"{name}. {text}"]
    return texts


def _read_cache(path: Path, rows: int) -> Array | None:
    """What was kept, None where there is nothing or it is damaged (the archive carries a checksum)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            vectors: Array = archive["classes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = (
        vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == rows and bool(np.isfinite(vectors).all())
    )
    return vectors if fits else None


def _write_cache(path: Path, vectors: Array) -> None:
    """Keeps `vectors` for the next process; where the disk does not let us, that one computes them again."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.npz")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(beside, classes=vectors)
        beside.replace(path)
