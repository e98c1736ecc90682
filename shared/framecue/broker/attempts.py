"""How often work on a record ended the process, counted beside the committed offset. It must not know the broker.

A process that dies says nothing, so the attempt is noted before it begins: each commit notes the first attempt at what
follows, and a later one is noted for itself. Whoever comes next finds the note of an attempt that never ended, and
tries less at once:

    attempt 1   whole batches, over all partitions
    attempt 2   a few records of this partition
    attempt 3   one record
    after that  a dead letter

A worker that leaves in good order notes that nothing died.
"""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS_MAX = 3
A_FEW = 6
"""The records of a second attempt: with a third of one, any record of a batch of 32 is found."""
SUSPECTS = {1: 64, 2: 16}
"""By the attempts that died, how many offsets may have been under way; markers of transactions take up some."""


@dataclass
class Attempts:
    """At what follows the committed offset of one partition.

    `stored` is the attempt that the log notes (0: none is under way; -1: unknown), `died` how many ended a process.
    Offsets before `until` are suspect; `at_once` of them are tried together. What stands at `end` or later came later.
    """

    stored: int
    died: int = 0
    until: int = -1
    at_once: int = 1 << 30
    end: int = -1

    @classmethod
    def seen(cls, stored: int, *, committed: int, end: int) -> Attempts:
        """As the note of the worker before tells; it cannot have died of this partition where nothing is to be read."""
        if stored <= 0 or committed >= end:
            return cls(stored)
        few = A_FEW if stored == 1 else 1
        return cls(stored, stored, min(end, committed + SUSPECTS.get(stored, 1)), few, end)

    def now(self, offset: int) -> int:
        """The number of the next attempt, which begins with `offset`."""
        return min(self.died, ATTEMPTS_MAX) + 1 if self.is_suspect(offset) else 1

    def is_suspect(self, offset: int) -> bool:
        """Whether what stands at `offset` may be what ended the process, or failed."""
        return offset < self.until

    def reach(self, offset: int) -> None:
        """The first record after what is committed stands at `offset`: the markers before it ended no process."""
        if offset < self.end:
            self.until = max(self.until, offset + 1)

    def suspect(self, until: int, *, tried: int) -> None:
        """`tried` records at once before `until` failed: fewer are tried next time."""
        self.until = max(self.until, until)
        self.at_once = min(self.at_once, max(1, tried // A_FEW))

    def pass_by(self, committed: int) -> int:
        """What to note beside `committed`, the new offset: the attempt at what follows it.

        Of what is suspect none is under way before it was counted, so a death until then is not one of its own.
        """
        if not self.is_suspect(committed) or self.died >= ATTEMPTS_MAX:
            self.died, self.until, self.at_once = 0, -1, 1 << 30
        self.stored = self.died if self.is_suspect(committed) else self.now(committed)
        return self.stored
