"""`framecue deadletters`: what could not be used, why, and the way back into the topic that it came from.

A letter is named by where it stands: partition/offset. It must not know any stage; what to do about an error is told
by the error's name in the letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from framecue.broker.protocol import Broker, Message, Record, check_size, size
from framecue.clock import Clock, SystemClock
from framecue.errors import BrokerError, DeliveryError, MessageError, SetupError
from framecue.schemas.base import UNKEYED
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.results import RESULT_TOPICS
from framecue.schemas.topics import DAY_MS, DEADLETTER, TOPICS
from framecue.timeline import rfc3339
from framecue_services.cli.times import instant
from framecue_services.cli.wording import clean, in_bytes

REQUEUE_BYTES = 16 << 20
"""So much goes back in one commit: a transaction that takes seconds would pass its time-out."""
REASON_SHOWN = 100
NOTIFIER = "notifier."
"""Before the name of a webhook, in the stage of its letters."""
Bring = Callable[[DeadLetter], str]
"""Delivers the event in a letter, and gives who took it: `redelivery.Redelivery`."""
_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "MessageError": "the sender must mend the key or the headers; sent again as it is, it ends here again",
        "UnsupportedMediaError": "send MPEG-TS, MP4, Matroska or WebM with H.264, HEVC, VP8/9, AV1 or MPEG-2",
        "DamagedMediaError": "look at the sender or the line to it; `--output FILE` writes the bytes for a player",
        "LimitExceededError": "cut shorter or smaller segments, or raise ingest's limit and requeue",
        "DecoderFailedError": "keep the bytes (`--output FILE`): they crash or hang a decoder; requeue after an update",
        "SubtitleError": "the sender must mend the document; `--output FILE` writes it for an editor",
        "ModelError": "see the log of fusion; requeue once the model is well",
    }
)
_OF_RESULTS: Mapping[str, str] = MappingProxyType(
    {"DeliveryError": "mend the receiver or the webhook's settings; requeue then delivers the event at once"}
)
_OUR_FAULT = "a fault of ours, or an unforeseen one: see the log of {stage} at that time; requeue once it is mended"


@dataclass(frozen=True)
class Found:
    """One dead letter and where it stands. `letter` None: somebody else wrote it, `trouble` says what is off."""

    partition: int
    offset: int
    at_ms: int | None
    stream: str
    bytes: int
    letter: DeadLetter | None
    trouble: str = ""

    @property
    def name(self) -> str:
        """What the commands take as ID."""
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Wanted:
    """Which letters: younger than, of a stage, of the streams that fit a pattern. None: all."""

    since_ms: int | None = None
    stage: str | None = None
    streams: str | None = None

    def fits(self, found: Found) -> bool:
        """Whether stage and stream are as asked; the time is the broker's to find."""
        stage = found.letter and found.letter.stage
        return (self.stage is None or stage == self.stage) and fnmatchcase(found.stream, self.streams or "*")


@dataclass(frozen=True)
class Requeued:
    """What became of the letters asked for: how many went back where, and the others with the reason."""

    back: Mapping[str, int]
    refused: tuple[tuple[str, str], ...]


def dead_letters(broker: Broker, chosen: Wanted = Wanted()) -> Iterator[Found]:
    """The letters that are wanted, partition by partition in the order in which they came."""
    for partition in range(broker.partitions(DEADLETTER.name)):
        start = 0
        if chosen.since_ms is not None:
            start = broker.offset_at(DEADLETTER.name, partition=partition, at_ms=chosen.since_ms)
        for record in broker.read(DEADLETTER.name, partition=partition, start=start):
            if chosen.fits(found := _found(record)):
                yield found


def wanted(since: str, *, stage: str | None, streams: str | None, clock: Clock | None = None) -> Wanted:
    """What the command line asks for; raises SetupError where `since` is no time."""
    at = instant(since, now_ms=(clock or SystemClock()).now_ms())
    if at == "now":
        raise SetupError("since now there are no dead letters yet; write how long ago, such as 1h")
    return Wanted(None if at == "oldest" else at, stage, streams)


