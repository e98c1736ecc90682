"""Models from a Hugging Face folder: dual encoders (CLIP, SigLIP, SigLIP 2 and what follows) and image classifiers.

Only the folder is read: no hub, no remote code, no pickles. A classifier names its own classes; its texts are compared
by the sentence encoder of the preset `default`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from framecue.analysis.spaces import Array, ClosedSpace, DualSpace, Pairing
from framecue.errors import ModelError, SetupError
from framecue.models.background import BACKGROUND
from framecue.models.describing import FactualCaptioner
from framecue.models.devices import pick_device
from framecue.models.lock import LockedModel, preset
from framecue.models.minilm import DIMS, SentenceEncoder
from framecue.models.protocols import Model, Picture
from framecue.models.sight import shows_something

TEMPLATES = ("{}", "a photo of {}.", "a picture of {}.", "a video frame of {}.")
"""A prompt's vector is the mean over these (Radford et al. 2021, section 3.1.4: averaging beats any one)."""
TEXT_SCALE = 20.0
"""Scale of cue and prompt where nobody fitted one: what sentence encoders are commonly trained with."""
_BATCH = 16
_LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""For every reading: left open, the second would ask whoever sits there whether a stranger's code may run."""
_library: Any = transformers  # its annotations are partial
_T = TypeVar("_T")


def load(record: LockedModel, *, deterministic: bool, threads: int, device: str = "auto") -> Model:
    """The model in the folder of `record`; raises SetupError where it is not one of the two kinds."""
    torch.set_num_threads(threads)
    _library.utils.logging.disable_progress_bar()
    folder = Path(record.location or record.name)
    config = _read(lambda: _library.AutoConfig.from_pretrained(folder, **_LOCAL), folder)
    runner = _Runner(pick_device(device), 1 if deterministic else _BATCH, fp32=deterministic)
    if any("ImageClassification" in name for name in config.architectures or ()):
        return _classifier(record, folder, runner, threads=threads)
    return _dual_encoder(record, folder, runner)


@dataclass(frozen=True)
class DualImages:
    """An `ImageEncoder`: unit vectors; zero for a picture that shows nothing."""

    model: Any
    processor: Any
    runner: _Runner
    dims: int

    def embed(self, frames: Sequence[Picture]) -> Array:
        return _seen(frames, self.dims, lambda some: self.runner.rows(some, self._features))

    def _features(self, frames: Sequence[Picture]) -> Tensor:
        inputs = self.processor(images=[Image.fromarray(f) for f in frames], return_tensors="pt")
        return _normalised(self.model.get_image_features(**self.runner.moved(inputs)))


@dataclass(frozen=True)
class DualTexts:
    """A `TextEncoder`: unit vectors. `length` is the model's context, `padded` whether it wants all of it filled."""

    model: Any
    tokenizer: Any
    runner: _Runner
    length: int
    padded: bool

    def embed(self, texts: Sequence[str]) -> Array:
        return self.runner.rows(texts, self._features)

    def embed_prompts(self, texts: Sequence[str]) -> Array:
        """The mean over `TEMPLATES`, of unit length."""
        mean = np.mean([self.embed([template.format(t) for t in texts]) for template in TEMPLATES], axis=0)
        unit: Array = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return unit

    def _features(self, texts: Sequence[str]) -> Tensor:
        padding = "max_length" if self.padded else True
        inputs = self.tokenizer(
            list(texts), padding=padding, truncation=True, max_length=self.length, return_tensors="pt"
        )
        return _normalised(self.model.get_text_features(**self.runner.moved(inputs)))


@dataclass(frozen=True)
class ClassifierImages:
    """An `ImageEncoder`: probabilities over the classes; zero for a picture that shows nothing."""

    model: Any
    processor: Any
    runner: _Runner
    classes: int

    def embed(self, frames: Sequence[Picture]) -> Array:
        return _seen(frames, self.classes, lambda some: self.runner.rows(some, self._probabilities))

    def _probabilities(self, frames: Sequence[Picture]) -> Tensor:
        inputs = self.processor(images=[Image.fromarray(f) for f in frames], return_tensors="pt")
        logits: Tensor = self.model(**self.runner.moved(inputs)).logits
        return logits.float().softmax(dim=-1)


