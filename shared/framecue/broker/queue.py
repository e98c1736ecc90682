"""Records that were read and wait for work, bounded in bytes. From one thread. It must not know the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from framecue.broker.protocol import Record, TopicPartition, place, size


class Queue:
    """In the order of arrival. It is full from `max_bytes` on, and low again at half of that."""

    def __init__(self, max_bytes: int) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._records)

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read."""
        return self._bytes >= self._max_bytes

    @property
    def is_low(self) -> bool:
        """Whether more should be read again."""
        return self._bytes <= self._max_bytes // 2

    def extend(self, records: Iterable[Record]) -> None:
        """Puts `records` at the end."""
        for record in records:
            self._records.append(record)
            self._bytes += size(record)

    def front(self, at: TopicPartition) -> Record | None:
        """The first record of `at`; None where there is none."""
        return next((r for r in self._records if place(r) == at), None)

    def fronts(self) -> dict[TopicPartition, Record]:
        """The first record of every partition that has one."""
        return {place(r): r for r in reversed(self._records)}

    def take(self, count: int, *, of: TopicPartition | None = None) -> list[Record]:
        """The first `count` records, or those of one partition, which leave the queue."""
        if of is None:
            taken = [self._records.popleft() for _ in range(min(count, len(self._records)))]
        else:
            taken = [r for r in self._records if place(r) == of][:count]
            kept = {(r.partition, r.offset) for r in taken}
            self._records = deque(r for r in self._records if place(r) != of or (r.partition, r.offset) not in kept)
        self._bytes -= sum(size(r) for r in taken)
        return taken

    def drop(self, at: TopicPartition) -> None:
        """Forgets the records of one partition."""
        self._records = deque(r for r in self._records if place(r) != at)
        self._bytes = sum(size(r) for r in self._records)

    def clear(self) -> None:
        """Forgets all of them."""
        self._records.clear()
        self._bytes = 0
