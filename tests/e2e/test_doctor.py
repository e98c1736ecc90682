"""The doctor on real servers: nothing wrong is found where nothing is, and each planted fault with its cure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import Admin, KafkaConnection
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Message, TopicPartition
from framecue.clock import SystemClock
from framecue.models.lock import pull
from framecue.schemas.codec import pack
from framecue.schemas.snapshot import PARTITION_KEY, PartitionSnapshot
from framecue.schemas.topics import ANNOTATIONS, FEATURES, HOUR_MS, MEDIA, SEGMENTS, SNAPSHOTS
from framecue_services.cli.doctor.running import run_doctor
from tests.support.abandoned import abandoned_transaction, open_transaction
from tests.support.servers import free_port

PARTITIONS = 3
Plant = Callable[[KafkaConnection], None]


@pytest.fixture
def connection(kafka: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KafkaConnection:
    """A deployment in which nothing is wrong: topics of its own, a pinned model, and variables that say where."""
    made = KafkaConnection(kafka, prefix=f"doctor-{uuid4().hex[:8]}.")
    create_topics(made, partitions=PARTITIONS, replication=1)
    monkeypatch.chdir(tmp_path)
    pull("default", tmp_path / "models.lock")
    monkeypatch.setenv("FRAMECUE_KAFKA__BOOTSTRAP", kafka)
    monkeypatch.setenv("FRAMECUE_KAFKA__PREFIX", made.prefix)
    monkeypatch.setenv("FRAMECUE_REDIS__URL", redis_url)
    return made


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings that are not fine."""
    code = run_doctor(form="json")
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] == (code == 0)
    return code, [f for f in found["findings"] if f["severity"] != "fine"]


def has(found: list[dict[str, Any]], *, severity: str, what: str, cure: str) -> bool:
    return any(f["severity"] == severity and what in f["what"] and cure in (f["cure"] or "") for f in found)


