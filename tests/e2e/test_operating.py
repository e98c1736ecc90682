"""The commands of whoever runs FrameCue, as they are typed, on a real Kafka and a real Redis."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.protocol import Record, TopicPartition
from framecue.broker.publishing import dead_letter
from framecue.errors import DamagedMediaError
from framecue.schemas.codec import unpack_media
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.media import RulesMedia
from framecue.schemas.topics import MEDIA, SEGMENTS
from framecue.store.redis import RedisStore
from framecue_services.cli.__main__ import main
from framecue_services.cli.commands import operating
from tests.unit.cli.results import annotation

PARTITIONS = 3
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def connection(kafka: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KafkaConnection:
    made = KafkaConnection(kafka, prefix=f"operating-{uuid4().hex[:8]}.")
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("KAFKA__BOOTSTRAP", kafka),
        ("KAFKA__PREFIX", made.prefix),
        ("REDIS__URL", redis_url),
        ("REDIS__PREFIX", f"{made.prefix}:"),
    ):
        monkeypatch.setenv(f"FRAMECUE_{name}", value)
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], connection: KafkaConnection) -> Run:
    """Types one command; its exit code, stdout and stderr. The topics are there."""

    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["framecue", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    typed("topics", "create", "--partitions", str(PARTITIONS))
    return typed


@contextmanager
def opened(connection: KafkaConnection, *, slot: str | None = None) -> Generator[KafkaBroker]:
    broker = KafkaBroker(connection, slot=slot)
    try:
        yield broker
    finally:
        broker.close()


def test_topics_are_made_once_and_checked(run: Run) -> None:
    code, out, _ = run("topics", "create", "--partitions", "5")
    assert (code, out) == (0, "12 were there before, and are as they were\n")
    assert run("topics", "check")[:2] == (0, "all 12 topics are as they should be\n")


def test_commands_without_topics_name_the_command_that_makes_them(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("FRAMECUE_KAFKA__PREFIX", "nothing-here.")
    code, _, err = run("rules", "show")
    assert code == 2
    assert "framecue topics create" in err


def test_rules_come_into_force_in_every_partition_and_are_shown(
    connection: KafkaConnection, run: Run, tmp_path: Path
) -> None:
    assert run("rules", "show")[0] == 2
    assert run("rules", "apply", "--default-if-none")[0] == 0
    (tmp_path / "rules.yaml").write_text("events: [{name: goal, text: [goal], for: 2s}]")
    code, out, err = run("rules", "apply", "rules.yaml")
    assert (code, err) == (0, "")
    assert "+ event goal" in out
    assert "in 3 media partitions: 1 added, 1 removed" in out
    shown = run("rules", "show")[1]
    (tmp_path / "again.yaml").write_text(shown)
    assert "the same as before" in run("rules", "apply", "again.yaml")[1]
    value = json.loads(run("rules", "show", "--json")[1])
    assert value["rules"]["events"][0]["name"] == "goal"
    assert value["since"].startswith("20")
    with opened(connection) as broker:
        for partition in range(PARTITIONS):
            records = [unpack_media(r.value or b"") for r in broker.read(MEDIA.name, partition=partition)]
            assert [len(r.rules.events) for r in records if isinstance(r, RulesMedia)] == [0, 1, 1]


def test_dead_letters_are_listed_shown_and_put_back(connection: KafkaConnection, run: Run, tmp_path: Path) -> None:
    video = bytes(range(256)) * (6 << 12)  # 6 MiB: three do not fit one commit
    with opened(connection) as broker:
        for n in range(3):
            broken = Record(SEGMENTS.name, 1, n, 5, b"cam1", video, (("framecue-seq", b"%d" % n),))
            broker.commit([dead_letter(broken, "ingest", DamagedMediaError("dark"))])
        broker.commit([dead_letter(Record(SEGMENTS.name, 1, 9, 5, b"a b", b"x"), "ingest", DamagedMediaError("odd"))])
    code, out, _ = run("deadletters", "list", "--stage", "ingest", "--stream", "cam*")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [line[2:6] + line[7:] for line in lines] == [["cam1", "ingest", "DamagedMediaError", "dark", "6.0 MiB"]] * 3
    shown = run("deadletters", "show", lines[0][0], "--output", "bytes")[1]
    assert "reason\tdark" in shown
    assert (tmp_path / "bytes").read_bytes() == video
    code, out, _ = run("deadletters", "requeue", "--all", "--stage", "ingest")
    assert code == 1
    assert "put back: 3 to segments" in out
    assert "no usable key" in out
    assert run("deadletters", "requeue", lines[1][0])[0] == 0
    with opened(connection) as broker:
        again = list(broker.read(SEGMENTS.name, partition=1))
        letters = [parse_dead_letter(r.value or b"", r.headers) for r in again]
    assert [(x.origin.offset, x.headers[0][1], x.value == video) for x in letters[:3]] == [
        (n, b"%d" % n, True) for n in range(3)
    ]
    assert letters[3].origin.offset == letters[1].origin.offset


def read_on(connection: KafkaConnection, stop: threading.Event) -> None:
    """Fusion, as far as a broker sees it: a member that reads `media` and commits."""
    with opened(connection, slot="0") as broker:
        consumer = broker.consumer("fusion", [MEDIA.name])
        while not stop.is_set():
            if records := consumer.poll(10, timeout_s=0.5):
                after = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
                broker.commit([], consumer=consumer, offsets=after)
        consumer.close()


def test_a_stream_is_forgotten_once_fusion_has_ended_its_run(
    connection: KafkaConnection, run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(redis_url, prefix=f"{connection.prefix}:")
    store.put([annotation(0)])
    assert run("forget", "film")[0] == 2, "nobody is there to be asked"
    assert store.latest("film") is not None
    stop = threading.Event()
    fusion = threading.Thread(target=read_on, args=(connection, stop))
    fusion.start()
    try:
        code, out, _ = run("forget", "film", "--yes")
    finally:
        stop.set()
        fusion.join()
    assert (code, store.latest("film")) == (0, None)
    assert "the run of film has ended" in out
    assert "annotations       30 days" in out
    store.close()


def test_redis_is_made_again_from_the_topics(run: Run) -> None:
    code, out, _ = run("redis", "rebuild", "--flush")
    assert code == 0
    assert "0 keys" in out


def test_every_command_of_this_file_has_help_without_a_server(run: Run) -> None:
    groups = [group for group in operating.commands.registered_groups if group.name]
    for words in (["doctor"], ["forget"], *([str(group.name)] for group in groups)):
        assert run(*words, "--help")[0] == 0
