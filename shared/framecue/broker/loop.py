"""The delivery loop: work first, then one atomic commit of everything that was made. It knows no stage.

One thread reads and commits, always, and takes the numbered steps of `Loop.run_once`; the work is done beside it.
Whatever fails, what the broker says is committed is what happened: the loop forgets the rest and starts from there.

Errors are of two kinds. The data's fault is the stage's own business: it returns a dead letter and goes on. Our own
fault is tried again with less at once, down to the one record that cannot be worked on, which becomes a dead letter;
and it has a limit, so that a bad deploy cannot empty a topic into the dead letters: past 1 % of the last 1 000 records
the loop stops. A record that ends the process is found the same way, by `broker.attempts`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any, TypeVar

from framecue.broker.attempts import ATTEMPTS_MAX, Attempts
from framecue.broker.backlog import ANSWER_S, Backlog
from framecue.broker.budget import ErrorBudget
from framecue.broker.protocol import Broker, Message, Record, TopicPartition, check_size, place, size
from framecue.broker.publishing import dead_letter
from framecue.broker.queue import Queue
from framecue.broker.stage import Outputs, Position, Stage
from framecue.broker.tally import Tally
from framecue.errors import (
    BrokerError,
    DisplacedError,
    FaultRateError,
    FrameCueError,
    InternalError,
    SetupError,
    StoreError,
)

T = TypeVar("T")
BUSY_S, IDLE_S = 0.02, 0.25
"""How long to wait for records while work may be done at any moment, and while there is none."""
BACK_OFF_S, BACK_OFF_MAX_S = 0.05, 2.0
FINISH_S = 10.0
"""How long a worker that is told to stop waits for the work under way."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopSettings:
    """Bounds of one loop; `settings.DeliverySettings` says what each is for."""

    max_records: int = 32
    queue_bytes: int = 64 << 20
    commit_every_ms: int = 100
    commit_bytes: int = 4 << 20


