"""Dead letters: found by time, stage and stream, shown safely, and put back as they first came."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.broker.publishing import dead_letter
from framecue.clock import FixedClock
from framecue.errors import DamagedMediaError, DeliveryError, MessageError, SubtitleError
from framecue.errors import SetupError as Setup
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.segment import Headers
from framecue.schemas.topics import DEADLETTER, SEGMENTS, SUBTITLES, partition_of
from framecue_services.cli.deadletters import (
    Wanted,
    dead_letters,
    hint,
    letters_named,
    requeue,
    run_list,
    run_requeue,
    run_show,
    wanted,
)

PARTITIONS = 4
NOW_MS = 1_700_000_000_000
HEADERS: Headers = (("framecue-session", b"run-1"), ("framecue-seq", b"7"))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW_MS)


@pytest.fixture
def broker(clock: FixedClock) -> MemoryBroker:
    return MemoryBroker(partitions=PARTITIONS, clock=clock, keep_bytes={})


def record(
    stream: bytes | None = b"cam1", value: bytes = b"video", *, topic: str = SEGMENTS.name, partition: int = 3
) -> Record:
    return Record(topic, partition, 42, NOW_MS - 5, stream, value, HEADERS)


def put(broker: MemoryBroker, *messages: Message) -> list[str]:
    """Writes dead letters; the names of all that there are, in the order of partitions."""
    broker.commit(messages)
    return [found.name for found in dead_letters(broker)]


def back(broker: MemoryBroker, topic: str) -> list[Record]:
    return [r for p in range(PARTITIONS) for r in broker.read(topic, partition=p)]


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def terminal() -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)


@pytest.mark.parametrize(
    ("chosen", "streams"),
    [
        (Wanted(), ["cam1", "cam2", "talk"]),
        (Wanted(since_ms=NOW_MS + 1), ["cam2", "talk"]),
        (Wanted(stage="ingest"), ["cam1", "cam2"]),
        (Wanted(streams="cam*"), ["cam1", "cam2"]),
        (Wanted(since_ms=NOW_MS + 1, stage="ingest", streams="*2"), ["cam2"]),
        (Wanted(since_ms=NOW_MS + 1_000_000), []),
    ],
)
def test_letters_are_found_by_time_stage_and_stream(
    broker: MemoryBroker, clock: FixedClock, chosen: Wanted, streams: Sequence[str]
) -> None:
    put(broker, dead_letter(record(), "ingest", DamagedMediaError("dark")))
    clock.advance(60_000)
    put(broker, dead_letter(record(b"cam2"), "ingest", DamagedMediaError("dark")))
    put(broker, dead_letter(record(b"talk"), "fusion", MessageError("odd")))
    assert sorted(found.stream for found in dead_letters(broker, chosen)) == streams


def test_a_letter_goes_back_as_it_came_with_where_it_came_from(broker: MemoryBroker) -> None:
    [name] = put(broker, dead_letter(record(), "ingest", DamagedMediaError("dark")))
    done = requeue(broker, letters_named(broker, [name]))
    [again] = back(broker, SEGMENTS.name)
    assert (done.back, done.refused) == ({SEGMENTS.name: 1}, ())
    assert (again.partition, again.key, again.value) == (3, b"cam1", b"video")
    letter = parse_dead_letter(b"", again.headers)
    assert letter.headers == HEADERS
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (SEGMENTS.name, 3, 42)


def test_a_letter_from_a_partition_that_is_no_more_goes_where_its_key_says(broker: MemoryBroker) -> None:
    put(broker, dead_letter(record(topic=SUBTITLES.name, partition=63), "ingest", SubtitleError("odd")))
    requeue(broker, dead_letters(broker))
    assert [r.partition for r in back(broker, SUBTITLES.name)] == [partition_of("cam1", PARTITIONS)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (dead_letter(record(b"no stream"), "ingest", MessageError("key")), "no usable key"),
        (dead_letter(record(topic="annotations"), "projector", MessageError("odd")), "takes nothing back"),
        (dead_letter(record(topic="elsewhere"), "ingest", MessageError("odd")), "takes nothing back"),
        (Message(DEADLETTER.name, b"cam1", b"x"), "not a dead letter of ours"),
        (dead_letter(record(value=bytes(18 << 20)), "ingest", MessageError("odd")), "the topic takes"),
    ],
)
def test_what_has_no_way_back_stays_with_a_reason_and_the_others_go(
    broker: MemoryBroker, message: Message, reason: str
) -> None:
    put(broker, message, dead_letter(record(), "ingest", DamagedMediaError("dark")))
    out = Console(file=io.StringIO(), width=200)
    assert run_requeue(broker, dead_letters(broker), console=out) == 1
    assert reason in shown(out)
    assert "put back: 1 to segments" in shown(out)


def test_large_letters_go_back_in_commits_of_bounded_size(broker: MemoryBroker) -> None:
    large = [dead_letter(record(value=bytes(7 << 20)), "ingest", DamagedMediaError("dark")) for _ in range(5)]
    put(broker, *large)
    assert requeue(broker, dead_letters(broker)).back == {SEGMENTS.name: 5}


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("3", "partition/offset"),
        ("a/b", "partition/offset"),
        ("9/0", "4 partitions"),
        ("0/99", "kept for 7 days"),
        ("0/0", "not a dead letter of ours"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(broker: MemoryBroker, name: str, match: str) -> None:
    broker.commit([Message(DEADLETTER.name, b"cam1", b"x", partition=0)])
    with pytest.raises(Setup, match=match):
        run_show(broker, name)


def test_one_that_expired_does_not_keep_the_others(broker: MemoryBroker) -> None:
    [name] = put(broker, dead_letter(record(), "ingest", DamagedMediaError("dark")))
    done = requeue(broker, letters_named(broker, ["0/99", name]))
    assert (done.back, [refused for refused, _ in done.refused]) == ({SEGMENTS.name: 1}, ["0/99"])


@pytest.mark.parametrize(
    ("since", "expected"),
    [("oldest", Wanted(None, "ingest", "cam*")), ("1h", Wanted(NOW_MS - 3_600_000, "ingest", "cam*"))],
)
def test_what_is_wanted_is_told_as_people_write_time(clock: FixedClock, since: str, expected: Wanted) -> None:
    assert wanted(since, stage="ingest", streams="cam*", clock=clock) == expected


@pytest.mark.parametrize("since", ["now", "yesterday"])
def test_what_is_no_time_in_the_past_is_refused(since: str) -> None:
    with pytest.raises(Setup, match="1h"):
        wanted(since, stage=None, streams=None)


def test_showing_a_letter_says_why_and_what_to_do_and_writes_its_bytes(broker: MemoryBroker, tmp_path: Path) -> None:
    [name] = put(broker, dead_letter(record(), "ingest", DamagedMediaError("no \x1b[31mpicture")))
    out = terminal()
    run_show(broker, name, output=tmp_path / "bytes", console=out)
    assert (tmp_path / "bytes").read_bytes() == b"video"
    for said in (
        "DamagedMediaError",
        "no [31mpicture",
        "segments, partition 3, offset 42",
        "run-1",
        "look at the sender",
    ):
        assert said in shown(out)
    assert "\x1b[31m" not in shown(out)
    with pytest.raises(Setup, match="cannot be written"):
        run_show(broker, name, output=tmp_path / "no" / "bytes", console=out)


def test_an_unforeseen_error_points_at_the_log_of_its_stage(broker: MemoryBroker) -> None:
    put(broker, dead_letter(record(), "fusion", RuntimeError("odd")))
    [found] = dead_letters(broker)
    assert found.letter is not None
    assert "the log of fusion" in hint(found.letter)


def test_an_event_that_a_webhook_did_not_take_points_at_the_receiver(broker: MemoryBroker) -> None:
    put(broker, dead_letter(record(topic="events"), "notifier.ops", DeliveryError("it answered 404")))
    [found] = dead_letters(broker)
    assert found.letter is not None
    assert "mend the receiver" in hint(found.letter)


def test_the_list_is_a_table_on_a_terminal_and_one_line_each_in_a_pipe(
    broker: MemoryBroker, clock: FixedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in (b"cam1", b"cam2", b"cam3"):
        put(broker, dead_letter(record(stream, b"x" * 3000), "ingest", DamagedMediaError("d" * 300)))
        clock.advance(1000)
    run_list(broker, Wanted(), last=2, console=(out := terminal()))
    assert "STREAM" in shown(out)
    assert "the last 2 of 3" in shown(out)
    run_list(broker, Wanted(), last=2)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(len(line), line[2], line[7]) for line in lines] == [(8, "cam2", "2.9 KiB"), (8, "cam3", "2.9 KiB")]
    run_list(broker, Wanted(streams="x"), last=2)
    assert capsys.readouterr().out == "there are no dead letters like that\n"
