"""A member of a consumer group on Kafka, with the client's traps closed. It must not know any producer.

- A join that ends between two polls is thrown away and begun again, so that short polls never finish one; and one that
  a change of metadata asked for is forgotten when a poll ends meanwhile: no heartbeats, no exception, for ever. So
  metadata is loaded first, both are mended before each poll, and a member that has not joined for long is made again.
- What was fetched of a partition that is paused is parked, and after `resume` never found again; see `_poll`.
- A static member that was displaced goes on polling as if nothing were; its heartbeats stop, and that is seen here.
- A member that is left out while it joins comes back as another one, and is not told that it lost anything.
- A static member never leaves: closing it, but no successor of it, is said to the broker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any

from kafka import KafkaConsumer as Client
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from framecue.broker.kafka.assignor import NumberedStickyAssignor
from framecue.broker.kafka.connection import Admin, KafkaConnection, broker_errors, connect, displaced
from framecue.broker.kafka.producer import GroupOffsets
from framecue.broker.kafka.reading import record_of
from framecue.broker.protocol import NOTE_MAX, Handover, Notes, Offsets, Record, TopicPartition
from framecue.errors import BrokerError, FrameCueError

SHORTEST_POLL_S = 0.005
"""With 0 the client does not even look."""
STUCK_S = 60.0
"""On top of the session time-out: a join that takes longer never ends."""
HEARTBEAT_MS = 500
"""Also how soon a member hears of a newcomer; each of the two steps of a handover waits for it."""
POLL_INTERVAL_MS = 60_000
"""A poll thread that is away for longer holds up the whole group, and is left out."""
FETCH_WAIT_MS = 100
"""A partition that is sought or resumed waits for the fetch under way, which is without it."""
PARTITION_BYTES = 4 << 20
FETCH_BYTES = 32 << 20
_log = logging.getLogger(__name__)


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """`broker.protocol.Consumer`. `settle` ends what this worker's producer may have left open."""

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        *,
        topics: Sequence[str],
        slot: str | None,
        admin: Admin,
        settle: Callable[[], None],
        before_handover: Handover | None,
    ) -> None:
        self.group = connection.group(group)
        self.instance_id = None if slot is None else f"{self.group}-{slot}"
        self._connection, self._admin, self._settle, self._before_handover = connection, admin, settle, before_handover
        self._names = {connection.topic(name): name for name in topics}
        self._owned: dict[TopicPartition, int] = {}
        self._leaving: set[TopicPartition] = set()
        self._numbers = count(1)
        self._unjoined_since: float | None = None
        self._member_id = ""
        self._closed = False
        self._client, self._assignor = self._connect()

    def poll(self, max_records: int, *, timeout_s: float = 0.0) -> Sequence[Record]:
        self._check_open()
        with broker_errors("reading", self._connection):
            return self._poll(max_records, timeout_s)

    def assignment(self) -> Mapping[TopicPartition, int]:
        return dict(self._owned)

    def position(self, at: TopicPartition) -> int:
        key = self._check_owned(at)
        with broker_errors("asking for a position", self._connection):
            position = self._client.position(key, timeout_ms=self._connection.answer_timeout_ms)
        if position is None:
            raise BrokerError(f"the position in {at.topic} {at.partition} is not known yet")
        return int(position)

    def end(self, at: TopicPartition) -> int:
        return self.ends([at])[at]

    def ends(
        self, partitions: Collection[TopicPartition], *, within_s: float | None = None
    ) -> Mapping[TopicPartition, int]:
        limit_ms = self._connection.answer_timeout_ms if within_s is None else int(within_s * 1000)
        keys = {at: self._connection.partition(at) for at in partitions}
        with broker_errors("asking for an end", self._connection):
            found = self._client.end_offsets(list(keys.values()), timeout_ms=limit_ms) if keys else {}
        return {at: int(found[key]) for at, key in keys.items()}

    def committed(self, at: TopicPartition) -> int:
        if (found := self._found(at)) is not None:
            return int(found.offset)
        key = self._connection.partition(at)
        with broker_errors("asking for the oldest record", self._connection):
            return int(self._client.beginning_offsets([key], timeout_ms=self._connection.answer_timeout_ms)[key])

    def note(self, at: TopicPartition) -> str:
        found = self._found(at)
        return "" if found is None else str(found.metadata or "")

    def seek(self, at: TopicPartition, offset: int) -> None:
        key = self._check_owned(at)
        with broker_errors("seeking", self._connection):
            self._client.seek(key, offset)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._client.pause(*(self._connection.partition(at) for at in partitions if at in self._owned))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._client.resume(*(self._connection.partition(at) for at in partitions if at in self._owned))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        membership = self._client.group_metadata()
        self._disconnect()
        if self.instance_id is not None and membership.member_id:
            try:
                self._admin.remove_member(self.group, self.instance_id, membership.member_id)
            except FrameCueError as e:
                _log.warning("%s: left without a word, others wait for the session time-out: %s", self.group, e)

    def group_offsets(self, offsets: Offsets, notes: Notes) -> GroupOffsets:
        """`offsets` and `notes` for a transaction; raises BrokerError for a partition that is not this member's."""
        self._check_open()
        if lost := offsets.keys() - self._owned.keys() - self._leaving:
            raise BrokerError(f"this consumer no longer owns {', '.join(f'{t} {p}' for t, p in sorted(lost))}")
        if long := [at for at in offsets if len(notes.get(at, "")) > NOTE_MAX]:
            raise BrokerError(f"the note for {long[0].topic} {long[0].partition} is longer than {NOTE_MAX} characters")
        membership = self._client.group_metadata()
        if membership.generation_id < 0:  # without one the broker would take them from anybody
            raise BrokerError("the group was rebalanced without this consumer, and nothing was committed")
        return GroupOffsets(
            {
                self._connection.partition(at): OffsetAndMetadata(offset, notes.get(at, ""), -1)
                for at, offset in offsets.items()
            },
            membership,
        )

    def is_displaced(self) -> bool:
        """Whether the broker knows another member under this one's instance id."""
        if self.instance_id is None:
            return False
        holder, ours = self._admin.member_of(self.group, self.instance_id), self._client.group_metadata().member_id
        return holder is not None and bool(ours) and holder != ours

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Called by the client on its own thread, while `poll` waits; so are the next two."""
        for key in sorted(assigned):
            self._owned[self._ours(key)] = next(self._numbers)

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        leaving = {self._ours(key) for key in revoked} & self._owned.keys()
        for at in leaving:
            del self._owned[at]
        if not leaving or self._before_handover is None or self._closed or self._is_another():
            return
        self._leaving = leaving  # a commit for these still counts: nobody has them yet
        try:
            self._before_handover(leaving)
        except FrameCueError as e:
            _log.warning("%s: the last commit before a handover failed: %s", self.group, e)
        finally:
            self._leaving = set()

    def on_partitions_lost(self, lost: Collection[Any]) -> None:
        self._assignor.forget()
        for key in lost:
            self._owned.pop(self._ours(key), None)

    def _connect(self) -> tuple[Any, NumberedStickyAssignor]:
        assignor = NumberedStickyAssignor()
        client = connect(
            Client,
            self._connection,
            group_id=self.group,
            group_instance_id=self.instance_id,
            partition_assignment_strategy=[assignor],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=self._connection.session_timeout_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=POLL_INTERVAL_MS,
            request_timeout_ms=self._connection.answer_timeout_ms,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            metrics_enabled=False,
        )
        try:
            with broker_errors("joining a group", self._connection):
                client.subscribe(list(self._names), listener=self)
                for name in self._names:
                    client.partitions_for_topic(name)
        except BaseException:
            client.close(autocommit=False, timeout_ms=0)
            raise
        return client, assignor

    def _disconnect(self) -> None:
        try:
            self._client.close(autocommit=False, timeout_ms=2_000)
        except KafkaError as e:
            _log.warning("%s: closing a consumer failed: %s", self.group, e)
        self._owned.clear()

    def _poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        self._see_to_membership()
        fetcher = self._client._fetcher
        if not fetcher._next_partition_records:  # drained; only None lets it go on with what was parked
            fetcher._next_partition_records = None
        timeout_ms = max(timeout_s, SHORTEST_POLL_S) * 1_000
        batch = self._client.poll(timeout_ms=timeout_ms, max_records=max(max_records, 1))
        if self._is_another():  # and what it owns may have been somebody else's in between
            self._owned = {at: next(self._numbers) for at in self._owned}
        self._member_id = self._client.group_metadata().member_id or self._member_id
        if max_records > 0:
            return [record_of(record, self._names[record.topic]) for records in batch.values() for record in records]
        for key, records in batch.items():
            self._client.seek(key, records[0].offset)
        return ()

    def _see_to_membership(self) -> None:
        coordinator, state = self._client._coordinator, self._client.group_metadata().state
        if state == MemberState.STABLE:
            self._unjoined_since = None
            if not coordinator._heartbeat_enabled:  # only a fenced member stops its heartbeats while it is stable
                raise displaced(self._connection)
            return
        join = coordinator._join_task
        if join is not None and join.is_done:
            coordinator._join_task = _Finished(join)
        if state == MemberState.REBALANCING and not coordinator.need_rejoin():
            coordinator.request_rejoin()
        now_s = time.monotonic()
        if self._unjoined_since is None:
            self._unjoined_since = now_s
        elif now_s - self._unjoined_since > self._connection.session_timeout_ms / 1_000 + STUCK_S:
            _log.warning("%s: a join did not end, the consumer is made again", self.group)
            client, assignor = self._connect()
            self._disconnect()
            self._client, self._assignor, self._unjoined_since = client, assignor, now_s

    def _is_another(self) -> bool:
        """Whether the group knows this consumer as another member than at the end of the last poll."""
        now = self._client.group_metadata().member_id
        return bool(now) and bool(self._member_id) and now != self._member_id

    def _found(self, at: TopicPartition) -> Any:
        """What the group committed, with its note; None where nothing was."""
        self._settle()
        with broker_errors("asking for what is committed", self._connection):
            return self._client.committed(
                self._connection.partition(at), metadata=True, timeout_ms=self._connection.undecided_ms
            )

    def _ours(self, key: Any) -> TopicPartition:
        return TopicPartition(self._names[key.topic], key.partition)

    def _check_owned(self, at: TopicPartition) -> Any:
        if at not in self._owned:
            raise BrokerError(f"this consumer does not own {at.topic} {at.partition}")
        return self._connection.partition(at)

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerError("this consumer is closed, and no member of its group")


class _Finished:
    """A join that ended while nobody polled, as one that is under way: the client takes it, and begins no other."""

    is_done = False

    def __init__(self, join: Any) -> None:
        self._join = join
        self.add_callback, self.add_errback = join.add_callback, join.add_errback

    def __await__(self) -> Any:
        return self._join.__await__()
