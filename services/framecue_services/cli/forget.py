"""`framecue forget`: ends what is known of a stream, in the log first, then in Redis.

The order matters: while fusion or the projector still work on the stream, whatever is deleted comes back. It must not
know workers; how far their groups are is asked of the broker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from rich.console import Console

from framecue.broker.protocol import Broker, Message, TopicPartition
from framecue.errors import BrokerError
from framecue.schemas.codec import pack
from framecue.schemas.media import ForgetMedia
from framecue.schemas.results import RESULT_TOPICS
from framecue.schemas.topics import CAPTION_REQUESTS, DAY_MS, HOUR_MS, MEDIA, SNAPSHOTS, TOPICS, partition_of
from framecue.store.protocol import Store
from framecue_services.cli.stream_ids import typed_stream

WAIT_S = 30.0
"""For fusion, captioner and projector together; a worker that lives passes a record within a second or two."""
ASK_EVERY_S = 0.2
Progress = Callable[[str], Mapping[TopicPartition, int]]
"""For a group, the offset at which each partition goes on; nothing where it never committed."""


@dataclass(frozen=True)
class Forgotten:
    """What became of it: `behind` are the services that had not passed it when time was over, in their order."""

    stream: str
    behind: tuple[str, ...]


def forget(broker: Broker, store: Store, stream: str, *, progress: Progress, wait_s: float = WAIT_S) -> Forgotten:
    """Ends the stream's run, waits until its last results are out, and deletes what Redis has of it.

    Redis is cleared also where a service does not come along within `wait_s`. Raises SetupError for no stream id.
    """
    offset = _write(broker, typed_stream(stream))
    until = time.monotonic() + wait_s
    at = TopicPartition(MEDIA.name, partition_of(stream, broker.partitions(MEDIA.name)))
    steps: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("fusion", lambda: progress("fusion").get(at, 0) > offset),
        ("captioner", lambda: not _unread(broker, stream, (CAPTION_REQUESTS.name,), progress("captioner"))),
        ("projector", lambda: not _unread(broker, stream, RESULT_TOPICS, progress("projector"))),
    )
    behind = tuple(name for name, passed in steps if not _comes_true(passed, until))
    store.forget(stream)
    return Forgotten(stream, behind)


def run_forget(
    broker: Broker,
    store: Store,
    stream: str,
    *,
    progress: Progress,
    retention_ms: Mapping[str, int],
    wait_s: float = WAIT_S,
    console: Console | None = None,
) -> int:
    """Forgets the stream and says what is left of it where, and for how long; 1 where a service did not come along."""
    console = console or Console(highlight=False, soft_wrap=True, markup=False)
    with console.status(f"ending the run of {stream}") if console.is_terminal else nullcontext():
        done = forget(broker, store, stream, progress=progress, wait_s=wait_s)
    for name in done.behind:
        console.print(f"{name} has not come along within {wait_s:g} s: it will once it runs (`framecue run {name}`)")
    if done.behind:
        console.print(f"what it still gives may show {stream} in Redis again: then run this command once more")
    else:
        console.print(f"the run of {stream} has ended, and its state is gone")
    console.print(f"Redis holds nothing of {stream}")
    console.print("\nKafka deletes by time, not by stream. Until then these topics hold what was written of it:")
    for topic, kept_ms in kept(retention_ms):
        console.print(f"  {topic:<17} {kept_ms}")
    console.print("So long `framecue redis rebuild` and `framecue history` still find it.")
    console.print("Whatever is pushed under this id from here on begins a new run.")
    return 1 if done.behind else 0


def kept(retention_ms: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Each topic that may hold something of a stream, and for how long; snapshots are deleted by key."""
    words = []
    for name in TOPICS:
        if not TOPICS[name].keyed or name not in retention_ms:
            continue
        ms = retention_ms[name]
        if name == SNAPSHOTS.name:
            words.append((name, "until the broker compacts it, within minutes to hours"))
        elif ms < 0:
            words.append((name, "for ever: its retention.ms has no end"))
        else:
            words.append((name, f"{ms / DAY_MS:g} days" if ms >= 2 * DAY_MS else f"{ms / HOUR_MS:g} hours"))
    return tuple(words)


def _write(broker: Broker, stream: str) -> int:
    """The offset of the record that ends the stream's run, once it is written."""
    partition = partition_of(stream, broker.partitions(MEDIA.name))
    start = broker.end(MEDIA.name, partition=partition)
    value = pack(ForgetMedia(stream=stream, at_ms=broker.now_ms()))
    broker.commit([Message(MEDIA.name, stream.encode(), value, partition=partition)])
    for record in broker.read(MEDIA.name, partition=partition, start=start):
        if record.key == stream.encode() and record.value == value:
            return record.offset
    raise BrokerError("the record that was just written is not to be found; try again")


def _unread(broker: Broker, stream: str, topics: tuple[str, ...], committed: Mapping[TopicPartition, int]) -> bool:
    """Whether a group that is so far has still something of the stream to read."""
    for topic in topics:
        partition = partition_of(stream, broker.partitions(topic))
        start = committed.get(TopicPartition(topic, partition), 0)
        if any(r.key == stream.encode() for r in broker.read(topic, partition=partition, start=start)):
            return True
    return False


def _comes_true(passed: Callable[[], bool], until: float) -> bool:
    """Whether it does before `until`, in monotonic time; asked at least once."""
    while not passed():
        if time.monotonic() >= until:
            return False
        threading.Event().wait(ASK_EVERY_S)
    return True
