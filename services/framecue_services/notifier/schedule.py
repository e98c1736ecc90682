"""When an event is tried again. It must not know how."""

from __future__ import annotations

from dataclasses import dataclass

RETRY_AFTER_MAX_S = 600.0
"""What a receiver may ask for: longer, and events behind would be too old for their own attempts."""


@dataclass(frozen=True)
class Schedule:
    """Exponential: `first_s` after the first attempt, twice as long after each further one, at most `longest_s`.

    The upper half of each pause is left to chance, so that what failed together does not come back together.
    """

    first_s: float = 1.0
    longest_s: float = 60.0

    def pause_s(self, attempts: int, *, chance: float, asked_s: float | None = None) -> float:
        """How long to wait after so many `attempts`; `chance` is in [0, 1).

        Never shorter than the receiver asked for, up to RETRY_AFTER_MAX_S.
        """
        whole_s = min(self.first_s * 2.0 ** min(attempts - 1, 30), self.longest_s)
        return max(whole_s * (1 + chance) / 2, min(asked_s or 0.0, RETRY_AFTER_MAX_S))
