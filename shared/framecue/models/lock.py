"""What a model is, to the byte: file hashes, preprocessing and calibration, as a preset or `models.lock` records them.

`pull` is the only thing here that may reach a network; `check` and everything a worker does read the disk. It loads no
model and imports neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framecue.errors import SetupError
from framecue.models.background import BACKGROUND
from framecue.models.packaged import PackagedFile, sha256_of
from framecue.schemas.rules import Calibration

PRESETS: tuple[str, ...] = ("default",)
_READ_SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""What is read from a model folder, and so hashed and fetched; never code or pickles."""


class Record(BaseModel):
    """The base of everything in a lock: frozen, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fit(Record):
    """How a calibration was fitted, and what it was worth on pictures that it was not fitted on (equal priors)."""

    on: str = Field(description="when, ISO date")
    data: str
    pairs_fitted: int
    pairs_measured: int
    auc: float = Field(description="over all measured pairs")
    mean_prompt_auc: float | None = Field(None, description="over prompts, on all pictures; picture-text only")
    calibration_error: float = Field(description="10 bins of equal mass")
    brier: float = Field(description="the constant 0.5 has 0.25")


class PairRecord(Record):
    """One pair kind: the scale of its similarities, its calibration, how that came about."""

    scale: float | None = Field(None, description="None: the model's own logit scale")
    calibration: Calibration | None = None
    fit: Fit | None = None


class UnknownRecord(Record):
    """Where `unknown` stands (a cosine, an offset or a share, as the space has it), and by which criterion."""

    value: float
    criterion: str
    named: float | None = Field(None, description="share of open-set trials in which a label was named")
    precision: float | None = Field(None, description="share of the named that were right")


class LockedModel(Record):
    """One model. `files` are SHA-256 by path below `location`, or by `distribution/path ending` for a preset."""

    name: str
    kind: Literal["preset", "folder", "hub"]
    revision: str = Field(description="a commit of the hub, or a hash over `files`")
    location: str | None = None
    files: dict[str, str]
    preprocessing: str
    picture: PairRecord = PairRecord()
    text: PairRecord = PairRecord()
    unknown: UnknownRecord | None = None

    def space_id(self) -> str:
        """Changes with everything that changes a score: files, preprocessing, scales, calibrations, background."""
        parts = self.model_dump(mode="json", include={"files", "preprocessing"})
        parts |= {kind: [pair.scale, pair.calibration and pair.calibration.model_dump()] for kind, pair in self.pairs()}
        parts |= {"unknown": self.unknown and self.unknown.value, "background": BACKGROUND}
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return f"{Path(self.name).name}-{digest[:12]}"

    def pairs(self) -> tuple[tuple[str, PairRecord], tuple[str, PairRecord]]:
        return ("picture", self.picture), ("text", self.text)

    def packaged(self) -> tuple[PackagedFile, ...]:
        """A preset's files, in the order of the record."""
        parts = ((*name.split("/", 1), sha) for name, sha in self.files.items())
        return tuple(PackagedFile(distribution, ending, sha) for distribution, ending, sha in parts)

    def problems(self) -> list[str]:
        """What is off with the files, a sentence each; empty when all is as recorded."""
        if self.kind == "preset":
            return [sentence for file in self.packaged() if (sentence := _located(file))]
        found = [(name, Path(self.location or "") / name, sha) for name, sha in self.files.items()]
        return [
            f"{self.name}: {path} {'has changed' if path.is_file() else 'is missing'}; run `framecue models pull` again"
            for _, path, sha in found
            if not path.is_file() or sha256_of(path) != sha
        ]


class Lock(Record):
    """`models.lock`: every model that was resolved, by name."""

    models: dict[str, LockedModel] = {}


def read_lock(path: Path) -> Lock:
    """The lock in a file, empty where there is no file; raises SetupError where it does not hold together."""
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Lock()
    except OSError as e:
        raise SetupError(f"{path} cannot be read: {(e.strerror or str(e)).lower()}") from e
    except ValidationError as e:
        raise SetupError(
            f"{path} is no models.lock; make it again with `framecue models pull` ({e.errors()[0]['msg']})"
        ) from e


def check(path: Path) -> list[str]:
    """What is off with the models of a lock, a sentence each; empty when all is as recorded."""
    return [sentence for model in read_lock(path).models.values() for sentence in model.problems()]


def pull(name: str, path: Path) -> LockedModel:
    """Resolves a preset, a folder or a Hugging Face id once, and records it in the lock at `path`.

    A calibration that the lock holds for the same files is kept. Raises SetupError where the model is not to be had.
    """
    lock = read_lock(path)
    model = resolve(name)
    known = lock.models.get(name)
    if known is not None and known.files == model.files:
        model = model.model_copy(update={"picture": known.picture, "text": known.text, "unknown": known.unknown})
    write_lock(path, Lock(models={**lock.models, name: model}))
    return model


def write_lock(path: Path, lock: Lock) -> None:
    """Replaces the file at once: a reader finds the old one or the new one. Raises SetupError where it cannot."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(lock.model_dump_json(indent=2, exclude_none=True) + "\n")
        beside.replace(path)
    except OSError as e:
        raise SetupError(f"{path} cannot be written: {(e.strerror or str(e)).lower()}") from e


def preset(name: str) -> LockedModel:
    """The record of a preset as this version ships it."""
    text = package_files("framecue.models").joinpath("presets", f"{name}.json").read_text("utf-8")
    return LockedModel.model_validate_json(text)


def folder_record(folder: Path, *, name: str | None = None, revision: str | None = None) -> LockedModel:
    """A model folder as it lies on the disk; raises SetupError where it holds no safetensors."""
    hashes = _hashes(folder)
    digest = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return LockedModel(
        name=name or str(folder),
        kind="folder" if revision is None else "hub",
        revision=revision or digest[:16],
        location=str(folder.resolve()),
        files=hashes,
        preprocessing="the folder's own preprocessor_config.json and tokenizer",
    )


def resolve(name: str) -> LockedModel:
    """What `name` stands for: a preset, a folder, else an id on the Hugging Face hub."""
    if name in PRESETS:
        model = preset(name)
        for file in model.packaged():
            file.locate()
        return model
    if Path(name).is_dir():
        return folder_record(Path(name))
    return _from_hub(name)


def _from_hub(name: str) -> LockedModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        folder = Path(snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in _READ_SUFFIXES]))
    except HFValidationError as e:
        raise SetupError(f"{name} is no preset ({', '.join(PRESETS)}), no folder, and no Hugging Face id") from e
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as e:
        raise SetupError(
            f"{name} could not be fetched from the Hugging Face hub; "
            f"where the hub is out of reach, copy the model's folder here and name the folder ({type(e).__name__})"
        ) from e
    return folder_record(folder, name=name, revision=folder.name)


def _hashes(folder: Path) -> Mapping[str, str]:
    paths = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _READ_SUFFIXES)
    if not any(p.suffix == ".safetensors" for p in paths):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl"))
        why = f"{pickled[0]} may run code when it is read" if pickled else "there is no weight file"
        raise SetupError(f"{folder} holds no model.safetensors ({why}); save the model as safetensors")
    return {p.name: sha256_of(p) for p in paths}


def _located(file: PackagedFile) -> str | None:
    try:
        file.locate()
    except SetupError as e:
        return str(e)
    return None
