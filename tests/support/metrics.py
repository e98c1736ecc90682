"""Which series there are, by the closed list, and which of them a PromQL expression names."""

from __future__ import annotations

import re

from framecue.telemetry.names import METRICS

EXPOSED_BY_PROCESSES = {"process_start_time_seconds", "process_open_fds", "process_max_fds"}
"""Of those that Prometheus' client adds to each process, the ones that rules and dashboards use."""
EXPOSED_BY_PROMETHEUS = {"up", "ALERTS"}
"""What it writes itself."""
_NOT_METRICS = (
    r'"[^"]*"',
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    r"\boffset\s+\w+",
    r"\b(and|or|unless|bool)\b",
    r"\b\d[\w.]*",
    r"\b\w+\s*(?=\()",
)
"""What else has letters in it, in the order in which it must go: strings may hold anything."""


def exposed() -> set[str]:
    """Every name of the list as Prometheus shows it, those of a histogram with their three suffixes."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return {metric.prometheus + suffix for metric in METRICS for suffix in suffixes.get(metric.kind, ("",))}


def names_in(expression: str) -> set[str]:
    """The series that an expression names, recorded ones too."""
    for pattern in _NOT_METRICS:
        expression = re.sub(pattern, " ", expression)
    return set(re.findall(r"[A-Za-z_][\w:]*", expression))
