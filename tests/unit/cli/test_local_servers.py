"""Kafka and Redis as `framecue up` starts them: what is found, what is kept over a stop and a kill, what is said."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Message
from framecue.errors import SetupError
from framecue_services.cli.local.java import KAFKA, find_java, kafka_jars
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer, find_redis, runnable
from framecue_services.cli.local.server import HOST, StartError, taken
from tests.support.servers import free_port, running

PLACES = [(topic, number) for topic in ("media", "features", "snapshots", "events") for number in range(4)]


def test_kafka_when_killed_stopped_and_moved_in_a_folder_with_an_umlaut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "POSIX")
    with running(KafkaServer(tmp_path / "für mich 🎬", free_port(2))) as server:
        connection = KafkaConnection(server.bootstrap)
        create_topics(connection, partitions=4, replication=1)
        with closing(KafkaBroker(connection)) as broker:
            broker.commit([Message(topic, b"key", b"value", partition=number) for topic, number in PLACES])
            _check_restarts(server, server.kill)  # before that commit's markers are everywhere: Kafka 4.4 loses them
            assert [len(list(broker.read(topic, partition=number))) for topic, number in PLACES] == [1] * len(PLACES)
        server.stop()
        assert not taken(server.port)
        server.port = free_port(2)
        server.start()
        assert server.answers()


def test_redis_when_killed_and_stopped(own_redis: Callable[[], RedisServer]) -> None:
    server = own_redis()
    _check_restarts(server, server.kill)
    _check_restarts(server, server.stop)


def test_redis_answers_when_of_each_version(redis_urls: str) -> None:
    assert taken(int(redis_urls.rpartition(":")[2].partition("/")[0]))


def test_kafka_refuses_when_folder_has_a_comma(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no folder with a comma"):
        KafkaServer(tmp_path / "a,b", free_port(2)).start()


@pytest.mark.parametrize(("noted", "said"), [(None, "4.4.0"), ("5.0.1", "5.0.1")], ids=["not noted", "newer"])
def test_kafka_refuses_data_of_a_newer_one(tmp_path: Path, noted: str | None, said: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").touch()
    if noted is not None:
        (tmp_path / "formatted-by").write_text(noted)
    with pytest.raises(
        SetupError, match=rf"made by Kafka {re.escape(said)}, which {re.escape(KAFKA)} cannot read; delete"
    ):
        KafkaServer(tmp_path, free_port(2)).start()


def test_start_says_what_the_log_says_when_it_fails(tmp_path: Path, occupied: int) -> None:
    server = RedisServer(tmp_path, occupied)
    with pytest.raises(StartError, match="Redis ended while it was starting; see ") as failed:
        server.start()
    assert any("in use" in line for line in failed.value.last_lines)
    assert not server.running


def test_start_ends_it_when_too_slow(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, free_port(), program=_program(tmp_path / "redis-server", "exec sleep 60"))
    with pytest.raises(StartError, match=r"Redis was not ready within 0\.2 s"):
        server.start(within_s=0.2)
    assert not server.running


@pytest.mark.parametrize(
    ("java", "ours"),
    [
        (None, True),
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", True),
        ("echo 'java version \"1.8.0_361\"' >&2", True),
        ("exit 1", True),
        ("echo 'openjdk version \"17.0.15\" 2025-04-15' >&2", False),
        ("echo 'openjdk version \"25\" 2025-09-16' >&2", False),
    ],
    ids=["none", "too old", "of the old counting", "broken", "as old as may be", "new, without a minor version"],
)
def test_java_is_the_systems_where_it_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, java: str | None, ours: bool
) -> None:
    if java is not None:
        _program(tmp_path / "java", java)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (find_java() != tmp_path / "java") == ours
    assert find_java().is_file()


@pytest.mark.parametrize(
    ("redis", "ours"),
    [
        (None, True),
        ("echo 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'", True),
        ("exit 1", True),
        ("echo 'Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64'", False),
        ("echo 'Redis server v=10.0.1 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64'", False),
    ],
    ids=["none", "too old", "broken", "as old as may be", "two digits"],
)
def test_redis_is_the_systems_where_it_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: str | None, ours: bool
) -> None:
    if redis is not None:
        _program(tmp_path / "redis-server", redis)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_redis(tmp_path / "copies")
    assert (found != tmp_path / "redis-server") == ours
    assert os.access(found, os.X_OK)


def test_program_is_copied_when_it_may_not_be_run(tmp_path: Path) -> None:
    packed = _program(tmp_path / "redis-server", "echo unpacked")
    packed.chmod(stat.S_IRUSR)
    copy = runnable(packed, tmp_path / "copies")
    assert copy == tmp_path / "copies" / "redis-server"
    assert copy.read_bytes() == packed.read_bytes()
    assert os.access(copy, os.X_OK)
    assert runnable(packed, tmp_path / "copies") == copy


def test_jars_are_said_to_be_missing_when_they_cannot_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "mvn", "echo '[ERROR] no such host' ; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{free_port()}")
    with pytest.raises(SetupError, match=rf"Kafka {re.escape(KAFKA)} could not be fetched from Maven Central: "):
        kafka_jars(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.fixture
def occupied() -> Generator[int]:
    """A port on which somebody else listens."""
    with socket.create_server((HOST, 0)) as other:
        yield other.getsockname()[1]


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
    path.chmod(0o755)
    return path


def _check_restarts(server: RedisServer | KafkaServer, end: Callable[[], None]) -> None:
    before = server.pid
    end()
    assert not server.running
    assert not server.answers()
    server.start()
    assert server.answers()
    assert server.pid != before