@dataclass(frozen=True)
class _Runner:
    """Where and in which portions forwards run. On an accelerator in fp16, unless every digit must be the same."""

    device: torch.device
    batch: int
    fp32: bool

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.fp32 or self.device.type == "cpu" else torch.float16

    def moved(self, inputs: Any) -> dict[str, Tensor]:
        return {name: t.to(self.device, self.dtype if t.is_floating_point() else None) for name, t in inputs.items()}

    def rows(self, items: Sequence[_T], forward: Callable[[Sequence[_T]], Tensor]) -> Array:
        """`forward` over all items, one row each; foreign errors become ModelError."""
        try:
            with torch.inference_mode():
                parts = [forward(part).float().cpu().numpy() for part in _portions(items, self.batch)]
        except (RuntimeError, ValueError, TypeError, IndexError) as e:
            raise ModelError(f"the model failed on {len(items)} inputs: {e}") from e
        return np.concatenate(parts)


def _dual_encoder(record: LockedModel, folder: Path, runner: _Runner) -> Model:
    model = _weights(_library.AutoModel, folder, runner)
    if not all(hasattr(model, name) for name in ("get_image_features", "get_text_features", "logit_scale")):
        raise SetupError(f"{folder} is neither a dual encoder (CLIP, SigLIP, SigLIP 2) nor an image classifier")
    processor = _read(lambda: _library.AutoProcessor.from_pretrained(folder, **_LOCAL), folder)
    length = int(getattr(model.config.text_config, "max_position_embeddings", 64))
    padded = str(model.config.model_type).startswith("siglip")  # SigLIP was trained on texts padded to the end
    texts = DualTexts(model, processor.tokenizer, runner, length, padded)
    background = texts.embed_prompts(BACKGROUND)
    scale = record.picture.scale or float(model.logit_scale.detach().float().exp())
    space = DualSpace(
        id=record.space_id(),
        dims=background.shape[1],
        picture=Pairing(scale, background, record.picture.calibration),
        text=Pairing(record.text.scale or TEXT_SCALE, texts.embed(BACKGROUND), record.text.calibration),
        unknown_offset=0.0 if record.unknown is None else record.unknown.value,
    )
    images = DualImages(model, processor.image_processor, runner, space.dims)
    return Model(record.name, space, images, texts, FactualCaptioner(record.name, space, images))


def _classifier(record: LockedModel, folder: Path, runner: _Runner, *, threads: int) -> Model:
    model = _weights(_library.AutoModelForImageClassification, folder, runner)
    processor = _read(lambda: _library.AutoImageProcessor.from_pretrained(folder, **_LOCAL), folder)
    reader = preset("default")
    _, weights, tokenizer, *_ = (file.locate() for file in reader.packaged())
    sentences = SentenceEncoder(weights, tokenizer, threads=threads, batch=runner.batch)
    labels = tuple(str(model.config.id2label[i]) for i in range(model.config.num_labels))
    identity = hashlib.sha256(f"{record.space_id()} {reader.space_id()}".encode()).hexdigest()[:12]
    scale = reader.text.scale or TEXT_SCALE
    space = ClosedSpace(
        id=f"{folder.name}-{identity}",
        closed_labels=labels,
        text_dims=DIMS,
        picture=Pairing(1.0, np.zeros((1, DIMS), np.float32)),
        text=Pairing(scale, sentences.embed(BACKGROUND), reader.text.calibration),
        unknown_share=ClosedSpace.unknown_share if record.unknown is None else record.unknown.value,
    )
    images = ClassifierImages(model, processor, runner, len(labels))
    return Model(record.name, space, images, sentences, FactualCaptioner(record.name, space, images))


def _weights(auto: Any, folder: Path, runner: _Runner) -> Any:
    model = _read(
        lambda: auto.from_pretrained(folder, **_LOCAL, use_safetensors=True, dtype=runner.dtype),
        folder,
    )
    return model.to(runner.device).eval()


def _read(reading: Callable[[], Any], folder: Path) -> Any:
    try:
        return reading()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, SafetensorError) as e:
        why = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise SetupError(f"{folder} could not be loaded as a Hugging Face model: {why}") from e


def _seen(frames: Sequence[Picture], dims: int, encode: Callable[[Sequence[Picture]], Array]) -> Array:
    """`encode` for the frames that show something, zero rows for the others."""
    rows = [i for i, frame in enumerate(frames) if shows_something(frame)]
    vectors = np.zeros((len(frames), dims), np.float32)
    if rows:
        vectors[rows] = encode([frames[i] for i in rows])
    return vectors


def _normalised(output: Any) -> Tensor:
    """Unit rows of what `get_*_features` gives: a tensor, or an output that holds it."""
    features = output if isinstance(output, Tensor) else output.pooler_output
    unit: Tensor = torch.nn.functional.normalize(features.float(), dim=-1)
    return unit


def _portions(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
