"""`framecue latest` and `framecue history`: what is on now, and what was, as tables and lines or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from framecue import Client
from framecue.clock import SystemClock
from framecue.errors import SetupError
from framecue.schemas.annotation import Annotation
from framecue.schemas.results import PublishedResult
from framecue.settings import load_settings
from framecue.store.protocol import Latest
from framecue.timeline import parse_rfc3339
from framecue_services.cli.stream_ids import typed_stream
from framecue_services.cli.times import ago, instant
from framecue_services.cli.watching import Form, kinds_of, shower
from framecue_services.cli.wording import clean, clock, decided_by, degraded, event_name, text_state

SHOWN_MAX = 200
"""Streams in the table: a few screens. JSON has them all."""
_RUNNERS_UP = 3
_COLUMNS = ("stream", "seen", "scene", "on now", "words", "description")
_APART = (0, 2, 0, 0)


def show_latest(stream: str | None, *, form: Form) -> None:
    """Prints what is on in `stream`, or in every stream; raises SetupError for a stream of which nothing is known."""
    with Client.from_settings(load_settings()) as client:
        if stream is None:
            _show_all(client, form)
            return
        latest = client.latest(typed_stream(stream))
        if latest is None:
            known = ", ".join(client.streams()[:5])
            hint = f"known are: {known}" if known else "nor of any other; push one with `framecue push FILE`"
            raise SetupError(f"nothing is known of the stream {stream!r}; {hint}")
        if form == "json":
            print(_json(stream, latest))
        else:
            _print_table(_page(stream, latest, now_ms=SystemClock().now_ms()))


def show_history(stream: str, *, since: str, until: str, kinds: str, limit: int, form: Form) -> None:
    """Prints what was published of `stream` in a span of time, each result as it stood last, by media time."""
    wanted, now_ms = kinds_of(kinds), SystemClock().now_ms()
    start, end = instant(since, now_ms=now_ms), instant(until, now_ms=now_ms)
    start = 0 if start == "oldest" else now_ms if start == "now" else start
    end = 0 if end == "oldest" else now_ms if end == "now" else end
    if start >= end:
        raise SetupError(f"from {since} until {until} is no span; write how long ago it begins, as in --since 1h")
    with Client.from_settings(load_settings()) as client:
        found = client.history(
            typed_stream(stream),
            since_ms=start or None,
            until_ms=None if end == now_ms else end,
            kinds=wanted,
            limit=limit,
        )
    show = shower(form)
    for result in found:
        show(result)
    if not found:
        print(f"framecue: nothing was published of {clean(stream)} since {clean(since)}", file=sys.stderr)


def _show_all(client: Client, form: Form) -> None:
    streams = client.streams()
    if not streams:
        print(
            "framecue: no stream has had results within the last day; push one with `framecue push FILE`",
            file=sys.stderr,
        )
    if form == "json":
        for stream in streams:
            if (latest := client.latest(stream)) is not None:
                print(_json(stream, latest), flush=True)
        return
    if not streams:
        return
    now_ms = SystemClock().now_ms()
    found = ((stream, client.latest(stream)) for stream in streams[:SHOWN_MAX])
    rows = [_row(stream, latest, now_ms=now_ms) for stream, latest in found if latest is not None]
    _print_table([tuple(Text(name, "bold") for name in _COLUMNS), *rows])
    if len(streams) > SHOWN_MAX:
        print(f"framecue: and {len(streams) - SHOWN_MAX} more; --json has all of them", file=sys.stderr)


def _row(stream: str, latest: Latest, *, now_ms: int) -> tuple[Text, ...]:
    annotation, caption = latest.annotation, latest.caption
    events = ", ".join(event_name(event.rule) for event in latest.open_events)
    words = "" if annotation is None else " ".join(cue.text for cue in annotation.text.cues)
    return (
        Text(clean(stream), "bold cyan"),
        Text(_seen(annotation, now_ms), "dim"),
        _scene(annotation),
        Text(clean(events), "magenta"),
        Text(clean(words), "cyan"),
        Text("" if caption is None else clean(caption.text or ""), "italic dim"),
    )


def _page(stream: str, latest: Latest, *, now_ms: int) -> list[tuple[Text, ...]]:
    """Everything that is known of one stream, a line for each thing."""
    page: list[tuple[Text, ...]] = []

    def add(label: str, value: Text) -> None:
        page.append((Text(label, "dim"), value))

    annotation, caption = latest.annotation, latest.caption
    add("stream", Text(clean(stream), "bold cyan"))
    if annotation is not None:
        add("window", _window(annotation, now_ms))
        add("scene", _scene_in_full(annotation))
        words = " ".join(f"“{clean(cue.text)}”" for cue in annotation.text.cues)
        lag = f", {annotation.text.lag_ms / 1000:g} s late" if annotation.text.lag_ms else ""
        words = f"{words}  " if words else ""
        add("words", Text.assemble((words, "cyan"), (f"{text_state(annotation)}{lag}", "dim")))
        for rule in annotation.rules:
            score = "undecided" if rule.score is None else f"{rule.score:.2f}"
            add("rule", Text(f"{clean(rule.rule)}  {score}"))
    for event in latest.open_events:
        line = Text.assemble((clean(event_name(event.rule)), "bold magenta"), f"  since {clock(event.start_ms)}")
        line.append(f"  {decided_by(None, event)}", "dim")
        add("on now", line)
    if caption is not None and caption.text:
        add("description", Text(clean(caption.text), "italic"))
    if annotation is not None:
        add("model", Text(f"{clean(annotation.model)}{'' if annotation.calibrated else ', not calibrated'}"))
    return page


def _window(annotation: Annotation, now_ms: int) -> Text:
    span = f"{clock(annotation.start_ms)} to {clock(annotation.end_ms)}"
    state = "final" if annotation.settled_until_ms >= annotation.end_ms else "words may still come"
    line = Text(f"{span}, {_seen(annotation, now_ms)}")
    line.append(f"  revision {annotation.revision}, {state}", "dim")
    if annotation.degraded:
        line.append(f"  {degraded(annotation.degraded)}", "red")
    return line


def _seen(annotation: Annotation | None, now_ms: int) -> str:
    if annotation is None or annotation.published_at is None:
        return "?"
    return ago(parse_rfc3339(annotation.published_at), now_ms=now_ms)


def _scene(annotation: Annotation | None) -> Text:
    if annotation is None or annotation.scene is None:
        return Text("no scene", "dim")
    return Text(f"{clean(annotation.scene.label)} {annotation.scene.score:.2f}")


def _scene_in_full(annotation: Annotation) -> Text:
    line = _scene(annotation)
    others = () if annotation.scene is None else annotation.scene.runners_up[:_RUNNERS_UP]
    if others:
        line.append("  " + ", ".join(f"{clean(other.label)} {other.score:.2f}" for other in others), "dim")
    return line


def _json(stream: str, latest: Latest) -> str:
    """One line: `{"stream", "annotation", "open_events", "caption"}`."""
    parts = {
        "stream": stream,
        "annotation": _value(latest.annotation),
        "open_events": [_value(event) for event in latest.open_events],
        "caption": _value(latest.caption),
    }
    return json.dumps(parts, ensure_ascii=True, separators=(",", ":"))


def _value(result: PublishedResult | None) -> object:
    return None if result is None else result.model_dump(mode="json", by_alias=True)


def _print_table(rows: Sequence[Sequence[Text]]) -> None:
    """On a terminal in columns; in a pipe a line for each row, with tabs between."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            print("\t".join(cell.plain for cell in row))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=_APART)
    for row in rows:
        table.add_row(*row)
    console.print(table)
