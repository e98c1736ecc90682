"""How much memory a service takes, its decoders with it. Linux says so; elsewhere nothing is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def resident_bytes(proc: Path = PROC, *, of: int | None = None) -> Iterator[int]:
    """Of this process, or the one with the pid `of`, and all that descend from it; nothing where it is not known."""
    first = os.getpid() if of is None else of
    parents = dict(_parents(proc))
    if first not in parents:
        return
    family, size = {first}, 0
    while size < len(family):
        size = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    yield sum(_resident(proc, pid) for pid in family)


def _parents(proc: Path) -> Iterator[tuple[int, int]]:
    """Every process with its parent."""
    with suppress(OSError):
        for entry in proc.iterdir():
            if entry.name.isdigit():
                with suppress(OSError):  # it ended meanwhile
                    yield int(entry.name), int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])


def _resident(proc: Path, pid: int) -> int:
    try:
        return int((proc / str(pid) / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
