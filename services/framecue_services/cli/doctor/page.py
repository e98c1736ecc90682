"""Findings for people, pipes and programs. It must not know any check."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.text import Text

from framecue_services.cli.doctor.findings import Examined, Severity
from framecue_services.cli.wording import clean, counted

_SIGNS = MappingProxyType(
    {"fine": ("✓", "green"), "unknown": ("?", "dim"), "warning": ("!", "yellow"), "error": ("✗", "red")}
)
_WORDS = MappingProxyType({"fine": "fine", "unknown": "not checked", "warning": "warning", "error": "error"})
_NAMES_WIDTH = 12


def tell(found: Iterable[Examined], console: Console) -> list[Examined]:
    """Prints each finding as it comes: signs and colours on a terminal, words in a pipe. Gives them all."""
    told = []
    for one in found:
        told.append(one)
        if console.is_terminal:
            console.print(_line(one), soft_wrap=True)
        else:
            finding = one.finding
            print(
                "\t".join((_WORDS[finding.severity], one.check, clean(finding.what), clean(finding.cure))), flush=True
            )
    counts = Counter(one.finding.severity for one in told)
    if console.is_terminal:
        console.print(f"\n{summary(counts)}", style="bold")
    return told


def as_json(found: Sequence[Examined]) -> str:
    """All findings as one JSON document."""
    listed = [
        {
            "check": one.check,
            "severity": one.finding.severity,
            "what": one.finding.what,
            "cure": one.finding.cure or None,
        }
        for one in found
    ]
    return json.dumps({"ok": not failed(found), "findings": listed}, indent=2)


def failed(found: Sequence[Examined]) -> bool:
    """Whether something keeps FrameCue from working."""
    return any(one.finding.severity == "error" for one in found)


def summary(counts: Counter[Severity]) -> str:
    """How many of each, in a clause."""
    if not counts["error"] and not counts["warning"]:
        return (
            "all is well"
            if not counts["unknown"]
            else f"all that could be checked is well, {counts['unknown']} were not"
        )
    return f"{counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}, {counts['fine']} fine"


def _line(one: Examined) -> Text:
    sign, colour = _SIGNS[one.finding.severity]
    line = Text.assemble((sign, colour), f" {one.check:<{_NAMES_WIDTH}}", clean(one.finding.what))
    if one.finding.cure:
        line.append(f"\n  {'':<{_NAMES_WIDTH}}→ {clean(one.finding.cure)}", style="cyan")
    return line