class Loop:
    """One stage over its topics, as a member of `group`. Every method from one thread, but for `Stage` calls.

        poll ──► queue ──► work thread: handle ──► done ──► one commit: outputs, offsets, notes
                  │ full: pause                     │
                  └──────── seek to committed ◄─────┴── anything failed: forget, take again

    Without `executor` the work is done in the calling thread, which is how one process runs all stages in turn.
    """

    def __init__(
        self,
        broker: Broker,
        stage: Stage,
        *,
        group: str,
        topics: Sequence[str],
        settings: LoopSettings = LoopSettings(),
        executor: Executor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker, self._stage, self._group = broker, stage, group
        self._settings, self._monotonic = settings, monotonic
        self._executor = executor or InlineExecutor()
        self._commit_every_s = 0 if executor is None else settings.commit_every_ms / 1000
        self._owned: dict[TopicPartition, _Owned] = {}
        self._queue = Queue(settings.queue_bytes)
        self._working: _Work | None = None
        self._chores: deque[Future[None]] = deque()
        self._done: list[_Done] = []
        self._condemned: dict[tuple[TopicPartition, int], Exception] = {}
        self._budget = ErrorBudget()
        self._ticked_at = self._not_before = -math.inf
        self._must_start_over = self._is_paused = False
        self._backlog = Backlog(group, topics, now_s=monotonic())
        self._tally = Tally(group, topics)
        self._consumer = broker.consumer(group, topics, before_handover=self._hand_over)

    @property
    def settled(self) -> bool:
        """Whether partitions are owned, their state is restored, and nothing has failed since."""
        return bool(self._owned) and not self._chores and not self._must_start_over

    @property
    def waiting_records(self) -> int:
        """How many records were read and wait for work."""
        return len(self._queue)

    def run_once(self, *, timeout_s: float = 0.0) -> Outputs | None:
        """One turn: what it committed, or None when nothing was. Waits up to `timeout_s` for something to read.

        When anything raises, nothing of what was not committed counts: the next turn begins where the group last
        committed. Raises what a stage or the broker raised.
        """
        try:
            # 1. Start over, where the last turn failed: what is committed is what happened.
            self._start_over()
            # 2. Read, always: a member that does not poll holds up its whole group. What may not wait is paused.
            self._read(timeout_s)
            # 3. Forget what went to others, take what came: state is made again beside this thread.
            self._change_hands()
            # 4. Take up what is done; more faults of our own than may be stop the worker before they are written.
            self._collect()
            # 5. Work on the next beside this thread: decode, embed, fold. No transaction is open, however long that is.
            self._work()
            self._collect()  # done at once, where there is no other thread
            # 6. Begin, send, check every send, offsets, commit: one call of the broker, all or nothing, and late.
            committed = self._commit() if self._is_due() else None
            # 7. Say how far the partitions are read, once a second, and show what waits.
            self._tick()
            self._show()
        except BaseException:
            # 8. Nothing of the rest happened.
            self._must_start_over = True
            raise
        return committed

    def drain(self) -> Iterator[Outputs]:
        """Turn after turn, until nothing is left to read."""
        while (outputs := self.run_once()) is not None:
            yield outputs

    def run(self, stop: Event, *, on_settled: Callable[[bool], None] = lambda _: None) -> None:
        """Turns until `stop` is set, then hands over in good order. `on_settled` hears when `settled` changes.

        What failed counts until something is committed, or nothing is left to try again: until then a loop is not
        settled here, and the pauses between attempts grow.

        What the broker, the store or a batch raises is logged, and tried again from what is committed. Raises
        DisplacedError, SetupError, and FaultRateError once too many records failed.
        """
        failures, settled = 0, False
        try:
            while not stop.is_set():
                try:
                    committed = self.run_once(timeout_s=BUSY_S if self._working or self._chores else IDLE_S)
                    failures = 0 if committed is not None or self._is_at_rest() else failures
                except (DisplacedError, SetupError, FaultRateError):
                    raise
                except Exception as e:
                    if stop.is_set():
                        self._leave_undone(e)
                        break
                    failures += 1
                    self._back_off(e, failures, stop)
                if settled != (self.settled and not failures):
                    settled = not settled
                    on_settled(settled)
            self._finish()
        finally:
            on_settled(False)
            self.close()

    def _is_at_rest(self) -> bool:
        """Whether nothing is left to do, for long enough that whatever failed would have been read again."""
        is_idle = self.settled and self._working is None and not self._queue
        return is_idle and self._monotonic() > self._not_before + BACK_OFF_MAX_S

    def _back_off(self, error: Exception, failures: int, stop: Event) -> None:
        """Says what failed, and begins no work for a while; the group goes on hearing from us."""
        self._tally.failed(error)
        pause_s = min(BACK_OFF_S * 2 ** min(failures, 10), BACK_OFF_MAX_S)
        self._not_before = self._monotonic() + pause_s
        unforeseen = None if isinstance(error, FrameCueError) else error  # only its trace says what happened
        _log.warning("%s: %s; trying again in %.1f s", self._group, error, pause_s, exc_info=unforeseen)
        if isinstance(error, BrokerError):
            stop.wait(pause_s)

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()
        self._backlog.clear()

    # 1: start over

    def _start_over(self) -> None:
        """Reads again from what is committed, with state that rests on nothing else."""
        if not self._must_start_over:
            return
        self._done.clear()
        self._chores.clear()
        if self._working is not None:
            self._working.void = self._working.places
        for at in self._owned:  # what was read of others waits until they are taken
            self._queue.drop(at)
        kept = self._owned.keys() & self._consumer.assignment().keys()  # the rest goes when hands are changed
        for at in kept:
            owned = self._owned[at]
            owned.committed = self._consumer.committed(at)
            _, owned.note = _read_note(self._consumer.note(at))
            owned.attempts.stored = -1
            self._consumer.seek(at, owned.committed)
        self._condemned = {(at, n): e for (at, n), e in self._condemned.items() if self._is_to_come(at, n)}
        for at, offset in self._condemned:  # the letter was not written: still alone, and not worked on again
            self._owned[at].attempts.suspect(offset + 1, tried=1)
        for at in kept:
            self._take(at, forget=True)
        self._must_start_over = False

    def _is_to_come(self, at: TopicPartition, offset: int) -> bool:
        return at in self._owned and offset >= self._owned[at].committed

    # 2: read

    def _read(self, timeout_s: float) -> None:
        full = self._queue.is_full or (self._is_paused and not self._queue.is_low)
        if full:
            self._consumer.pause(self._owned.keys())  # each time, since a new partition comes unpaused
        elif self._is_paused:
            self._consumer.resume(self._owned.keys())
        self._is_paused = full
        is_busy = self._working is not None
        is_free = not is_busy and not self._chores and self._monotonic() >= self._not_before
        is_due = is_free and len(self._queue) > 0
        records = self._consumer.poll(self._settings.max_records, timeout_s=0 if is_due or is_busy else timeout_s)
        if self._working is not None and not records:
            wait((self._working.future,), timeout=timeout_s)  # nothing that comes meanwhile could be worked on
        if records:
            self._queue.extend(records)
            self._backlog.moved(self._monotonic())
        if self._must_start_over:
            raise BrokerError("what was done could not be written before a handover")

    # 3: change hands

    def _change_hands(self) -> None:
        assignment = self._consumer.assignment()
        gone = [at for at, owned in self._owned.items() if assignment.get(at) != owned.number]
        taken = {}
        for at, number in assignment.items():
            if at not in self._owned or at in gone:
                committed, end = self._consumer.committed(at), self._consumer.end(at)
                attempt, note = _read_note(self._consumer.note(at))
                attempt = attempt if self._stage.is_risky else 0
                taken[at] = _Owned(number, committed, note, Attempts.seen(attempt, committed=committed, end=end))
        # All is asked by now: what raises from here on would leave records that were read, and that nobody owns.
        for at in gone:
            self._drop(at)
            if at in taken:  # back within one poll: what was read since, and the position, tell nothing
                self._consumer.seek(at, taken[at].committed)
        for at, owned in taken.items():
            self._owned[at] = owned
            self._take(at)

    def _drop(self, at: TopicPartition) -> None:
        """`at` is somebody else's: what was read of it, and made of that, is theirs to do again."""
        del self._owned[at]
        self._queue.drop(at)
        self._done = [d.without(at) for d in self._done]
        if self._working is not None:
            self._working.void.add(at)
        self._chores.append(self._executor.submit(self._stage.leave, at))

    def _take(self, at: TopicPartition, *, forget: bool = False) -> None:
        if forget:
            self._chores.append(self._executor.submit(self._stage.leave, at))
        owned = self._owned[at]
        owned.taken = self._executor.submit(self._stage.take, at, owned.note)
        self._chores.append(owned.taken)

    # 4: collect

    def _collect(self) -> None:
        work = self._working
        if work is None or not work.future.done():
            return
        self._working = None
        if work.void >= work.places:
            return
        try:
            outputs = work.future.result()
            _check(outputs, work.batch)
        except (BrokerError, StoreError, SetupError):
            raise  # whatever the batch
        except Exception as e:
            if not work.void:
                self._blame(work.batch, e)
            raise
        done = _Done(work.batch, outputs.given, outputs.failed, self._monotonic())
        for at in work.void:
            done = done.without(at)
        if done.batch:
            self._budget.check(len(done.batch), done.failed)
            self._done.append(done)

    def _blame(self, batch: Sequence[Record], error: Exception) -> None:
        """The next attempt takes less at once; one record alone that fails is a dead letter."""
        if len(batch) == 1:
            self._budget.check(1, 1)
            self._condemned[_spot(batch[0])] = error
        for record in batch:
            self._owned[place(record)].attempts.suspect(record.offset + 1, tried=len(batch))

    # 5: work

    def _work(self) -> None:
        while self._chores and self._chores[0].done():
            self._chores.popleft().result()
        if self._working is not None or self._chores or self._monotonic() < self._not_before:
            return
        batch = self._next_batch()
        if not batch:
            return
        self._mark(batch)
        if len(batch) == 1 and (error := self._condemned.get(_spot(batch[0]))) is not None:
            letter = dead_letter(batch[0], self._group, error)
            self._working = _Work(batch, self._executor.submit(lambda: Outputs(((letter,),), failed=1)))
        else:
            self._working = _Work(batch, self._executor.submit(self._handle, batch))

    def _handle(self, batch: Sequence[Record]) -> Outputs:
        with self._tally.working(len(batch)):
            return self._stage.handle(batch)

    def _next_batch(self) -> list[Record]:
        """What is worked on next: of a suspect partition only a little, alone, and with everything before committed."""
        for at, owned in self._owned.items():
            attempts = owned.attempts
            if not attempts.is_suspect(owned.committed):  # nor is what follows it
                continue
            front = self._queue.front(at)
            if front is None:
                continue
            if self._done:
                return []
            attempts.reach(front.offset)
            if not attempts.is_suspect(front.offset):
                continue
            if attempts.died >= ATTEMPTS_MAX:
                self._condemned[_spot(front)] = InternalError(f"{attempts.died} attempts at it ended the process")
            at_once = 1 if _spot(front) in self._condemned else attempts.at_once
            return self._queue.take(min(at_once, self._settings.max_records), of=at)
        return self._queue.take(self._settings.max_records)

    def _mark(self, batch: Sequence[Record]) -> None:
        """Counts the attempt beside the committed offset before it begins, where that does not say so already."""
        if not self._stage.is_risky:
            return
        notes = {}
        for at, offset in {place(r): r.offset for r in reversed(batch)}.items():  # the first of each partition
            attempts = self._owned[at].attempts
            if (attempt := attempts.now(offset)) != attempts.stored:
                notes[at] = _write_note(attempt, self._stage.note(at))
                attempts.stored = attempt
        if notes:
            offsets = {at: self._owned[at].committed for at in notes}
            self._broker.commit((), consumer=self._consumer, offsets=offsets, notes=notes)

    # 6: commit

    def _is_due(self) -> bool:
        """Whether what is done is to be written: it waited long enough, it is enough, or nothing else goes on."""
        if not self._done:
            return False
        idle = self._working is None and not self._queue
        waited_s = self._monotonic() - self._done[0].at
        enough = sum(d.size for d in self._done) >= self._settings.commit_bytes
        careful = any(self._owned[place(r)].attempts.is_suspect(r.offset) for d in self._done for r in d.batch)
        return idle or enough or careful or waited_s >= self._commit_every_s

    def _commit(self) -> Outputs:
        done, self._done = self._done, []
        outputs = Outputs(tuple(g for d in done for g in d.given), failed=sum(d.failed for d in done))
        offsets = {place(r): r.offset + 1 for d in done for r in d.batch}
        notes = {at: self._note(at, offset) for at, offset in offsets.items()}
        with self._tally.committing():
            self._broker.commit(outputs.messages, consumer=self._consumer, offsets=offsets, notes=notes)
        for at, offset in offsets.items():
            self._owned[at].committed = offset
        for d in done:
            self._budget.spend(len(d.batch), d.failed)
            for record in d.batch:
                self._condemned.pop(_spot(record), None)
        self._tally.committed([r for d in done for r in d.batch], outputs)
        return outputs

    def _note(self, at: TopicPartition, offset: int) -> str:
        """What stands beside `offset`: the attempt at what follows, which may be under way before the next commit."""
        return _write_note(self._owned[at].attempts.pass_by(offset), self._stage.note(at))

    # 7: tick

    def _tick(self) -> None:
        every_s = self._stage.tick_every_s
        if every_s is None or self._monotonic() < self._ticked_at + every_s or self._chores:
            return
        if (now_ms := self._broker.now_ms()) is None:
            return
        self._ticked_at = self._monotonic()
        messages = self._stage.tick(self._positions(self._under_way()), now_ms=now_ms)
        if messages:
            self._broker.commit(messages, consumer=self._consumer)

    def _under_way(self) -> list[Record]:
        """What was read and is not committed; of what is queued, the first of each partition."""
        working = () if self._working is None else self._working.batch
        return [*self._queue.fronts().values(), *working, *(r for d in self._done for r in d.batch)]

    def _positions(
        self, under_way: Sequence[Record], *, within_s: float | None = None
    ) -> dict[TopicPartition, Position]:
        """Up to where everything is committed: past what holds no record, such as a transaction's marker."""
        ends = self._consumer.ends(self._owned, within_s=within_s)
        waiting = {place(record) for record in under_way}
        return {
            at: Position(owned.committed if at in waiting else self._consumer.position(at), ends[at])
            for at, owned in self._owned.items()
        }

    def _show(self) -> None:
        """What waits, for operators. That nobody can say just now is no reason to start over."""
        if not self._backlog.is_due(self._monotonic()):
            return
        under_way = [record for record in self._under_way() if place(record) in self._owned]
        now_ms, now_s = self._broker.now_ms(), self._monotonic()
        try:
            positions = self._positions(under_way, within_s=ANSWER_S)
        except BrokerError:
            self._backlog.put_off(self._monotonic())
        else:
            self._backlog.show(positions, under_way, queue=self._queue, now_s=now_s, now_ms=now_ms)

    # leaving in good order

    def _hand_over(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions go to another member: what is done is written, and what is not was not an attempt that died."""
        if self._must_start_over:
            return
        try:
            if self._done:
                self._commit()
            leaving = [at for at in partitions if at in self._owned]
            offsets = {at: self._owned[at].committed for at in leaving}
            notes = {at: _write_note(self._owned[at].attempts.died, self._told(at)) for at in leaving}
            if offsets:
                self._broker.commit((), consumer=self._consumer, offsets=offsets, notes=notes)
        except BaseException:
            self._must_start_over = True  # what was done of the partitions that stay is lost too
            raise

    def _told(self, at: TopicPartition) -> str:
        """What the next owner is told: as long as the stage has not taken `at`, what this one was."""
        owned = self._owned[at]
        return self._stage.note(at) if owned.taken is not None and owned.taken.done() else owned.note

    def _finish(self) -> None:
        """Waits a while for the work that is under way, commits it, says that nothing died, and leaves."""
        try:
            deadline = self._monotonic() + FINISH_S
            self._not_before = math.inf  # nothing new is begun
            while self._working is not None and self._monotonic() < deadline:
                self.run_once(timeout_s=BUSY_S)
            self._hand_over(self._owned.keys())
        except InternalError as e:
            self._leave_undone(e)

    def _leave_undone(self, error: Exception) -> None:
        """Says what was in the way of leaving with everything committed."""
        unforeseen = None if isinstance(error, FrameCueError) else error
        _log.warning("%s: what was not committed will be done again: %s", self._group, error, exc_info=unforeseen)


class InlineExecutor(Executor):
    """Does the work at once, in the thread that asks for it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as e:
            future.set_exception(e)
        return future


@dataclass
class _Owned:
    """A partition of ours: `number` is the one of this assignment, `committed` where the group would go on.

    `taken` is the stage's taking it, with `note`.
    """

    number: int
    committed: int
    note: str
    attempts: Attempts
    taken: Future[None] | None = None


@dataclass
class _Work:
    """A batch under way; what it gives for the partitions in `void` is not wanted any more."""

    batch: Sequence[Record]
    future: Future[Outputs]
    void: set[TopicPartition] = field(default_factory=set)

    @property
    def places(self) -> set[TopicPartition]:
        return {place(r) for r in self.batch}


@dataclass(frozen=True)
class _Done:
    """A batch that waits for its commit since `at`, on the monotonic clock."""

    batch: Sequence[Record]
    given: tuple[tuple[Message, ...], ...]
    failed: int
    at: float

    @property
    def size(self) -> int:
        return sum(size(message) for given in self.given for message in given)

    def without(self, at: TopicPartition) -> _Done:
        """The same less what came of one partition."""
        kept = [(r, g) for r, g in zip(self.batch, self.given, strict=True) if place(r) != at]
        return _Done([r for r, _ in kept], tuple(g for _, g in kept), self.failed, self.at)


def _check(outputs: Outputs, batch: Sequence[Record]) -> None:
    """Raises InternalError where a stage gave what cannot be written."""
    if len(outputs.given) != len(batch):
        raise InternalError(f"the stage gave {len(outputs.given)} answers for {len(batch)} records")
    try:
        for message in outputs.messages:
            check_size(message)
    except BrokerError as e:
        raise InternalError(f"the stage gave what cannot be written: {e}") from e


def _spot(record: Record) -> tuple[TopicPartition, int]:
    return place(record), record.offset


def _write_note(attempt: int, note: str) -> str:
    return f"{attempt} {note}".strip()


def _read_note(text: str) -> tuple[int, str]:
    """The attempt and what the stage noted; none where somebody else wrote something."""
    attempt, _, note = text.partition(" ")
    return (int(attempt), note) if attempt.isascii() and attempt.isdigit() else (0, "")
