"""Checkpoints: what a partition's fold is kept as on `snapshots`, and how it is made again from there and `features`.

    media      … X │ X+1 …  committed        X  the last record that the checkpoint has folded
    features   … E │ f(X+1) … │ end          E  the end of `features` when it was made, before its batch was committed

What leads to X may stand on either side of E, what comes after X only behind it. So the state is the snapshots as of X,
and the features from E on less those of X and before, folded again; what that gives was published before, and is
discarded. A checkpoint commits with the records that it has folded.

What was folded in another space cannot be folded on: it is refused, or ended and begun anew (`adopting`), and then all
that this gives is owed until a record comes that it can be committed with. It must not know models or what machines
decide.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TypedDict

from framecue.analysis.machine import StreamMachine
from framecue.analysis.rules import version_of
from framecue.analysis.settings import MachineSettings
from framecue.analysis.snapshot import Snapshot
from framecue.analysis.spaces import Space
from framecue.broker.protocol import Broker, Message, Record
from framecue.errors import MessageError, SetupError
from framecue.schemas.codec import pack, unpack_features, unpack_partition, unpack_stream
from framecue.schemas.features import (
    MEDIA_OFFSET_HEADER,
    Features,
    ForgetFeatures,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
)
from framecue.schemas.snapshot import PARTITION_KEY, PartitionSnapshot, StreamSnapshot, joined, owner_of, split
from framecue.schemas.topics import FEATURES, MEDIA, SNAPSHOTS
from framecue.telemetry import metrics
from framecue.telemetry.names import RESTORE_DURATION
from framecue_services.fusion.adopting import Adoption, ending
from framecue_services.fusion.folding import Folder, Partition

_log = logging.getLogger(__name__)


@dataclass
class _Kept:
    """What stands on `snapshots` for one partition: a digest of each message, by key, by owner."""

    digests: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    since_s: float | None = None
    """When the last checkpoint was made; None where the next is due at once."""
    owed: tuple[Message, ...] = ()
    """What is to be written ahead of the next checkpoint."""


@dataclass(frozen=True)
class _Found:
    """What the messages say: the state of each stream with the media record it is as of."""

    partition: PartitionSnapshot | None = None
    rules: dict[str, RulesFeatures] = field(default_factory=dict)
    streams: dict[str, tuple[int, Snapshot]] = field(default_factory=dict)


class _OtherSpaceError(Exception):
    """Carries the name of the space that something was folded in."""


class Checkpoints:
    """Of all partitions of one worker. From one thread; `take` and `messages` block on the broker.

    `every_ms` of the monotonic time `now_s` lie between two checkpoints of a partition; None makes none. A partition
    that was folded in another space is refused without `adoption`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        space: Space,
        model: str,
        settings: MachineSettings,
        every_ms: int | None,
        now_s: Callable[[], float] = monotonic,
        adoption: Adoption | None = None,
    ) -> None:
        self._broker, self._space, self._model, self._settings = broker, space, model, settings
        self._every_ms, self._now_s, self._adoption = every_ms, now_s, adoption
        self._partitions: dict[int, _Kept] = {}

    def take(self, number: int, folder: Folder) -> None:
        """Puts partition `number` into `folder` as the log has it; raises SetupError where it must not go on."""
        began = self._now_s()
        values = self._values(number)
        kept = self._partitions[number] = _Kept()
        for key, value in values.items():
            kept.digests.setdefault(owner_of(key), {})[key] = _digest(value)
        found, here = self._restored(number, values)
        if here.folded >= (end := self._broker.end(MEDIA.name, partition=number)):
            raise SetupError(
                f"media {number} ends at {end}, but the snapshots have folded record {here.folded}: the topic was made "
                f"anew alone; delete {FEATURES.name} and {SNAPSHOTS.name} too, then run `framecue topics create`"
            )
        if found.partition is None:  # whatever stands there is of no use, and is written again or deleted
            kept.digests = {owner: dict.fromkeys(keys, b"") for owner, keys in kept.digests.items()}
        folder.place(number, here)
        try:
            again = self._fold_again(number, found, folder)
        except _OtherSpaceError as e:
            kept.owed = self._adopt(number, found, folder, str(e))
            return
        kept.since_s = None if again else began
        metrics.record(RESTORE_DURATION, self._now_s() - began)
        _log.info(
            "media %d: %d streams as of record %d, %d features folded again, in %.0f ms",
            *(number, len(here.machines), here.folded, again, (self._now_s() - began) * 1000),
        )

    def leave(self, number: int) -> None:
        """Forgets what is kept of a partition."""
        self._partitions.pop(number, None)

    def messages(self, number: int, here: Partition) -> tuple[Message, ...]:
        """A checkpoint of `here` where one is due, to be committed with the last record folded; else nothing."""
        kept = self._partitions.get(number)
        if kept is None or (self._every_ms is None and not kept.owed):
            return ()
        now, forgotten = self._now_s(), {o for o in kept.digests if _is_stream(o)} - {*map(_stream, here.machines)}
        waits = kept.since_s is not None and now < kept.since_s + (self._every_ms or 0) / 1000
        if waits and not forgotten:
            return ()
        kept.since_s = now
        changes = [Message(SNAPSHOTS.name, k, v, partition=number) for k, v in self._changes(number, here, kept)]
        owed, kept.owed = kept.owed, ()
        return (*owed, *changes)

    def _changes(self, number: int, here: Partition, kept: _Kept) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys and values that make what is kept a checkpoint of `here`; the partition's own is the last."""
        rules = {v: r for machine in here.machines.values() for v, r in machine.rules_in_use.items()}
        version = None if here.rules is None else version_of(here.rules)
        if here.rules is not None and version is not None:
            rules.setdefault(version, here.rules)
        wanted = {_stream(s): _stream_items(here.machines[s], here.folded) for s in sorted(here.changed)}
        known = {owner for owner, keys in kept.digests.items() if all(keys.values())}
        wanted |= {o: {"record": pack(rules[v])} for v in rules if (o := f"rules/{v}") not in known}
        staying = {*map(_stream, here.machines), *(f"rules/{v}" for v in rules), PARTITION_KEY.decode()}
        for owner in sorted(wanted.keys() | (kept.digests.keys() - staying)):
            before = kept.digests.pop(owner, {})
            values = split(owner, wanted[owner]) if owner in wanted else {}
            if values:
                kept.digests[owner] = {key: _digest(value) for key, value in values.items()}
            yield from ((k, v) for k, v in values.items() if before.get(k) != kept.digests[owner][k])
            yield from ((k, None) for k in before if k not in values)
        here.changed.clear()
        snapshot = PartitionSnapshot(
            media_offset=here.folded,
            features_end=self._broker.end(FEATURES.name, partition=number),
            rules=version,
            ticks=tuple(here.ticks.values()),
            space=self._space.id,
            model=self._model,
        )
        yield PARTITION_KEY, pack(snapshot)

    def _values(self, number: int) -> dict[bytes, bytes]:
        """What stands on `snapshots`: the last value of each key."""
        values: dict[bytes, bytes] = {}
        for record in self._broker.read(SNAPSHOTS.name, partition=number):
            if record.value is None:
                values.pop(record.key or b"", None)
            else:
                values[record.key or b""] = record.value
        return values

    def _restored(self, number: int, values: dict[bytes, bytes]) -> tuple[_Found, Partition]:
        """The partition as of its checkpoint.

        Without one, or with one of another version, all features that are kept are folded again: what this worker is to
        publish follows on what they gave.
        """
        try:
            found = _found(values)
            return found, self._partition(found)
        except (MessageError, KeyError) as e:
            _log.warning("media %d: the checkpoint cannot be read, all features are folded again: %r", number, e)
            return _Found(), Partition()

    def _partition(self, found: _Found) -> Partition:
        snapshot = found.partition
        if snapshot is None or snapshot.space != self._space.id:
            return Partition()
        machines = {}
        for stream in sorted(found.streams):
            as_of, state = found.streams[stream]
            machines[stream] = machine = StreamMachine.restore(stream, state, rules=found.rules, **self._machines)
            for tick in snapshot.ticks:
                if tick.media_offset > as_of:
                    machine.recall(tick)
        return Partition(
            machines=machines,
            rules=None if snapshot.rules is None else found.rules[snapshot.rules],
            ticks={(tick.topic, tick.partition): tick for tick in snapshot.ticks},
            folded=snapshot.media_offset,
        )

    def _fold_again(self, number: int, found: _Found, folder: Folder) -> int:
        """Folds what came after the checkpoint; how many features that were."""
        self._check_space(found.partition)
        again = 0
        for offset, features in self._after(number, found):
            self._check_space(features)
            folder.fold(number, features, offset=offset)
            again += 1
        return again

    def _after(self, number: int, found: _Found) -> Iterator[tuple[int, Features]]:
        """The features of the media records after the checkpoint, with the offsets of those."""
        upto, start = (
            (-1, 0) if found.partition is None else (found.partition.media_offset, found.partition.features_end)
        )
        for record in self._broker.read(FEATURES.name, partition=number, start=start):
            offset, features = _features(record)
            if offset > upto:
                yield offset, features

    def _check_space(self, made: PartitionSnapshot | Features | None) -> None:
        space = getattr(made, "space", self._space.id)  # ticks are of no space
        if space != self._space.id:
            raise _OtherSpaceError(space)

    def _adopt(self, number: int, found: _Found, folder: Folder, space: str) -> tuple[Message, ...]:
        """Begins the partition anew in `folder`; gives what is to be written about what was folded in `space`."""
        if self._adoption is None:
            raise SetupError(
                f"media {number} was folded in the space {space}, and the model {self._model} has the space "
                f"{self._space.id}: run the model that it was folded with, or `framecue run fusion --adopt-model`"
            )
        snapshot, ended = found.partition, ending(self._broker, number)
        folded, rules, streams = -1, None, set(found.streams)
        if snapshot is not None:
            folded, rules = snapshot.media_offset, found.rules.get(snapshot.rules or "")
        for offset, features in self._after(number, found):
            folded, rules = offset, features if isinstance(features, RulesFeatures) else rules
            if isinstance(features, SegmentFeatures | TextFeatures):
                streams.add(features.stream)
            elif isinstance(features, ForgetFeatures):
                streams.discard(features.stream)
        machines = {}
        for stream in streams:
            _, state = found.streams.get(stream, (0, None))
            last = ended.epochs.get(stream, -1)
            machines[stream] = StreamMachine.adopt(stream, state, last_epoch=last, **self._machines)
        folder.place(number, Partition(machines=machines, folded=folded, changed=set(machines)))
        owed = [self._adoption.message(result) for result in ended.closing]
        if rules is not None:
            rules = self._adoption.embed(rules)
            folder.fold(number, rules, offset=folded)
            owed.append(Message(FEATURES.name, None, pack(rules), (media_offset_header(folded),), number))
        _log.warning(
            "media %d: %d streams go on under the model %s instead of the space %s; what was open is closed, and words "
            "that waited for their pictures are lost",
            *(number, len(machines), self._model, space),
        )
        return tuple(owed)

    @property
    def _machines(self) -> _MachineArguments:
        return {"space": self._space, "model": self._model, "settings": self._settings}