def letters_named(broker: Broker, names: Sequence[str]) -> Iterator[Found]:
    """The letters of those names, one by one; raises SetupError, before any is read, for what is no name."""
    places = [_place(broker, name) for name in names]
    return (_fetched(broker, *place) for place in places)


def requeue(broker: Broker, letters: Iterator[Found] | Sequence[Found], *, bring: Bring | None = None) -> Requeued:
    """Puts letters back on the topics that they came from, with their bytes and headers, and where they came from.

    What a webhook did not take goes to it by `bring` instead. In commits of bounded size, so that those put back before
    an error stay put back.
    """
    back: dict[str, int] = {}
    refused: list[tuple[str, str]] = []
    waiting: list[Message] = []

    def flush() -> None:
        broker.commit(waiting)
        for message in waiting:
            back[message.topic] = back.get(message.topic, 0) + 1
        waiting.clear()

    for found in letters:
        try:
            if bring is not None and found.letter is not None and found.letter.stage.startswith(NOTIFIER):
                taker = bring(found.letter)
                back[taker] = back.get(taker, 0) + 1
                continue
            message = _as_sent(broker, found)
        except (MessageError, BrokerError, DeliveryError, SetupError) as e:
            refused.append((found.name, str(e)))
            continue
        if waiting and sum(map(size, waiting)) + size(message) > REQUEUE_BYTES:
            flush()
        waiting.append(message)
    if waiting:
        flush()
    return Requeued(back, tuple(refused))


def run_list(broker: Broker, chosen: Wanted, *, last: int, console: Console | None = None) -> None:
    """Prints the last letters that are wanted, the newest at the end."""
    console = console or Console(highlight=False)
    # Without their bytes: a thousand letters of 16 MiB are more than a machine has.
    found = sorted((_lighter(f) for f in dead_letters(broker, chosen)), key=lambda f: (f.at_ms or 0, f.partition))
    if not found:
        console.print("there are no dead letters" + (" like that" if chosen != Wanted() else ""))
        return
    shown = [_row(one) for one in found[-last:]]
    if not console.is_terminal:
        for row in shown:
            print("\t".join(row))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "WHEN", "STREAM", "STAGE", "ERROR", "REASON", "FROM", "SIZE"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("ID", "WHEN", "SIZE"), min_width=len(heading))
    for row in shown:
        table.add_row(*map(escape, row))
    console.print(table)
    if len(found) > len(shown):
        console.print(f"the last {len(shown)} of {len(found)}", style="dim")


def run_show(broker: Broker, name: str, *, output: Path | None = None, console: Console | None = None) -> None:
    """Prints all about one letter; writes its original bytes to `output`."""
    console = console or Console(highlight=False, soft_wrap=True)
    [found] = letters_named(broker, [name])
    letter = found.letter
    if letter is None:
        raise SetupError(found.trouble)
    origin = letter.origin
    rows = [
        ("dead letter", name),
        ("when", _time(found.at_ms)),
        ("stream", found.stream),
        ("stage", letter.stage),
        ("error", letter.error),
        ("reason", letter.reason),
        ("came from", f"{origin.topic}, partition {origin.partition}, offset {origin.offset}, {_time(origin.at_ms)}"),
        ("size", in_bytes(found.bytes)),
        *((f"header {clean(name)}", value.decode("utf-8", "replace")[:500]) for name, value in letter.headers),
        ("what to do", hint(letter)),
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(escape(label), escape(clean(value)))
    if console.is_terminal:
        console.print(table)
    else:
        for label, value in rows:
            print(f"{label}\t{clean(value)}")
    if output is not None:
        try:
            output.write_bytes(letter.value)
        except OSError as e:
            raise SetupError(f"the bytes cannot be written to {output}: {(e.strerror or str(e)).lower()}") from e
        console.print(f"the original bytes are in {output}", markup=False)


def run_requeue(
    broker: Broker,
    letters: Iterator[Found] | Sequence[Found],
    *,
    bring: Bring | None = None,
    console: Console | None = None,
) -> int:
    """Puts letters back and says how many; the exit code: 1 where some could not be put back."""
    console = console or Console(highlight=False, soft_wrap=True)
    done = requeue(broker, letters, bring=bring)
    for name, reason in done.refused:
        console.print(f"{name} stays: {clean(reason)}", markup=False)
    counts = ", ".join(f"{n} to {topic}" for topic, n in done.back.items()) or "none"
    console.print(f"put back: {counts}", markup=False)
    if done.back.keys() & TOPICS.keys():
        console.print("a segment that was put back before is taken for a repeat; letters stay listed until they expire")
    return 1 if done.refused else 0


def hint(letter: DeadLetter) -> str:
    """What a person can do about it."""
    if letter.error in _OF_RESULTS:
        return _OF_RESULTS[letter.error]
    if letter.origin.topic in RESULT_TOPICS:
        return "somebody else writes to our result topics; see who may"
    return _HINTS.get(letter.error, _OUR_FAULT.format(stage=clean(letter.stage)))


def _place(broker: Broker, name: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,18})", name)
    if not match:
        raise SetupError(f"{name!r} names no dead letter; an ID is partition/offset, as `deadletters list` shows it")
    partition, offset = int(match[1]), int(match[2])
    if partition >= (count := broker.partitions(DEADLETTER.name)):
        raise SetupError(f"there is no dead letter {name}: the topic has {count} partitions")
    return partition, offset


