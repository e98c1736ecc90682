"""What the delivery loop runs: one step of the pipeline, batch by batch. It must not know the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from framecue.broker.protocol import Message, Record, TopicPartition


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

    Most stages are maps and derive from `MapStage`. `tick_every_s` None: `tick` is never called. `is_risky`: the work
    may end the process, as a decoder or a model can; only then are the attempts at a record counted.
    """

    tick_every_s: float | None
    is_risky: bool

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
        """What is to be written about the partitions owned; with the broker's time, taken before `positions`."""
        ...


class MapStage:
    """A stage without state: every record for itself."""

    tick_every_s: float | None = None
    is_risky: bool = True

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
