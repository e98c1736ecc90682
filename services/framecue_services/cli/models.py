"""`framecue models`: what there is, what is pinned, and whether the disk still holds it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from framecue.errors import SetupError
from framecue.models import lock
from framecue.models.lock import PRESETS, LockedModel
from framecue.settings import load_settings
from framecue_services.cli.wording import clean


def show_models() -> None:
    """Prints a row for each preset and each model of the lock file."""
    pinned = lock.read_lock(load_settings().model.lock).models
    known = {name: lock.preset(name) for name in PRESETS} | pinned
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "KIND", "PINNED", "READY", "SCORES"):
        table.add_column(heading, overflow="fold")
    for name, model in known.items():
        problems = model.problems()
        ready = "yes" if not problems else f"no: {problems[0]}"
        table.add_row(clean(name), model.kind, "yes" if name in pinned else "-", clean(ready), _scores(model))
    Console(highlight=False, markup=False).print(table)


def pull(name: str) -> None:
    """Resolves and pins one model; raises SetupError where it is not to be had."""
    path = load_settings().model.lock
    model = lock.pull(name, path)
    print(f"{clean(name)}: {len(model.files)} files pinned in {path}, revision {model.revision[:16]}")
    if model.picture.calibration is None:
        print("its scores are not calibrated; results will say so")


def check() -> None:
    """Says that every pinned model and preset is as recorded; raises SetupError with all that is off."""
    path = load_settings().model.lock
    problems = [*lock.check(path), *(p for name in PRESETS for p in lock.preset(name).problems())]
    if problems:
        raise SetupError("; ".join(dict.fromkeys(problems)))
    pinned = len(lock.read_lock(path).models)
    print(f"{len(PRESETS)} preset and {pinned} pinned in {path}: every file is as recorded")


def _scores(model: LockedModel) -> str:
    fit = model.picture.fit
    if model.picture.calibration is None:
        return "not calibrated"
    return "calibrated" if fit is None else f"calibrated, error {fit.calibration_error:.2f}"
