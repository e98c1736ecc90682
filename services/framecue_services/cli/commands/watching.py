"""Commands for people who push and watch streams: `push`, `say`, `watch`, `latest`, `history`.

They must never load torch, transformers or (but for `push`) av.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from framecue_services.cli.commands.options import Film, Lag, Subtitles

_WHAT, _HOW, _OUT = "What to show", "How", "What comes out"

commands = typer.Typer()

AsJson = Annotated[
    bool,
    typer.Option("--json", help="JSON lines also on a terminal; in a pipe always.", rich_help_panel=_OUT),
]
Kinds = Annotated[
    str,
    typer.Option(metavar="NAMES", help="Some of annotation, event, caption, with commas.", rich_help_panel=_WHAT),
]


def _form(as_json: bool) -> Literal["pretty", "json"]:
    return "json" if as_json or not sys.stdout.isatty() else "pretty"


@commands.command(
    epilog="[bold]Examples[/bold]\n\n"
    "framecue push film.mkv --stream cam1\n\n"
    "framecue push talk.mp4 --subtitles talk.vtt --lag 3.5 --realtime\n\n"
    "framecue push test.ts --realtime --loop\n\n"
    "[dim]Then look with[/dim] framecue watch[dim], or[/dim] framecue latest"
)
def push(
    film: Film,
    stream: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Under which stream it goes.", show_default="from the file's name"),
    ] = None,
    subtitles: Subtitles = None,
    lag: Lag = None,
    realtime: Annotated[
        bool,
        typer.Option("--realtime", help="Each piece when it is over, as a camera would; else flat out."),
    ] = False,
    loop: Annotated[
        bool, typer.Option("--loop", help="Again and again as one run, until Ctrl-C, which ends it cleanly.")
    ] = False,
    segment_seconds: Annotated[
        float, typer.Option(min=0.5, max=30, metavar="N", help="Length of the pieces, where key frames allow it.")
    ] = 2.0,
) -> None:
    """Send a film into Kafka, in pieces that carry their words: one run of a stream.

    Nothing is encoded again. A piece that Kafka did not take, because it was away, is sent again: for up to ten
    minutes nothing is lost.

    Progress goes to stderr. Exit codes: 0 done, 1 Kafka is away, 2 bad usage, 3 film or subtitles cannot be used,
    130 interrupted: what was sent is a whole run.
    """
    from framecue_services.cli.pushing import PushRequest, push_film

    raise typer.Exit(
        push_film(
            PushRequest(
                film=film,
                stream=stream,
                subtitles=None if subtitles is None else tuple(subtitles),
                lag_ms=None if lag is None else round(lag * 1000),
                segment_seconds=segment_seconds,
                realtime=realtime,
                loop=loop,
            )
        )
    )


@commands.command(
    epilog="[bold]Examples[/bold]\n\n"
    "framecue say cam1 and it is a goal\n\n"
    "caption-keyboard | framecue say cam1 - --language en"
)
def say(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id.", show_default=False)],
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...", help="What is said; - reads it from stdin, line by line.", show_default=False
        ),
    ],
    language: Annotated[
        str | None, typer.Option(metavar="TAG", help="Its language, as in en or pt-br.", show_default=False)
    ] = None,
) -> None:
    """Type a live line into a stream, as a captioner would: it counts from when it arrives."""
    from framecue_services.cli.saying import say_lines

    say_lines(stream, text, language=language)


@commands.command(
    epilog="[bold]Examples[/bold]\n\n"
    "framecue watch\n\n"
    "framecue watch 'sport-*' --kinds event --since 1h\n\n"
    "framecue watch cam1 --kinds event | jq -r 'select(.phase == \"started\") | .rule'"
)
def watch(
    streams: Annotated[str, typer.Argument(metavar="PATTERN", help="Streams whose id fits, as in 'cam*'.")] = "*",
    kinds: Kinds = "annotation,event,caption",
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="now, oldest, so long ago (90s, 15m, 1h, 2d), or an RFC 3339 time.",
            rich_help_panel=_WHAT,
        ),
    ] = "now",
    as_json: AsJson = False,
) -> None:
    """Show results as they are published, until Ctrl-C.

    Only what was committed is shown. On a terminal in words; in a pipe one result a line, each with its
    [bold]type[/bold].
    """
    from framecue_services.cli.watching import watch_results

    raise typer.Exit(watch_results(streams, kinds=kinds, since=since, form=_form(as_json)))


@commands.command(
    epilog="[bold]Examples[/bold]\n\nframecue latest\n\nframecue latest cam1 --json | jq .annotation.scene.label"
)
def latest(
    stream: Annotated[
        str | None, typer.Argument(metavar="STREAM", help="The stream's id.", show_default="all, in a table")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each stream.", rich_help_panel=_OUT)
    ] = False,
) -> None:
    """Say what is on now: in every stream, or all about one.

    What Redis shows: the newest window, the events that go on, and the last description.

    A table on a terminal; in a pipe one line each, with tabs between the columns.
    """
    from framecue_services.cli.asking import show_latest

    show_latest(stream, form="json" if as_json else "pretty")


@commands.command(
    epilog="[bold]Examples[/bold]\n\n"
    "framecue history cam1 --since 15m\n\n"
    "framecue history cam1 --kinds event --since 2026-02-03T10:00:00Z --until 2026-02-03T11:00:00Z"
)
def history(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id.", show_default=False)],
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="So long ago (90s, 15m, 1h, 2d), an RFC 3339 time, or oldest.", rich_help_panel=_WHAT
        ),
    ] = "1h",
    until: Annotated[str, typer.Option(metavar="TIME", help="The same, or now.", rich_help_panel=_WHAT)] = "now",
    kinds: Kinds = "annotation,event,caption",
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="The last so many.", rich_help_panel=_WHAT)
    ] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Show what was published of a stream, each result as it stood last, in the order of media time."""
    from framecue_services.cli.asking import show_history

    show_history(stream, since=since, until=until, kinds=kinds, limit=limit, form=_form(as_json))
