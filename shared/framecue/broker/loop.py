"""The delivery loop: work first, then one atomic commit of everything that a batch gave. It knows no stage.

Errors are of two kinds. The data's fault is the stage's own business: it returns a dead letter and goes on. Our own
fault has a limit, so that a bad deploy cannot empty a topic into the dead letters: past 1 % of the last 1 000 records
the loop raises, and nothing of that batch is committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from framecue.broker.protocol import Broker, Message, Offsets, Record, TopicPartition
from framecue.errors import InternalError

LAST_RECORDS = 1_000
"""How far back failures are counted."""
MAX_FAILED = 10
"""1 % of them: also the most that may fail of the first few, so one odd record does not stop a young worker."""
MAX_RECORDS = 32
"""The most records of one batch; of 2 s segments, about a minute of video."""


@dataclass(frozen=True)
class Outputs:
    """What a batch gave: `given` has for each of its records, in order, the messages to be written.

    `failed` records met a fault of our own.
    """

    given: tuple[tuple[Message, ...], ...] = ()
    failed: int = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of them, in the order in which they are to be written."""
        return tuple(message for given in self.given for message in given)


@dataclass(frozen=True)
class Position:
    """How far one input partition was read and committed, of how much; both are offsets."""

    read: int
    end: int


class Stage(Protocol):
    """One step. `handle`, `take` and `leave` are called from one thread, `note` and `tick` from another.

    Most stages are maps and derive from `MapStage`.
    """

    def handle(self, batch: Sequence[Record]) -> Outputs:
        """What `batch` gives; sends nothing itself. May block for as long as the work takes.

        A batch has records of partitions that were taken, in the order of each. Raises InternalError when the batch as
        a whole cannot be worked on now; then nothing of it counts as done, and every partition is left and taken again.
        """
        ...

    def take(self, at: TopicPartition, note: str) -> None:
        """`at` is this worker's from here on, and goes on from what is committed: state is made again from the log.

        `note` is what the worker before noted. May block. Raises BrokerError, or SetupError where it must not go on.
        """
        ...

    def leave(self, at: TopicPartition) -> None:
        """`at` is no longer this worker's, or was not committed: whatever is remembered of it is void."""
        ...

    def note(self, at: TopicPartition) -> str:
        """A few words for the next owner of `at`, kept with each commit."""
        ...

    def tick(self, positions: Mapping[TopicPartition, Position], *, now_ms: int) -> tuple[Message, ...]:
        """What is to be written about the partitions owned; asked once a second, with the broker's time."""
        ...


class MapStage:
    """A stage without state: every record for itself."""

    def take(self, at: TopicPartition, note: str) -> None:
        """Nothing to remember."""

    def leave(self, at: TopicPartition) -> None:
        """Nothing to forget."""

    def note(self, at: TopicPartition) -> str:
        """Nothing to say."""
        return ""

    def tick(self, positions: Mapping[TopicPartition, Position], *, now_ms: int) -> tuple[Message, ...]:
        """Nothing to write."""
        return ()


class ErrorBudget:
    """How many of the last records failed by our own fault."""

    def __init__(self, *, last_records: int = LAST_RECORDS, max_failed: int = MAX_FAILED) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._records = self._failed = 0
        self._last_records, self._max_failed = last_records, max_failed

    def spend(self, records: int, failed: int) -> None:
        """Counts one batch; raises InternalError when too many of the last records failed."""
        self._batches.append((records, failed))
        self._records += records
        self._failed += failed
        while self._records - self._batches[0][0] >= self._last_records:
            old_records, old_failed = self._batches.popleft()
            self._records -= old_records
            self._failed -= old_failed
        if self._failed > self._max_failed:
            raise InternalError(
                f"{self._failed} of the last {self._records} records failed by our own fault, more than "
                f"{self._max_failed}: stopping, so that good input does not end in the dead letters"
            )


class Loop:
    """One stage over its topics, as a member of `group`. From one thread."""

    def __init__(
        self, broker: Broker, stage: Stage, *, group: str, topics: Sequence[str], max_records: int = MAX_RECORDS
    ) -> None:
        self._broker, self._stage = broker, stage
        self._consumer = broker.consumer(group, topics)
        self._max_records = max_records
        self._budget = ErrorBudget()

    def run_once(self, *, timeout_s: float = 0.0) -> Outputs | None:
        """One batch from poll to commit; what was committed, or None when nothing came within `timeout_s`.

        When anything raises, nothing of the batch was written and the consumer stands where the group last committed.
        """
        try:
            # 1. Read. Nothing is promised yet.
            batch = self._consumer.poll(self._max_records, timeout_s=timeout_s)
            if not batch:
                return None
            # 2. Work: decode, embed, fold. No transaction is open, however long it takes.
            outputs = self._stage.handle(batch)
            # 3. Stop rather than dead-letter a whole topic.
            self._budget.spend(len(batch), outputs.failed)
            # 4. Begin, send, check every send, offsets, commit: one call of the broker, all or nothing.
            self._broker.commit(outputs.messages, consumer=self._consumer, offsets=_after(batch))
        except BaseException:
            # 5. Nothing happened: read again from what is committed.
            self._rewind()
            raise
        return outputs

    def drain(self) -> Iterator[Outputs]:
        """Batch after batch, until nothing is left to read."""
        while (outputs := self.run_once()) is not None:
            yield outputs

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _rewind(self) -> None:
        for at in self._consumer.assignment():
            self._consumer.seek(at, self._consumer.committed(at))


def _after(batch: Sequence[Record]) -> Offsets:
    """Where to go on after `batch`."""
    return {TopicPartition(r.topic, r.partition): r.offset + 1 for r in batch}
