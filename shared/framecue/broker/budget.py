"""How much may fail by our own fault before it is better to stop. It must not know what failed."""

from __future__ import annotations

from collections import deque

from framecue.errors import FaultRateError

LAST_RECORDS = 1_000
"""How far back failures are counted."""
MAX_FAILED = 10
"""1 % of them: also the most that may fail of the first few, so one odd record does not stop a young worker."""


class ErrorBudget:
    """How many of the last records failed by our own fault."""

    def __init__(self, *, last_records: int = LAST_RECORDS, max_failed: int = MAX_FAILED) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._records = 0
        self._last_records, self._max_failed = last_records, max_failed

    def check(self, records: int, failed: int) -> None:
        """Raises FaultRateError when too many would have failed with one more batch, of which `failed` did."""
        failures, total = failed, records
        for old_records, old_failed in reversed(self._batches):
            if total >= self._last_records:
                break
            failures, total = failures + old_failed, total + old_records
        if failed and failures > self._max_failed:
            raise FaultRateError(
                f"{failures} of the last {total} records failed by our own fault, more than {self._max_failed}: "
                "stopping, so that good input does not end in the dead letters"
            )

    def spend(self, records: int, failed: int) -> None:
        """Counts one batch that was committed."""
        self._batches.append((records, failed))
        self._records += records
        while self._records - self._batches[0][0] >= self._last_records:
            self._records -= self._batches.popleft()[0]
