"""What a check gives, and how checks are run so that none of them can spoil the others. It knows no check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from framecue.errors import FrameCueError

Severity = Literal["fine", "unknown", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One sentence. `cure` says what to do about it; empty where there is nothing to do."""

    severity: Severity
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Check:
    """Something to look at; `look` may block for seconds, and raise."""

    name: str
    look: Callable[[], Iterable[Finding]]


@dataclass(frozen=True)
class Examined:
    """A finding and the check that it is of."""

    check: str
    finding: Finding


def fine(what: str) -> Finding:
    """Nothing is wrong with `what`."""
    return Finding("fine", what)


def examine(checks: Sequence[Check]) -> Iterator[Examined]:
    """What all checks find, as it is found. One that fails is a finding itself, and the others go on."""
    for check in checks:
        try:
            for finding in check.look():
                yield Examined(check.name, finding)
        except FrameCueError as e:
            yield Examined(check.name, of_error(e))
        except Exception as e:  # whatever it is: a person who asks a doctor wants to hear of it, and of the rest
            cure = "please report it, with this sentence"
            yield Examined(check.name, Finding("error", f"this check failed: {type(e).__name__}: {e}", cure))


def of_error(error: FrameCueError, *, cure: str = "") -> Finding:
    """The finding that an error of ours is. Its sentence names the cure behind a semicolon, else `cure` does."""
    what, _, named = str(error).partition("; ")
    return Finding("error", what, named or cure)
