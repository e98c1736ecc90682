"""From a name to a loaded model, from the disk alone: a preset, a folder, or what `models.lock` says of either."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from framecue.errors import SetupError
from framecue.models.lock import PRESETS, LockedModel, folder_record, preset, read_lock
from framecue.models.protocols import Model

_NEEDED = ("onnxruntime", "PIL", "tokenizers", "torch", "transformers")
_MOST_THREADS = 8
_LEFT_FREE = 1
"""Cores for decoders and for us. Threads that compute together wait for each other in every layer: measured on two busy
cores, two of them take ten times as long as one."""


def load_model(name: str, *, lock: Path | None = None, deterministic: bool = False, device: str = "auto") -> Model:
    """The model named by a preset, a folder, or an entry of `lock`; raises SetupError with the cure.

    `deterministic`: one picture and one text at a time, in fp32, on one thread, so that a vector is a function of its
    input alone. Loading never reaches a network.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise SetupError(f"install framecue[fusion]: the package {package} is missing")
    record = find_record(name, lock=lock)
    threads = 1 if deterministic else max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) - _LEFT_FREE))
    if record.kind == "preset":
        from framecue.models.default import load as load_default

        return load_default(record, deterministic=deterministic, threads=threads, device=device)
    from framecue.models.huggingface import load as load_folder

    return load_folder(record, deterministic=deterministic, threads=threads, device=device)


def find_record(name: str, *, lock: Path | None) -> LockedModel:
    """What is known of a model: the lock's entry, whose files must be as recorded, else the preset or the folder."""
    if lock is not None and (locked := read_lock(lock).models.get(name)) is not None:
        if problems := locked.problems():
            raise SetupError(problems[0])
        return locked
    if name in PRESETS:
        return preset(name)
    if Path(name).is_dir():
        return folder_record(Path(name))
    raise SetupError(
        f"there is no preset ({', '.join(PRESETS)}), folder or models.lock entry named {name}; "
        f"run `framecue models pull {name}`"
    )
