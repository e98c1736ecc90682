"""What people said of events: taken, and shown beside the event. It must not know HTTP.

The topic `feedback` is read when somebody looks at an event, and only the partition of that event's stream, from where
the last look ended: nothing runs while nobody asks, and what another gateway took is seen here too.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator

from pydantic import ValidationError

from framecue.broker.protocol import Broker, Message
from framecue.clock import Clock
from framecue.schemas.feedback import Feedback
from framecue.schemas.segment import first_error
from framecue.schemas.topics import DAY_MS, FEEDBACK, partition_of
from framecue.store.protocol import stream_of_event
from framecue.telemetry.metrics import add
from framecue.telemetry.names import FEEDBACK_GIVEN

SHOWN = 20
"""Judgements of one event."""
KEPT_MAX = 20_000
"""Judgements that are kept, 160 MB at most; the event that was judged longest ago is forgotten first."""
SINCE_MS = 30 * DAY_MS
"""How far back feedback is looked for: as long as events stay in their topic."""
PATIENCE_S = 2.0
"""Longer nobody waits for somebody else's look: what is known is shown."""
_log = logging.getLogger(__name__)


class FeedbackBook:
    """The last judgements of each event. From any thread; methods block on Kafka."""

    def __init__(self, broker: Broker, *, clock: Clock) -> None:
        self._broker, self._clock = broker, clock
        self._of: OrderedDict[str, deque[Feedback]] = OrderedDict()
        self._count = 0
        self._next: dict[int, int] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def give(self, feedback: Feedback) -> None:
        """Writes it to the topic; raises BrokerError, and then it may stand there or not."""
        value = feedback.model_dump_json(by_alias=True).encode()
        self._broker.commit([Message(FEEDBACK.name, feedback.stream.encode(), value, _HEADERS)])
        add(FEEDBACK_GIVEN, verdict=feedback.verdict)

    def look(self, event_id: str) -> None:
        """Reads what came since the last look at a stream of its partition; raises BrokerError."""
        partition = partition_of(stream_of_event(event_id), self._broker.partitions(FEEDBACK.name))
        with self._lock:
            lock = self._locks.setdefault(partition, threading.Lock())
        if not lock.acquire(timeout=PATIENCE_S):
            return
        try:
            self._catch_up(partition)
        finally:
            lock.release()

    def known(self, event_id: str) -> tuple[Feedback, ...]:
        """The last `SHOWN` of an event, the newest first, as of the last look; never blocks."""
        with self._lock:
            return tuple(reversed(self._of.get(event_id, ())))

    def _catch_up(self, partition: int) -> None:
        end = self._broker.end(FEEDBACK.name, partition=partition)
        start = self._next.get(partition)
        if start is None or start > end:  # the first look, or the topic was made anew
            at_ms = self._clock.now_ms() - SINCE_MS
            start = self._broker.offset_at(FEEDBACK.name, partition=partition, at_ms=at_ms)
        for feedback in self._read(partition, start) if start < end else ():
            self._keep(feedback)
        self._next[partition] = end

    def _read(self, partition: int, start: int) -> Iterator[Feedback]:
        for record in self._broker.read(FEEDBACK.name, partition=partition, start=start):
            try:
                yield Feedback.model_validate_json(record.value or b"")
            except ValidationError as e:
                _log.warning("feedback %d/%d is left out: %s", partition, record.offset, first_error(e))

    def _keep(self, feedback: Feedback) -> None:
        if feedback.event is None:
            return
        with self._lock:
            kept = self._of.setdefault(feedback.event, deque(maxlen=SHOWN))
            if all(feedback.id != one.id for one in kept):
                self._count += len(kept) < SHOWN
                kept.append(feedback)
            self._of.move_to_end(feedback.event)
            while self._count > KEPT_MAX:
                _, forgotten = self._of.popitem(last=False)
                self._count -= len(forgotten)


_HEADERS = (("content-type", b"application/json"),)
