"""Prints constraints.txt: the exact version of all that FrameCue and its extras need, as this environment has it.

Walks the installed packages' own requirements from framecue[all], so what somebody installed by hand beside them stays
out. It must not ask an index.
"""

from __future__ import annotations

import sys
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEADER = "# Exact versions of everything in framecue[all], for reproducible installs. Written by `make constraints`."


def closure(root: str) -> dict[str, str]:
    """Canonical name to version of all that `root` needs here; raises PackageNotFoundError for what is missing."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(root)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found[name] = distribution(name).version
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _needed(name, extra)
    return found


def _needed(name: str, extra: str) -> list[Requirement]:
    all_of_it = [Requirement(text) for text in distribution(name).requires or []]
    return [r for r in all_of_it if r.marker is None or r.marker.evaluate({"extra": extra})]


if __name__ == "__main__":
    versions = closure("framecue[all]")
    del versions["framecue"]
    # Local version labels (+cpu) exist on one index only.
    sys.stdout.write("\n".join([HEADER, *(f"{n}=={v.split('+')[0]}" for n, v in sorted(versions.items()))]) + "\n")
