"""The `framecue` command: names, options and help. What a command does is imported when it runs, so that help is quick.

Exit codes: 0 done · 1 our own fault · 2 bad usage, or something to set up first · 3 unusable input · 130 interrupted.
"""

from __future__ import annotations

import inspect
import sys
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from framecue.errors import FrameCueError, InputError, RulesError, SetupError
from framecue_services.cli.commands import operating, serving, watching
from framecue_services.cli.commands.options import Film, Lag, Subtitles

_LOOK, _HOW, _OUT = "What to look for", "How", "What comes out"

app = typer.Typer(
    name="framecue",
    help="Watches video and reads its subtitles at the same time: says what is going on, and when it changes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(no_args_is_help=True, help="List, pin and check the models that look.", rich_markup_mode="rich")
app.add_typer(models, name="models", rich_help_panel="Commands")


class SamplingMode(StrEnum):
    """Which frames are looked at."""

    EXACT = "exact"
    KEYFRAMES = "keyframes"


def main() -> None:
    """Runs the command line; a failure is one sentence on stderr and an exit code."""
    _flow(app)
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="backslashreplace")  # words come in every script, to every locale
    try:
        app()
    except FrameCueError as e:
        from framecue_services.cli.wording import clean

        print(f"framecue: {clean(str(e))}", file=sys.stderr)
        sys.exit(_exit_code(e))


def _flow(group: typer.Typer) -> None:
    """Makes each paragraph of help one line, to be broken where the terminal ends, not where the source does."""
    for command in group.registered_commands:
        text = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _flow(inner.typer_instance)


def _exit_code(error: FrameCueError) -> int:
    if isinstance(error, RulesError | SetupError):
        return 2
    return 3 if isinstance(error, InputError) else 1


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"framecue {version('framecue')}")
        raise typer.Exit


@app.callback(epilog="[dim]Start with[/dim] framecue demo[dim], then[/dim] framecue analyze film.mkv")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and leave.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "framecue analyze film.mkv --report film.html\n\n"
    "framecue analyze talk.mp4 --subtitles talk.vtt --rules rules.yaml > talk.jsonl\n\n"
    "framecue analyze news.ts --lag 3.5 --sampling keyframes | jq 'select(.type == \"event\")'\n\n"
    "[dim]A rules file names scenes and events in words; `framecue demo` leaves one in its folder to start from.[/dim]"
)
def analyze(
    film: Film,
    subtitles: Subtitles = None,
    lag: Lag = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Scenes and events, in words (YAML). Without it: everyday scenes, no events.",
            rich_help_panel=_LOOK,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A preset, or the folder of a model.", rich_help_panel=_HOW, show_default="default"
        ),
    ] = None,
    sampling: Annotated[
        SamplingMode | None,
        typer.Option(
            help="exact: the same frames however the film is cut; keyframes: cheaper.",
            rich_help_panel=_HOW,
            show_default="exact",
        ),
    ] = None,
    segment_seconds: Annotated[
        float,
        typer.Option(
            min=0.5, max=30, metavar="N", help="Length of the pieces that are worked on.", rich_help_panel=_HOW
        ),
    ] = 6.0,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic/--no-deterministic",
            help="Equal to the byte on every run, or as fast as it goes.",
            rich_help_panel=_HOW,
        ),
    ] = True,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The stream id in the results, which rules may ask for.",
            rich_help_panel=_OUT,
            show_default="from the file's name",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            help="Also write one self-contained HTML page that shows it all.",
            rich_help_panel=_OUT,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Watch a film with its subtitles: scenes, events and descriptions as JSON lines.

    On stdout comes one result a line, each with its [bold]type[/bold]: annotation, event or caption.
    A window of two seconds has one annotation, and a new revision of it where later words change it.

    Progress goes to stderr. Exit codes: 0 done, 2 bad usage, 3 film or subtitles cannot be used.
    """
    from framecue_services.cli.analyze import AnalyzeRequest, analyze_film

    analyze_film(
        AnalyzeRequest(
            film=film,
            subtitles=None if subtitles is None else tuple(subtitles),
            lag_ms=None if lag is None else round(lag * 1000),
            rules=rules,
            model=model,
            sampling=None if sampling is None else sampling.value,
            segment_seconds=segment_seconds,
            deterministic=deterministic,
            stream=stream,
            report=report,
        )
    )


@app.command()
def demo(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="All services in this one process, without Kafka and Redis.")
    ] = False,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the report and everything that was used goes.")
    ] = Path("framecue-demo"),
) -> None:
    """Watch three real clips with late subtitles, live in this terminal.

    Joins the clips into one stream, pushes it piece by piece with subtitles that come 3 s late, and shows what is seen,
    how late words revise it, and which events fire and why. Ends with a report.

    Starts Kafka, Redis and the services as `framecue up` does, and leaves them up, to look around in.
    """
    from framecue_services.cli.demo import run_embedded, run_on_servers

    if embedded:
        run_embedded(output)
    else:
        run_on_servers(output)


for _more in (serving, watching, operating):
    app.add_typer(_more.commands)


@models.command("list")
def list_models() -> None:
    """Say which models there are, and which are ready."""
    from framecue_services.cli.models import show_models

    show_models()


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset, a Hugging Face id, or a folder.")],
) -> None:
    """Resolve a model once, and pin its files in models.lock."""
    from framecue_services.cli.models import pull

    pull(name)


@models.command("check")
def check_models() -> None:
    """Compare the files on disk with models.lock."""
    from framecue_services.cli.models import check

    check()


if __name__ == "__main__":
    main()
