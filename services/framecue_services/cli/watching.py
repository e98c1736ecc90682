"""`framecue watch`: results as they are published, for people in a terminal, as JSON lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Literal

from rich.console import Console
from rich.text import Text

from framecue import Client
from framecue.client import KINDS, Kind, Subscription
from framecue.clock import SystemClock
from framecue.errors import BrokerError, SetupError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult
from framecue.schemas.rules import RuleSet
from framecue.settings import load_settings
from framecue.timeline import parse_rfc3339
from framecue_services.cli.interrupting import INTERRUPTED, interruptible
from framecue_services.cli.narration import Narration
from framecue_services.cli.output import write_line
from framecue_services.cli.times import instant, of_day
from framecue_services.cli.wording import clean

CHECK_S = 3.0
"""Silence after which Kafka is asked whether it is there."""
POLL_S = 0.5
"""How long Ctrl-C may take."""
STREAM_WIDTH = 14
Form = Literal["pretty", "json"]
_RANK: dict[type, int] = {Annotation: 0, Event: 1, Caption: 2}


def watch_results(pattern: str, *, kinds: str, since: str, form: Form) -> int:
    """Shows what is published of the streams that fit `pattern`, until Ctrl-C; gives the exit code."""
    wanted = kinds_of(kinds)
    start = instant(since, now_ms=SystemClock().now_ms())
    show = shower(form)
    with (
        Client.from_settings(load_settings()) as client,
        interruptible() as stop,
        client.subscribe(wanted, streams=pattern, since=start) as results,
    ):
        presence, heard_s = Presence(results), monotonic()
        while not stop.is_set():
            if found := in_order(results.poll(timeout_s=POLL_S)):
                heard_s = monotonic()
            elif monotonic() > heard_s + CHECK_S:
                presence.look()
                heard_s = monotonic()
            for result in found:
                show(result)
    return INTERRUPTED


class Presence:
    """Says on stderr when Kafka goes away, and when it is back: nothing comes then, and nobody could tell why."""

    def __init__(self, results: Subscription) -> None:
        self._results, self._away = results, False

    def look(self) -> None:
        """Asks Kafka, and says what is new."""
        try:
            self._results.check()
        except BrokerError as e:
            if not self._away:
                print(f"framecue: {clean(str(e))}; waiting for it", file=sys.stderr)
            self._away = True
            return
        if self._away:
            print("framecue: Kafka is back; nothing was missed", file=sys.stderr)
        self._away = False


def in_order(results: Iterable[PublishedResult]) -> list[PublishedResult]:
    """`results` as they were published: topics are read one after the other. What left together: windows first."""
    return sorted(results, key=lambda r: (r.published_at or "", _RANK[type(r)]))


def kinds_of(text: str) -> tuple[Kind, ...]:
    """`event,caption` as kinds; raises SetupError for one that there is not."""
    said = [word.strip().lower().removesuffix("s") for word in text.split(",") if word.strip()]
    found = tuple(kind for kind in KINDS if kind in said)
    if not said or len(found) < len(set(said)):
        raise SetupError(f"{text!r} names no kinds; write some of {','.join(KINDS)}")
    return found


def shower(form: Form) -> Callable[[PublishedResult], None]:
    """What shows one result on stdout: as a JSON line, or in words with the time of day and the stream before them."""
    if form == "json":
        return lambda result: write_line(sys.stdout.buffer, result)
    narration = Narration(Console(highlight=False), RuleSet(), lead=lead)
    return narration.tell


def lead(result: PublishedResult) -> Text:
    """When `result` was published, and of which stream it is."""
    when = "" if result.published_at is None else of_day(parse_rfc3339(result.published_at))
    stream = clean(result.stream)
    if len(stream) > STREAM_WIDTH:
        stream = f"{stream[: STREAM_WIDTH - 1]}…"
    return Text.assemble((f"{when:8}  ", "dim"), (f"{stream:{STREAM_WIDTH}}  ", "bold cyan"))
