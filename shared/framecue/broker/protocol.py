"""What the stages need of a message broker: read-committed consumers in groups, atomic commits, fetch by offset.

The docstrings are the contract; `tests/contract/test_broker.py` holds every implementation to it. Topics are named as
in `schemas.topics` ("segments"), never by the broker's own names: the prefix is the implementation's business. It must
not know any stage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from framecue.errors import BrokerError
from framecue.schemas.segment import Headers
from framecue.schemas.topics import TOPICS, Topic, murmur2


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


Offsets = Mapping[TopicPartition, int]
"""For each partition the offset of the next record to read."""
Start = int | Literal["oldest", "now"]
"""Where a tail begins: a time in ms, or one of these words."""
Notes = Mapping[TopicPartition, str]
"""For partitions of `Offsets`, a few words that are kept beside the committed offset."""
NOTE_MAX = 1_024
"""Characters of one note."""


@dataclass(frozen=True)
class Message:
    """What is to be written. Without `partition` its key decides, by murmur2; `value` None deletes a compacted key."""

    topic: str
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = ()
    partition: int | None = None


@dataclass(frozen=True)
class Record:
    """What was read.

    `timestamp_ms` is the broker's append time on topics that say so, else the time of writing; None only from a memory
    broker without a clock, whose input has no arrival.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = ()


Handover = Callable[[Collection[TopicPartition]], None]


class Consumer(Protocol):
    """One member of a group. Used by one thread only; `close` leaves the group.

    Reads only what was committed. The records of a partition come in the order of their offsets, which may skip numbers
    (transaction markers); nothing is promised between partitions. A group that never committed starts at the oldest
    record. Each partition belongs to one member at a time, and equal partition numbers of the group's topics to the
    same one; who owns what changes only inside `poll`.
    """

    def poll(self, max_records: int, *, timeout_s: float = 0.0) -> Sequence[Record]:
        """Up to `max_records`, waiting up to `timeout_s` for the first; empty when there were none.

        A partition that stays assigned over a rebalance keeps its position and its pause. Raises BrokerError.
        """
        ...

    def assignment(self) -> Mapping[TopicPartition, int]:
        """What this member owns, as of the last `poll`, each with a number.

        A partition that was lost and came back has another number than before, also when both happened in one `poll`:
        somebody else may have worked on it in between.
        """
        ...

    def position(self, at: TopicPartition) -> int:
        """The offset that `poll` goes on from; raises BrokerError when the partition is not owned."""
        ...

    def end(self, at: TopicPartition) -> int:
        """The offset after the last committed record: a consumer whose position reaches it is caught up."""
        ...

    def ends(
        self, partitions: Collection[TopicPartition], *, within_s: float | None = None
    ) -> Mapping[TopicPartition, int]:
        """The same of several, in one question; raises BrokerError where there is no answer, `within_s` or as usual."""
        ...

    def committed(self, at: TopicPartition) -> int:
        """Where the group would go on after a crash: the offset it committed, else the oldest record's.

        Waits for a commit of whoever owned the partition before that is still being decided.
        """
        ...

    def note(self, at: TopicPartition) -> str:
        """What was noted beside the committed offset; empty where nothing was."""
        ...

    def seek(self, at: TopicPartition, offset: int) -> None:
        """Goes on from `offset`, or from the oldest record where that is later; raises as `position` does."""
        ...

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """`poll` gives nothing of these until `resume`; the membership lives on."""
        ...

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """`poll` gives records of these again."""
        ...

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        ...