def _fetched(broker: Broker, partition: int, offset: int) -> Found:
    record = broker.fetch(DEADLETTER.name, partition=partition, offset=offset)
    if record is None:
        days = (DEADLETTER.retention_ms or 0) // DAY_MS
        gone = f"there is no dead letter {partition}/{offset} (any more): they are kept for {days} days"
        return Found(partition, offset, None, UNKEYED, 0, None, gone)
    return _found(record)


def _found(record: Record) -> Found:
    stream = clean((record.key or b"").decode("utf-8", "replace")) or UNKEYED
    place = (record.partition, record.offset, record.timestamp_ms, stream, len(record.value or b""))
    try:
        return Found(*place, parse_dead_letter(record.value or b"", record.headers))
    except MessageError as e:
        return Found(*place, None, str(e))


def _lighter(found: Found) -> Found:
    letter = found.letter and found.letter.model_copy(update={"value": b"", "headers": ()})
    return Found(found.partition, found.offset, found.at_ms, found.stream, found.bytes, letter, found.trouble)


def _as_sent(broker: Broker, found: Found) -> Message:
    """The message as it first came; raises MessageError or BrokerError where it has no way back."""
    letter = found.letter
    if letter is None:
        raise MessageError(found.trouble)
    origin = letter.origin
    if found.stream == UNKEYED:
        raise MessageError("it had no usable key; send it again under a stream id")
    if origin.topic not in TOPICS or origin.topic in RESULT_TOPICS:
        raise MessageError(f"{clean(origin.topic)} takes nothing back")
    partition = origin.partition if 0 <= origin.partition < broker.partitions(origin.topic) else None
    message = Message(origin.topic, found.stream.encode(), letter.value, letter.to_headers(), partition)
    check_size(message)
    return message


def _row(found: Found) -> tuple[str, ...]:
    letter = found.letter
    when, end = _time(found.at_ms), in_bytes(found.bytes)
    if letter is None:
        return found.name, when, found.stream, "?", "?", clean(found.trouble)[:REASON_SHOWN], "?", end
    reason = clean(letter.reason)
    shown = reason if len(reason) <= REASON_SHOWN else f"{reason[: REASON_SHOWN - 1]}…"
    origin = f"{letter.origin.topic} {letter.origin.partition}/{letter.origin.offset}"
    return found.name, when, found.stream, clean(letter.stage), clean(letter.error), shown, clean(origin), end


def _time(at_ms: int | None) -> str:
    return "an unknown time" if at_ms is None else rfc3339(at_ms // 1000 * 1000).replace(".000Z", "Z")
