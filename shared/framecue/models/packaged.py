"""Weights that arrive inside ordinary Python packages: found without importing those packages, and checked by SHA-256.

It knows files and their hashes, not what is in them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from framecue.errors import SetupError


@dataclass(frozen=True)
class PackagedFile:
    """One file of an installed distribution: the end of its path, the SHA-256 (hex) it must have, whose extra it is."""

    distribution: str
    ending: str
    sha256: str
    extra: str = "fusion"

    def locate(self) -> Path:
        """Where the file lies, checked once in a process; raises SetupError where it is missing or another file."""
        return _locate(self)


@cache
def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hex, read once in a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _locate(wanted: PackagedFile) -> Path:
    try:
        listed = files(wanted.distribution) or []
    except PackageNotFoundError as e:
        raise SetupError(f"install framecue[{wanted.extra}]: the package {wanted.distribution} is missing") from e
    found = next((p for p in listed if str(p).endswith(wanted.ending)), None)
    path = None if found is None else Path(str(found.locate()))
    if path is None or not path.is_file():
        raise SetupError(
            f"install framecue[{wanted.extra}] again: the package {wanted.distribution} lacks {wanted.ending}"
        )
    if (got := sha256_of(path)) != wanted.sha256:
        raise SetupError(
            f"install framecue[{wanted.extra}] again: {path} is not the file this version was measured with "
            f"(SHA-256 {got[:16]}…, expected {wanted.sha256[:16]}…)"
        )
    return path