class _MachineArguments(TypedDict):
    space: Space
    model: str
    settings: MachineSettings


def _found(values: dict[bytes, bytes]) -> _Found:
    """Raises MessageError, or KeyError where something is missing."""
    if PARTITION_KEY not in values:
        return _Found()
    rules: dict[str, RulesFeatures] = {}
    streams: dict[str, tuple[int, Snapshot]] = {}
    for owner, items in joined({k: v for k, v in values.items() if k != PARTITION_KEY}).items():
        name = owner.partition("/")[2]
        if _is_stream(owner):
            core = unpack_stream(items.pop("core"))
            streams[name] = core.media_offset, Snapshot(core.core, items)
        elif isinstance(record := unpack_features(items["record"]), RulesFeatures):
            rules[name] = record
    return _Found(unpack_partition(values[PARTITION_KEY]), rules, streams)


def media_offset_header(offset: int) -> tuple[str, bytes]:
    """What says on a features message which media record it was made of."""
    return MEDIA_OFFSET_HEADER, b"%d" % offset


def _features(record: Record) -> tuple[int, Features]:
    """A features record and the offset of its media record; raises SetupError, for no state follows without it."""
    try:
        features = unpack_features(record.value or b"")
        return int(dict(record.headers)[MEDIA_OFFSET_HEADER]), features
    except (MessageError, KeyError, ValueError) as e:
        raise SetupError(
            f"{FEATURES.name} {record.partition}/{record.offset} cannot be read, so the state of its streams cannot be "
            f"made again ({e}); was it written by a newer version? Run that one"
        ) from e


def _stream_items(machine: StreamMachine, offset: int) -> dict[str, bytes]:
    snapshot = machine.snapshot()
    return {"core": pack(StreamSnapshot(media_offset=offset, core=snapshot.core)), **snapshot.pending}


def _stream(stream: str) -> str:
    """The owner under which a stream is kept."""
    return f"stream/{stream}"


def _is_stream(owner: str) -> bool:
    return owner.startswith("stream/")


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()
