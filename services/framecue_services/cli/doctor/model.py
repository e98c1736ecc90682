"""The model: whether it is there, to the byte, and the one that the log's vectors are of. Loads no model."""

from __future__ import annotations

from collections.abc import Iterator

from framecue.broker.protocol import Broker
from framecue.models.loading import find_record
from framecue.models.lock import PRESETS, preset, read_lock
from framecue.schemas.codec import unpack_partition
from framecue.schemas.snapshot import PARTITION_KEY, PartitionSnapshot
from framecue.schemas.topics import SNAPSHOTS
from framecue.settings import Settings
from framecue_services.cli.doctor.findings import Finding, fine


def files(settings: Settings) -> Iterator[Finding]:
    """Whether every file is as recorded."""
    name, lock = settings.model.name, settings.model.lock
    locked = read_lock(lock).models.get(name)
    record = locked or (preset(name) if name in PRESETS else find_record(name, lock=lock))
    problems = record.problems()
    for sentence in problems:
        what, _, cure = sentence.partition("; ")
        yield Finding(
            "error", f"model {name}: {what}", cure or "pip install 'framecue[fusion]' on machines that run fusion"
        )
    if locked is None:
        yield Finding(
            "warning",
            f"the model {name} is not pinned in {lock}: an update of its package may change scores",
            f"run `framecue models pull {name}`",
        )
    elif not problems:
        yield fine(f"the model {name} is pinned, and its {len(record.files)} files are as recorded")
    if record.picture.calibration is None:
        yield Finding("warning", f"the scores of {name} are not calibrated", "give rules their own picture_calibration")


def space(settings: Settings, broker: Broker) -> Iterator[Finding]:
    """Whether the vectors in the log are of the model that is set."""
    ours = find_record(settings.model.name, lock=settings.model.lock).space_id()
    others: dict[str, list[int]] = {}
    partitions = broker.partitions(SNAPSHOTS.name)
    seen = 0
    for partition in range(partitions):
        if (found := _snapshot(broker, partition)) is not None:
            seen += 1
            if found.space != ours:
                others.setdefault(found.space, []).append(partition)
    for theirs, where in others.items():
        yield Finding(
            "error",
            f"{len(where)} of {partitions} partitions hold vectors of {theirs}, but the model here is {ours}",
            "set FRAMECUE_MODEL__NAME back, or start fusion with --adopt-model",
        )
    if not others:
        yield fine(f"snapshots of {seen} partitions are of this model" if seen else "there are no snapshots yet")


def _snapshot(broker: Broker, partition: int) -> PartitionSnapshot | None:
    """What the partition's newest record says; None where there is none."""
    newest = None
    for record in broker.read(SNAPSHOTS.name, partition=partition):
        if record.key == PARTITION_KEY:
            newest = record.value
    return None if newest is None else unpack_partition(newest)
