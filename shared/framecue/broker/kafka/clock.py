"""The broker's wall time as this side knows it, from the append times of what it wrote. It must not know any clock."""

from __future__ import annotations

from collections import deque

KEEP_S = 10.0
"""An older sample counts only where there is no newer one: a broker whose clock was set back is believed again."""


class BrokerTime:
    """A lower bound: whoever reads an answer at `at_s` knows that the broker's clock has passed the time in it.

    `at_s` is a monotonic time in seconds. Not thread-safe.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def learn(self, append_ms: int, at_s: float) -> None:
        """At `at_s` the broker's clock stood at `append_ms`, or was past it."""
        ahead_ms = append_ms - at_s * 1_000
        while self._samples and (self._samples[-1][1] <= ahead_ms):
            self._samples.pop()  # a worse bound of an older time
        self._samples.append((at_s, ahead_ms))
        while len(self._samples) > 1 and self._samples[0][0] < at_s - KEEP_S:
            self._samples.popleft()

    def now_ms(self, at_s: float) -> int | None:
        """What the broker's clock has reached by `at_s`; None before anything was learned."""
        return int(at_s * 1_000 + self._samples[0][1]) if self._samples else None