def test_where_nothing_is_wrong_nothing_is_found(
    connection: KafkaConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = examined(capsys)
    assert code == 0
    assert [f["what"] for f in found if f["check"] != "groups"] == []
    assert {f["severity"] for f in found} == {"warning"}, "no service runs, which is said and is no error"


def ask(connection: KafkaConnection, question: Callable[[Any], Any]) -> None:
    admin = Admin(connection)
    admin.ask("planting", question)
    admin.close()


def altered(topic: str, **settings: str) -> Plant:
    configs = {name.replace("_", "."): value for name, value in settings.items()}

    def plant(connection: KafkaConnection) -> None:
        changed = ConfigResource(ConfigResourceType.TOPIC, connection.topic(topic), configs=configs)
        ask(connection, lambda client: client.alter_configs([changed]))

    return plant


def deleted(connection: KafkaConnection) -> None:
    ask(connection, lambda client: client.delete_topics([connection.topic(ANNOTATIONS.name)]))


def widened(connection: KafkaConnection) -> None:
    wider = {connection.topic(MEDIA.name): NewPartitions(PARTITIONS + 1)}
    ask(connection, lambda client: client.create_partitions(wider))


def of_another_model(connection: KafkaConnection) -> None:
    kept = PartitionSnapshot(media_offset=0, features_end=0, space="other-1", model="other")
    broker = KafkaBroker(connection)
    broker.commit([Message(SNAPSHOTS.name, PARTITION_KEY, pack(kept), partition=1)])
    broker.close()


def expired_unread(connection: KafkaConnection) -> None:
    """Ingest read one of four segments, was away, and two of the others expired."""
    broker, at = KafkaBroker(connection, slot="0"), TopicPartition(SEGMENTS.name, 0)
    broker.commit([Message(SEGMENTS.name, b"cam1", b"x", partition=0) for _ in range(4)])
    consumer = broker.consumer("ingest", [SEGMENTS.name])
    while at not in consumer.assignment():
        consumer.poll(1, timeout_s=1)
    broker.commit([], consumer=consumer, offsets={at: 1})
    consumer.close()
    broker.close()
    place = KafkaPartition(connection.topic(SEGMENTS.name), 0)
    ask(connection, lambda client: client.delete_records({place: 3}))


@pytest.mark.parametrize(
    ("plant", "what", "cure"),
    [
        (
            altered(SEGMENTS.name, message_timestamp_type="CreateTime"),
            "segments: message.timestamp.type is CreateTime",
            "message.timestamp.type=LogAppendTime",
        ),
        (deleted, "annotations: it does not exist", "framecue topics create"),
        (widened, "media: it has 4 partitions, and must have 3", "framecue topics create"),
        (
            altered(SEGMENTS.name, max_message_bytes="1000000", message_timestamp_type="LogAppendTime"),
            "segments: max.message.bytes is 1000000",
            "--add-config max.message.bytes=",
        ),
        (altered(FEATURES.name, retention_ms="60000"), "features: retention.ms is 60000", "--add-config retention.ms="),
        (
            altered(SNAPSHOTS.name, cleanup_policy="delete"),
            "snapshots: cleanup.policy is delete",
            "cleanup.policy=compact",
        ),
        (of_another_model, "1 of 3 partitions hold vectors of other-1", "--adopt-model"),
        (expired_unread, "ingest missed about 2 records", "retention.ms"),
    ],
)
def test_a_fault_on_the_broker_is_found_with_its_cure(
    connection: KafkaConnection, capsys: pytest.CaptureFixture[str], plant: Plant, what: str, cure: str
) -> None:
    plant(connection)
    code, found = examined(capsys)
    assert code == 1
    assert has(found, severity="error", what=what, cure=cure), found


def test_a_transaction_that_nobody_will_end_is_found_and_one_of_a_fleet_is_not(
    connection: KafkaConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    an_hour_ago_ms = SystemClock().now_ms() - HOUR_MS
    with (
        open_transaction(connection, MEDIA.name, 0, at_ms=an_hour_ago_ms),
        abandoned_transaction(connection, ANNOTATIONS.name, 1, at_ms=an_hour_ago_ms),
    ):
        code, found = examined(capsys)
    assert code == 1
    [error] = [f for f in found if f["severity"] == "error"]
    assert (error["check"], "annotations 1 gives readers nothing from offset 0 on" in error["what"]) == ("kafka", True)
    assert f"--topic {connection.topic(ANNOTATIONS.name)} --partition 1 --start-offset 0" in error["cure"]


@pytest.mark.parametrize(
    ("variable", "value", "what", "cure"),
    [
        ("FRAMECUE_KAFKA__BOOTSTRP", "x:1", "no setting FRAMECUE_KAFKA__BOOTSTRP", "FRAMECUE_KAFKA__BOOTSTRAP"),
        ("FRAMECUE_REDIS__URL", "redis://:secret@127.0.0.1:{closed}/0", "does not answer", "framecue up"),
        ("FRAMECUE_ANALYSIS__WINDOW_MS", "7", "analysis.window_ms (FRAMECUE_ANALYSIS__WINDOW_MS)", "correct"),
        ("FRAMECUE_MODEL__NAME", "gone", "no preset (default), folder or models.lock entry", "models pull gone"),
    ],
)
def test_a_fault_in_the_settings_is_found_with_its_cure(
    connection: KafkaConnection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    what: str,
    cure: str,
) -> None:
    monkeypatch.setenv(variable, value.format(closed=free_port()))
    code, found = examined(capsys)
    assert code == 1
    assert has(found, severity="error", what=what, cure=cure), found
    assert "secret" not in str(found)


def test_a_redis_that_drops_results_when_full_is_a_warning(
    connection: KafkaConnection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    own_redis: Callable[[], Any],
) -> None:
    import redis

    url = own_redis().url
    client = redis.Redis.from_url(url)
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    monkeypatch.setenv("FRAMECUE_REDIS__URL", url)
    code, found = examined(capsys)
    assert code == 0
    assert has(found, severity="warning", what="allkeys-lru drops results", cure="noeviction")


def test_a_model_whose_files_are_gone_is_found_with_its_cure(
    connection: KafkaConnection, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    pull("model", tmp_path / "models.lock")
    weights.unlink()
    monkeypatch.setenv("FRAMECUE_MODEL__NAME", "model")
    code, found = examined(capsys)
    assert code == 1
    assert has(found, severity="error", what="model.safetensors is missing", cure="framecue models pull")


@pytest.mark.parametrize(
    ("before", "port", "check", "what", "cure"),
    [
        ("sys.modules['crc32c'] = None", None, "packages", "the package crc32c is missing", "pip install crc32c"),
        ("", "closed", "kafka", "no Kafka broker answers at 127.0.0.1", "framecue up"),
    ],
)
def test_a_fault_that_keeps_kafka_away_is_found_and_the_rest_is_looked_at(
    connection: KafkaConnection,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    port: str | None,
    check: str,
    what: str,
    cure: str,
) -> None:
    """In a process of its own: the client leaves the sockets of refused connections to the garbage collector."""
    if port is not None:
        monkeypatch.setenv("FRAMECUE_KAFKA__BOOTSTRAP", f"127.0.0.1:{free_port()}")
    code = f"import sys; {before}\nfrom framecue_services.cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert any(line[:2] == ["error", check] and what in line[2] and cure in line[3] for line in lines), done.stdout
    assert any(line[:2] == ["fine", "redis"] for line in lines), done.stdout
    assert any(line[:2] == ["not checked", "kafka"] for line in lines), done.stdout
