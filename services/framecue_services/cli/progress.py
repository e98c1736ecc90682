"""A bar for work along a film, on a terminal; nothing anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from framecue_services.cli.wording import clock

Advance = Callable[[int, str], None]
"""Takes the media time reached, in ms, and what is being done."""


@contextmanager
def along_film(console: Console, total_ms: int | None, *, doing: str) -> Iterator[Advance]:
    """What moves the bar; `total_ms` None where there is no end."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total_ms, at="")

        def advance(until_ms: int, doing: str) -> None:
            at = clock(until_ms // 1000 * 1000)
            of = "" if total_ms is None else f" of {clock(total_ms // 1000 * 1000)}"
            progress.update(task, description=doing, completed=until_ms, at=f"{at}{of}")

        yield advance
