"""Fold: features records go to the machine of their stream; what concerns all streams of a partition goes to each.

One machine per stream, for as long as the process lives. The rules in force are remembered, for streams that appear
later. It must not know models, vectors or the broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from framecue.analysis.machine import Result, StreamMachine
from framecue.analysis.settings import MachineSettings
from framecue.analysis.spaces import Space
from framecue.schemas.features import Features, RulesFeatures, SegmentFeatures, TextFeatures


@dataclass
class _Partition:
    """One partition of `media`. Ticks are not kept: the next comes within a second."""

    machines: dict[str, StreamMachine] = field(default_factory=dict)
    rules: RulesFeatures | None = None


class Folder:
    """All machines of one worker. From one thread."""

    def __init__(self, space: Space, *, model: str, settings: MachineSettings) -> None:
        self._space, self._model, self._settings = space, model, settings
        self._partitions: defaultdict[int, _Partition] = defaultdict(_Partition)

    def fold(self, partition: int, features: Features) -> Iterator[Result]:
        """What `features`, the next record of `partition`, lets the machines say; machines in the order of streams."""
        here = self._partitions[partition]
        if isinstance(features, SegmentFeatures | TextFeatures):
            yield from self._machine(here, features.stream).push(features)
            return
        if isinstance(features, RulesFeatures):
            here.rules = features
        for stream in sorted(here.machines):
            yield from here.machines[stream].push(features)

    def finish(self, stream: str) -> Iterator[Result]:
        """Closes the stream's epoch; nothing where the stream is not known."""
        for here in self._partitions.values():
            if stream in here.machines:
                yield from here.machines[stream].finish()

    def _machine(self, here: _Partition, stream: str) -> StreamMachine:
        if stream not in here.machines:
            machine = StreamMachine(stream, space=self._space, model=self._model, settings=self._settings)
            if here.rules is not None:
                machine.push(here.rules)
            here.machines[stream] = machine
        return here.machines[stream]
