"""Who asks, and what they may see and do. It must not know HTTP, nor how one proves who one is."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from framecue.schemas.token import SCOPES, Scope


@dataclass(frozen=True)
class Principal:
    """One caller. `scope` includes those below it; `streams` are patterns of stream ids."""

    name: str
    scope: Scope
    streams: tuple[str, ...]

    def may(self, scope: Scope) -> bool:
        """Whether that much is allowed, on streams it sees."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def sees(self, stream: str) -> bool:
        """Whether there is such a stream, as far as this caller is told."""
        return any(fnmatchcase(stream, pattern) for pattern in self.streams)

    @property
    def sees_all(self) -> bool:
        """Whether nothing is kept from it: what concerns all streams at once is for those only."""
        return "*" in self.streams


EVERYBODY = Principal("everybody", "admin", ("*",))
"""Whoever asks on loopback where `auth` is `off`."""
