"""`framecue redis rebuild`: makes what Redis shows again, from the result topics.

Safe beside a running projector: each key takes what is newer. It must not know how results are kept.
"""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from framecue.settings import load_settings
from framecue_services.cli import connecting
from framecue_services.cli.wording import clean
from framecue_services.projector.view import Rebuilt, rebuild


def rebuild_view(*, before: Literal["keep", "delete"] = "keep") -> None:
    """Puts everything that is still to be seen into Redis, and prints how much that was.

    `before` says what becomes of FrameCue's keys that are there. Nothing is deleted before a broker answers.
    """
    settings = load_settings()
    with connecting.broker(settings) as broker, connecting.store(settings) as store, _progress() as progress:
        if before == "delete":
            print(f"framecue: {store.clear():,} keys under {clean(settings.redis.prefix)} are deleted", flush=True)
        task = progress.add_task("reading results", total=None)

        def advance(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        rebuilt = rebuild(broker, store, progress=advance)
    for line in described(rebuilt):
        print(f"framecue: {line}")


def described(rebuilt: Rebuilt) -> list[str]:
    """What was put again, in sentences."""
    seen = f"{rebuilt.annotations:,} annotations, {rebuilt.events:,} events, {rebuilt.captions:,} captions"
    lines = [f"Redis shows {rebuilt.streams:,} streams again: {seen} and {rebuilt.pictures:,} pictures"]
    if rebuilt.expired:
        lines.append(f"{rebuilt.expired:,} events have no picture any more: it has left the topic media")
    if rebuilt.unreadable:
        lines.append(
            f"{rebuilt.unreadable:,} records held no result; see `framecue deadletters list --stage projector`"
        )
    return lines


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
