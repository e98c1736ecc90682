"""What one loop has still to do, as operators see it: once a second, as metrics. It must not change what the loop does.

Only what is owned at that moment counts, so nothing of a partition that went to others stays on show.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from framecue.broker.protocol import Record, TopicPartition
from framecue.broker.queue import Queue
from framecue.broker.stage import Position
from framecue.telemetry.metrics import is_on, level
from framecue.telemetry.names import (
    MEDIA_SECONDS_BEHIND,
    PARTITIONS,
    QUEUE_RECORDS,
    QUEUE_SIZE,
    RECORDS_BEHIND,
)

SHOW_EVERY_S = 1.0
ANSWER_S, PUT_OFF_S = 0.5, 10.0
"""How long to wait for the broker to say where partitions end, and for how long not to ask again where it did not: a
partition without a leader must not hold up the work on all others."""


class Backlog:
    """Of one loop, from its thread. `now_s` is the monotonic clock, everywhere here."""

    def __init__(self, group: str, topics: Sequence[str], *, now_s: float) -> None:
        self._group, self._topics = group, topics
        self._shown_at = -math.inf
        self._moved_at = now_s
        """When something was last read, or nothing was left to read."""

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to show it, to whoever looks; asked once each time."""
        if not is_on() or now_s < self._shown_at + SHOW_EVERY_S:
            return False
        self._shown_at = now_s
        return True

    def put_off(self, now_s: float) -> None:
        """The broker did not say what there is to show."""
        self._shown_at = now_s + PUT_OFF_S

    def moved(self, now_s: float) -> None:
        """Something was read."""
        self._moved_at = now_s

    def show(
        self,
        positions: Mapping[TopicPartition, Position],
        read: Iterable[Record],
        *,
        queue: Queue,
        now_s: float,
        now_ms: int | None,
    ) -> None:
        """`read` are records that are not committed yet, the oldest of each partition at least."""
        behind: Counter[str] = Counter()
        for at, position in positions.items():
            behind[at.topic] += max(0, position.end - position.read)
        for topic in self._topics:
            level(RECORDS_BEHIND, behind[topic], group=self._group, topic=topic)
        if not behind.total():
            self._moved_at = now_s
        self._level(queue, seconds=self._seconds(read, now_s=now_s, now_ms=now_ms), partitions=len(positions))

    def clear(self) -> None:
        """Nothing is owned any more."""
        for topic in self._topics:
            level(RECORDS_BEHIND, 0, group=self._group, topic=topic)
        self._level(Queue(1), seconds=0.0, partitions=0)

    def _seconds(self, read: Iterable[Record], *, now_s: float, now_ms: int | None) -> float:
        """How long the oldest has waited, by its append time; by ours, where it stands there and cannot be read."""
        times = [record.timestamp_ms for record in read if record.timestamp_ms is not None]
        if times and now_ms is not None:
            return max(0.0, (now_ms - min(times)) / 1000)
        return now_s - self._moved_at

    def _level(self, queue: Queue, *, seconds: float, partitions: int) -> None:
        level(MEDIA_SECONDS_BEHIND, seconds, group=self._group)
        level(QUEUE_RECORDS, len(queue), group=self._group)
        level(QUEUE_SIZE, queue.bytes, group=self._group)
        level(PARTITIONS, partitions, group=self._group)
