"""What a benchmark says: rows of value, goal, and what the value is measured against. Never an absolute time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

ROUNDS = 4


@dataclass(frozen=True)
class Row:
    """One figure. `goal` is written as `<= 0.10` or `>= 2000`; `against` says what ran beside it."""

    name: str
    value: float
    unit: str
    goal: str
    against: str

    @property
    def met(self) -> bool:
        """Whether the value reaches its goal."""
        sign, bound = self.goal.split()
        return self.value <= float(bound) if sign == "<=" else self.value >= float(bound)


def least_cpu(*tasks: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The least CPU seconds of each task, run in turns so that the machine's moods hit all alike."""
    best = [float("inf")] * len(tasks)
    for _ in range(rounds):
        for i, task in enumerate(tasks):
            began = time.process_time()
            task()
            best[i] = min(best[i], time.process_time() - began)
    return best


def cpu_ratio(task: Callable[[], object], beside: Callable[[], object], *, rounds: int = 15) -> float:
    """CPU time of `task` as a multiple of what runs beside it: the median over pairs run back to back.

    Each pair meets the machine in one mood, so its ratio holds where single times swing by a third.
    """
    ratios = []
    for _ in range(rounds):
        times = []
        for one in (beside, task):
            began = time.process_time()
            one()
            times.append(time.process_time() - began)
        ratios.append(times[1] / times[0])
    return median(ratios)


def show(rows: Iterable[Row]) -> None:
    """A table for people; plain when piped."""
    table = Table("", "value", "goal", "against")
    for row in rows:
        value = f"{row.value:,.3g}" if row.value < 1000 else f"{row.value:,.0f}"
        table.add_row(row.name, f"{value} {row.unit}", row.goal + ("" if row.met else "  missed"), row.against)
    Console(width=120, highlight=False).print(table)
