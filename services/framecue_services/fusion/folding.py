"""Fold: features records go to the machine of their stream; what concerns all streams of a partition goes to each.

One machine per stream, until the stream is forgotten. The rules in force are remembered, for streams that appear later,
and what a snapshot taken earlier would not tell. It must not know models, the broker, or where snapshots lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from framecue.analysis.machine import Result, StreamMachine
from framecue.analysis.settings import MachineSettings
from framecue.analysis.spaces import Space
from framecue.schemas.features import (
    Features,
    ForgetFeatures,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
    TickFeatures,
)
from framecue.schemas.snapshot import HeardTick


@dataclass
class Partition:
    """The fold of one partition of `media`. `folded` is the offset of the last media record that was."""

    machines: dict[str, StreamMachine] = field(default_factory=dict)
    rules: RulesFeatures | None = None
    ticks: dict[tuple[str, int], HeardTick] = field(default_factory=dict)
    """The last of each source."""
    folded: int = -1
    changed: set[str] = field(default_factory=set)
    """Streams that more came to, since whoever keeps snapshots last cleared this, than ticks without effect."""


class Folder:
    """All machines of one worker. From one thread."""

    def __init__(self, space: Space, *, model: str, settings: MachineSettings) -> None:
        self._space, self._model, self._settings = space, model, settings
        self._partitions: dict[int, Partition] = {}

    def partition(self, number: int) -> Partition:
        """What is remembered of a partition."""
        return self._partitions.setdefault(number, Partition())

    @property
    def streams(self) -> int:
        """How many streams have a machine."""
        return sum(len(here.machines) for here in self._partitions.values())

    def place(self, number: int, partition: Partition) -> None:
        """Goes on with `partition` as number `number`."""
        self._partitions[number] = partition

    def leave(self, number: int) -> None:
        """Forgets a partition."""
        self._partitions.pop(number, None)

    def fold(self, partition: int, features: Features, *, offset: int) -> list[Result]:
        """What `features`, made of the media record at `offset`, lets the machines say; streams in order."""
        here = self.partition(partition)
        here.folded = offset
        match features:
            case SegmentFeatures() | TextFeatures():
                here.changed.add(features.stream)
                return self._machine(here, features.stream).push(features)
            case RulesFeatures():
                here.rules = features
                here.changed |= here.machines.keys()
                return [result for stream in sorted(here.machines) for result in here.machines[stream].push(features)]
            case ForgetFeatures():
                here.changed.discard(features.stream)
                machine = here.machines.pop(features.stream, None)
                return [] if machine is None else machine.push(features)
            case TickFeatures():
                here.ticks[features.topic, features.partition] = HeardTick(**dict(features), media_offset=offset)
                return [result for stream in sorted(here.machines) for result in _ticked(here, stream, features)]

    def finish(self, stream: str) -> Iterator[Result]:
        """Closes the stream's epoch; nothing where the stream is not known."""
        for here in self._partitions.values():
            if stream in here.machines:
                here.changed.add(stream)
                yield from here.machines[stream].finish()

    def _machine(self, here: Partition, stream: str) -> StreamMachine:
        if stream not in here.machines:
            machine = StreamMachine(stream, space=self._space, model=self._model, settings=self._settings)
            if here.rules is not None:
                machine.push(here.rules)
            here.machines[stream] = machine
        return here.machines[stream]


def _ticked(here: Partition, stream: str, tick: TickFeatures) -> list[Result]:
    machine = here.machines[stream]
    before = machine.run
    results = machine.push(tick)
    if results or machine.run != before:
        here.changed.add(stream)
    return results
