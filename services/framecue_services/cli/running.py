"""What `analyze` and `demo` share: from rules and settings to a running pipeline, and from its results to a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from framecue.analysis.rules import check_rules
from framecue.errors import SetupError
from framecue.media.pool import DecoderPool
from framecue.models.faces import Faces, open_faces
from framecue.models.loading import find_record, load_model
from framecue.models.protocols import Model
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.rules import RuleSet
from framecue.schemas.topics import DEADLETTER
from framecue.settings import Settings
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.cli.report.page import About, render
from framecue_services.cli.report.recording import Recorded
from framecue_services.cli.wording import about_faces


def load(settings: Settings) -> Model:
    """The model that the settings name; raises SetupError with the cure."""
    chosen = settings.model
    return load_model(chosen.name, lock=chosen.lock, deterministic=chosen.deterministic, device=chosen.device)


def faces(settings: Settings, console: Console) -> Faces:
    """How pictures may be seen here; said on `console` where faces were to be blurred and are not."""
    opened = open_faces(settings.privacy.faces)
    if opened.state.startswith("unblurred"):
        console.print(f"framecue: {about_faces(opened.state)}", markup=False, soft_wrap=True)
    return opened


@contextmanager
def pipeline(model: Model, settings: Settings, rules: RuleSet) -> Iterator[EmbeddedPipeline]:
    """Every stage in this process, with `rules` in force from the start; closes its decoders at the end.

    Raises RulesError where the model cannot do what they ask.
    """
    check_rules(rules, model.space)
    ingest = settings.ingest
    with (
        DecoderPool(ingest.decoders, limits=ingest.limits(), sampling=settings.sampling.plan()) as pool,
        EmbeddedPipeline(model, decoders=pool, threads=ingest.decoders, machine=settings.analysis.machine()) as running,
    ):
        running.set_rules(rules)
        yield running


def refusals(running: EmbeddedPipeline) -> list[str]:
    """Why pushed records could not be used, in the order of the dead letters that say so, as far as they are kept."""
    letters = running.broker.consumer("refusals", [DEADLETTER.name])
    found: list[str] = []
    while records := letters.poll(100):
        found += [parse_dead_letter(b"", record.headers).reason for record in records]
    return found


def write_report(
    path: Path, recorded: Recorded, rules: RuleSet, *, title: str, stream: str, settings: Settings, notes: Sequence[str]
) -> None:
    """Writes the page of a run; raises SetupError where it cannot be written."""
    about = About(
        title=title,
        stream=stream,
        version=version("framecue"),
        notes=tuple(notes),
        calibration=_calibration(settings),
    )
    try:
        path.write_text(render(recorded, rules.of_stream(stream), about=about), "utf-8")
    except OSError as e:
        raise SetupError(f"the report cannot be written to {path}: {e.strerror}") from e


def _calibration(settings: Settings) -> str:
    """How the model's picture scores were fitted, in a clause; empty where nobody says."""
    fit = find_record(settings.model.name, lock=settings.model.lock).picture.fit
    return "" if fit is None else f"fitted on {fit.data} ({fit.on}), calibration error {fit.calibration_error:.2f}"
