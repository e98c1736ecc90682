"""What a fleet's topics say, followed as they grow: for tests that wait for results and judge all of them at the end.

It must not know what a test expects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cache
from types import TracebackType
from typing import Any

from kafka import KafkaAdminClient

from framecue.broker.kafka.tail import KafkaTail
from framecue.clock import SystemClock
from framecue.errors import BrokerError
from framecue.schemas.annotation import Annotation
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.event import Event
from framecue.schemas.segment import SegmentHeaders, segment_headers
from framecue.schemas.topics import partition_of
from tests.support.clips import make_clip
from tests.support.fleet import Fleet

SEGMENT_S = 2
TOPICS = ("annotations", "events", "deadletter", "media")


@cache
def clip() -> bytes:
    """Two seconds of a small picture."""
    return make_clip(seconds=SEGMENT_S, fps=5, size=(64, 36), gop=10)


def streams_on(partitions: int, *, each: int = 1) -> list[str]:
    """Names of streams, `each` for every partition."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    number = 0
    while any(len(found[p]) < each for p in range(partitions)):
        name = f"cam{number}"
        if len(found[partition_of(name, partitions)]) < each:
            found[partition_of(name, partitions)].append(name)
        number += 1
    return [name for p in range(partitions) for name in found[p]]


class Watch:
    """Pushes to `fleet` and follows what it writes. A context manager; from one thread."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.annotations: list[Annotation] = []
        self.events: list[Event] = []
        self.letters: list[DeadLetter] = []
        self.media: set[bytes] = set()
        """Streams that a media record came of."""
        self.pushed_ms: dict[tuple[str, int], int] = {}
        """When the segment was handed over, by stream and the start of its window."""
        self.written_ms: dict[tuple[str, int], int] = {}
        """When the window's first annotation was."""
        self._clock = SystemClock()
        self._tail = KafkaTail(fleet.connection, TOPICS, start="oldest")
        self._admin: Any = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tail.close()
        if self._admin is not None:
            self._admin.close()

    def push(
        self, streams: Iterable[str], *seqs: int, session: str = "s", end: bool = False, data: bytes | None = None
    ) -> None:
        """The segments with these numbers of each of `streams`; the last says that its session ends, where asked."""
        for seq in seqs:
            for stream in streams:
                said = SegmentHeaders(
                    session=session, seq=seq, start=Fraction(SEGMENT_S * seq), end=end and seq == seqs[-1]
                )
                self.pushed_ms[stream, seq * SEGMENT_S * 1_000] = self._clock.now_ms()
                self.fleet.push(stream, data or clip(), headers=segment_headers(said), flush=False)
        self.fleet.flush()

    def read(self) -> Watch:
        """Takes up what is new; nothing where the broker is away."""
        with suppress(BrokerError):
            while records := self._tail.poll(500, timeout_s=0.02):
                for record in records:
                    value = record.value or b""
                    match record.topic:
                        case "annotations":
                            one = Annotation.model_validate_json(value)
                            self.annotations.append(one)
                            self.written_ms.setdefault((one.stream, one.start_ms), record.timestamp_ms or 0)
                        case "events":
                            self.events.append(Event.model_validate_json(value))
                        case "deadletter":
                            self.letters.append(parse_dead_letter(value, record.headers))
                        case "media":
                            self.media.add(record.key or b"")
        return self

    def has(self, streams: Collection[str], seq: int) -> bool:
        """Whether the window of segment `seq` is annotated, of each of `streams`."""
        self.read()
        return all((stream, seq * SEGMENT_S * 1_000) in self.written_ms for stream in streams)

    def wait_for(self, streams: Collection[str], seq: int, *, within_s: float = 60) -> None:
        """Returns when `has` holds."""
        self.fleet.until(lambda: self.has(streams, seq), within_s=within_s, what=f"results of segment {seq}")

    def owners(self, service: str) -> dict[int, str]:
        """Which slot of a service has which partition, as the broker says."""
        if self._admin is None:
            self._admin = KafkaAdminClient(**self.fleet.connection.client())
        group = self.fleet.connection.group(service)
        members: Sequence[Any] = self._admin.describe_groups([group])[group].get("members") or ()
        return {
            partition: str(member["group_instance_id"]).removeprefix(f"{group}-")
            for member in members
            for topic in (member["member_assignment"] or {}).get("assigned_partitions") or ()
            for partition in topic["partitions"]
        }

    def check(self, streams: Collection[str], segments: int) -> None:
        """Asserts that every window is there, and every (id, revision) and (id, sequence) once and without gap."""
        self.read()
        versions: defaultdict[str, list[int]] = defaultdict(list)
        for annotation in self.annotations:
            versions[annotation.id].append(annotation.revision)
        for event in self.events:
            versions[event.id].append(event.sequence)
        wrong = {one: seen for one, seen in versions.items() if seen != list(range(1, len(seen) + 1))}
        assert not wrong
        starts = {(a.stream, a.start_ms) for a in self.annotations}
        wanted = {(stream, seq * SEGMENT_S * 1_000) for stream in streams for seq in range(segments)}
        assert wanted <= starts