class Tail(Protocol):
    """What is committed to some partitions, from a place on, for ever, without a group. Used by one thread only.

    Records of a partition come in order; nothing is promised between partitions. While the broker is away `poll` waits
    for it, and misses nothing when it is back.
    """

    @property
    def log_id(self) -> bytes:
        """Names these very topics: another after they were deleted and made again. No client of ours shows it."""
        ...

    @property
    def lost(self) -> frozenset[TopicPartition]:
        """Partitions that do not hold the place to go on from, or no longer: they go on at their oldest record."""
        ...

    def positions(self) -> Offsets:
        """Where each partition goes on. Raises BrokerError."""
        ...

    def caught_up(self) -> bool:
        """Whether `poll` gave all that was committed when this was made. Raises BrokerError."""
        ...

    def poll(self, max_records: int, *, timeout_s: float) -> list[Record]:
        """Up to `max_records`, waiting up to `timeout_s` for the first. Raises BrokerError."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class Broker(Protocol):
    """Messages in, records out. All methods may block on the network and be called from any thread."""

    def partitions(self, topic: str) -> int:
        """How many partitions a topic of `schemas.topics` has; raises BrokerError for any other name."""
        ...

    def consumer(self, group: str, topics: Sequence[str], *, before_handover: Handover | None = None) -> Consumer:
        """A new member of `group`, reading `topics`.

        `before_handover` is called inside `poll`, perhaps on a thread of the client while `poll` waits for it, when
        partitions are about to go to another member in good order, and commits for them still count: it may `commit`
        with this consumer, and must call nothing else of it. It is not called for what was lost. What it raises is
        logged.
        """
        ...

    def commit(
        self,
        messages: Sequence[Message],
        *,
        consumer: Consumer | None = None,
        offsets: Offsets | None = None,
        notes: Notes | None = None,
    ) -> None:
        """Writes all of `messages` and records `offsets` and `notes` for the group of `consumer`, or does neither.

        Offsets that come without a note lose the one they had. Per partition the order of `messages` is kept. Raises
        BrokerError when a message is above its topic's limit (naming both sizes) or names no partition or topic that
        exists, or when the consumer lost a partition, or its group was rebalanced since it last polled: then nothing
        was written. It may also be that nobody knows what was written. In every case whoever calls forgets what it
        made, and rewinds to `committed`, which says what happened. Raises DisplacedError when another worker has the
        place of this one.
        """
        ...

    def fetch(self, topic: str, *, partition: int, offset: int) -> Record | None:
        """The committed record at `offset`; None where there is none (any more)."""
        ...

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        """The committed records from `start`, else from the oldest after it, in order, up to `end` as of the call.

        Waits for what is still being decided ahead of that end, so that nothing is missed. Raises BrokerError.
        """
        ...

    def tail(self, topics: Sequence[str], *, start: Start | Offsets = "now") -> Tail:
        """Follows all partitions of `topics` from `start` on; where that names places, only the partitions it names.

        Raises BrokerError, and SetupError where a topic is missing.
        """
        ...

    def end(self, topic: str, *, partition: int) -> int:
        """The offset after the last record, committed or not: what is written from now on stands at or after it."""
        ...

    def offset_at(self, topic: str, *, partition: int, at_ms: int) -> int:
        """The offset of the first record whose time is `at_ms` or later, or `end` where there is none."""
        ...

    def now_ms(self) -> int | None:
        """The broker's wall time as far as this side knows it: never ahead of it, and a moment behind at most.

        It goes by the append times of what this side wrote last. None from a memory broker without a clock.
        """
        ...

    def close(self) -> None:
        """Ends what runs in the background. Consumers are closed by who made them, before."""
        ...


def known_topic(name: str) -> Topic:
    """The row of the topics table; raises BrokerError for a name that is not in it."""
    if name not in TOPICS:
        raise BrokerError(f"there is no topic {name!r}; there are {', '.join(TOPICS)}")
    return TOPICS[name]


def place(record: Record) -> TopicPartition:
    """The partition that `record` was read from."""
    return TopicPartition(record.topic, record.partition)


def placed(message: Message, partitions: int) -> int:
    """The partition that `message` belongs on; raises BrokerError when neither it nor its key says."""
    if message.partition is not None:
        if 0 <= message.partition < partitions:
            return message.partition
        raise BrokerError(f"{message.topic} has {partitions} partitions, there is no {message.partition}")
    if message.key is None:
        raise BrokerError(f"a message for {message.topic} has neither key nor partition")
    return murmur2(message.key) % partitions


def size(message: Message | Record) -> int:
    """The bytes of `message` that count against its topic's limit: key, value, and headers with their lengths."""
    own = len(message.key or b"") + len(message.value or b"")
    return own + sum(_framed(len(name.encode())) + _framed(len(value)) for name, value in message.headers)


def _framed(length: int) -> int:
    """`length` bytes with the zigzag varint before them (kafka.apache.org/documentation, "Record Header")."""
    return length + (max(length << 1, 1).bit_length() + 6) // 7


def check_size(message: Message) -> None:
    """Raises BrokerError where `message` is above its topic's limit; a real broker would spoil the producer first."""
    limit, got = known_topic(message.topic).max_bytes, size(message)
    if got > limit:
        raise BrokerError(f"a message for {message.topic} has {got} bytes; the topic takes {limit}")
