"""What facts mean to the doctor, without servers: a row for each thing that can be off, and the cure it names."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from framecue.broker.kafka.abandoned import Abandoned
from framecue.broker.kafka.cluster import BrokerFacts, Disk, GroupFacts, Skew, Span
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, TopicPartition
from framecue.clock import FixedClock
from framecue.errors import BrokerError
from framecue.models.loading import find_record
from framecue.schemas.codec import pack
from framecue.schemas.snapshot import PARTITION_KEY, PartitionSnapshot
from framecue.schemas.topics import DAY_MS, HOUR_MS, SNAPSHOTS
from framecue.settings import KafkaSettings, NotifierSettings, Settings, overlaid
from framecue.store.redis import ServerFacts
from framecue_services.cli.doctor import kafka, machine, model, store, webhooks
from framecue_services.cli.doctor.findings import Check, Examined, Finding, examine, fine
from framecue_services.cli.doctor.kafka import Growth
from framecue_services.cli.doctor.page import as_json, failed, tell
from framecue_services.notifier.addresses import Place, resolve

GIB = 1 << 30
GOOD = {
    "message.max.bytes": str(18 << 20),
    "socket.request.max.bytes": "104857600",
    "offset.metadata.max.bytes": "4096",
    "transaction.max.timeout.ms": "900000",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "transaction.state.log.min.isr": "1",
    "min.insync.replicas": "1",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
}
BROKER = BrokerFacts(1, "kafka-1:9092", (4, 3), GOOD, (Disk("/data", 100 * GIB, 50 * GIB),))
PLACES = [TopicPartition("media", p) for p in range(2)]
SPANS = dict.fromkeys(PLACES, Span(oldest=100, end=1000, since=500))
GROUP = GroupFacts("fusion", "Stable", 2, ("0", "1"), dict.fromkeys(PLACES, 999))
RETENTION = {"media": DAY_MS}


def only(findings: Iterable[Finding], severity: str) -> list[Finding]:
    return [f for f in findings if f.severity == severity]


@pytest.mark.parametrize(
    ("name", "value", "severity", "cure"),
    [
        ("message.max.bytes", "1048588", "warning", "set message.max.bytes to 18874368 or more"),
        ("socket.request.max.bytes", "1048576", "error", "set socket.request.max.bytes to 22020096 or more"),
        ("offset.metadata.max.bytes", "100", "error", "set offset.metadata.max.bytes to 1024 or more"),
        ("transaction.max.timeout.ms", "5000", "error", "set transaction.max.timeout.ms to 10000 or more"),
        ("group.min.session.timeout.ms", "30000", "error", "set group.min.session.timeout.ms to 10000 or less"),
        ("group.max.session.timeout.ms", "8000", "error", "set group.max.session.timeout.ms to 10000 or more"),
        ("transaction.state.log.min.isr", "2", "error", "set transaction.state.log.min.isr to 1 or less"),
        ("min.insync.replicas", "2", "error", "set min.insync.replicas to 1 or less"),
        ("auto.create.topics.enable", "true", "warning", "set auto.create.topics.enable=false"),
        ("unclean.leader.election.enable", "true", "warning", "set unclean.leader.election.enable=false"),
    ],
)
def test_a_limit_of_a_broker_that_does_not_fit_ours(name: str, value: str, severity: str, cure: str) -> None:
    broker = replace(BROKER, settings={**GOOD, name: value})
    [finding] = kafka.judge_broker(broker, KafkaSettings(), brokers=1)
    assert (finding.severity, finding.cure) == (severity, f"{cure} on the brokers")
    assert f"{name}={value}" in finding.what


def test_a_broker_that_fits_and_one_that_is_too_old() -> None:
    assert [f.severity for f in kafka.judge_broker(BROKER, KafkaSettings(), brokers=1)] == ["fine"]
    [old, _] = kafka.judge_broker(replace(BROKER, version=(2, 4)), KafkaSettings(), brokers=1)
    assert (old.severity, old.cure) == ("error", "use Kafka 2.5 or later")


def test_what_a_broker_does_not_show_is_not_held_against_it() -> None:
    assert [f.severity for f in kafka.judge_broker(replace(BROKER, settings={}), KafkaSettings(), brokers=1)] == [
        "fine"
    ]


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (Skew(-20, 30), "agree"),
        (Skew(-3_000, 40), "agree"),  # a slow answer says nothing
        (Skew(5_000, 5_040), "5.0 s ahead"),
        (Skew(-9_040, -9_000), "9.0 s behind"),
    ],
)
def test_clocks_are_apart_only_as_far_as_the_answer_proves(skew: Skew, said: str) -> None:
    assert said in kafka.judge_skew(skew).what


def test_each_transaction_that_nobody_will_end_is_an_error_with_the_command_that_ends_it() -> None:
    found = [Abandoned("framecue.media", 3, start, 1_700_000_000_000, 7) for start in (20, 41)]
    findings = list(kafka.judge_abandoned(found, bootstrap="kafka-1:9092"))
    assert [f.severity for f in findings] == ["error", "error"]
    assert findings[0].what.startswith("framecue.media 3 gives readers nothing from offset 20 on: ")
    assert "since 2023-11-14T22:13:20.000Z" in findings[0].what
    tool = "`kafka-transactions.sh --bootstrap-server kafka-1:9092 abort --topic framecue.media --partition 3"
    for finding, start in zip(findings, (20, 41), strict=True):
        assert f"{tool} --start-offset {start}` drops what it wrote there" in finding.cure


@pytest.mark.parametrize(("found", "severity"), [((), "fine"), (None, "unknown")])
def test_no_transaction_is_in_the_way_or_nobody_can_say(found: tuple[()] | None, severity: str) -> None:
    [finding] = kafka.judge_abandoned(found, bootstrap="kafka-1:9092")
    assert (finding.severity, finding.cure) == (severity, "")


@pytest.mark.parametrize(
    ("group", "severity", "said", "cure"),
    [
        (GROUP, "fine", "2 workers (slots 0, 1), caught up", ""),
        (replace(GROUP, committed=dict.fromkeys(PLACES, 700)), "fine", "about 600 records behind", ""),
        (replace(GROUP, committed=dict.fromkeys(PLACES, 400)), "warning", "more than half of the 1 d", "more workers"),
        (replace(GROUP, committed=dict.fromkeys(PLACES, 60)), "error", "missed about 80 records", "retention.ms"),
        (replace(GROUP, members=0, slots=()), "warning", "no fusion runs, and about 2", "framecue run fusion"),
        (replace(GROUP, members=0, slots=(), committed={}), "error", "soon records are lost", "framecue run fusion"),
        (replace(GROUP, slots=("0",)), "warning", "1 worker of fusion without a slot", "FRAMECUE_SLOT"),
        (replace(GROUP, members=3, slots=("0", "1", "2")), "warning", "1 of 3 workers", "stop them"),
    ],
)
def test_what_a_group_is_like(group: GroupFacts, severity: str, said: str, cure: str) -> None:
    found = only(kafka.judge_group(group, SPANS, retention_ms=RETENTION), severity)
    assert [f for f in found if said in f.what and cure in f.cure], found


@pytest.mark.parametrize(
    ("topics", "severity", "said"),
    [
        ((Growth("segments", GIB, 4 * GIB, 6 * HOUR_MS),), "fine", "then expire as fast"),
        ((Growth("features", 0, 3 * GIB, 30 * DAY_MS),), "warning", "last 16.7 days: less than features"),
        ((Growth("features", 0, 40 * GIB, 30 * DAY_MS),), "error", "last 1.2 days"),
        ((Growth("snapshots", GIB, 900 * GIB, -1),), "fine", "topics take 1.0 GiB"),  # bounded by its keys
        ((), "fine", "topics take 0 B"),
    ],
)
def test_how_long_disks_last(topics: tuple[Growth, ...], severity: str, said: str) -> None:
    [finding] = kafka.judge_disks((BROKER,), topics)
    assert finding.severity == severity
    assert said in finding.what


def test_brokers_that_do_not_tell_their_disks_are_not_judged() -> None:
    [finding] = kafka.judge_disks((replace(BROKER, disks=(Disk("/data", None, None),)),), ())
    assert finding.severity == "unknown"


def test_outages_are_as_long_as_input_is_kept() -> None:
    retention_ms = {"segments": 6 * HOUR_MS, "subtitles": DAY_MS, "media": -1}
    assert [f.what for f in kafka.judge_outages(retention_ms, skip_older_than_ms=None)] == [
        "ingest may be away for 6 h: so long its input is kept"
    ]
    [warning] = only(kafka.judge_outages(retention_ms, skip_older_than_ms=7 * HOUR_MS), "warning")
    assert "before ingest would skip" in warning.what


@pytest.mark.parametrize(
    ("facts", "severity", "cure"),
    [
        (ServerFacts((7, 0, 15), "noeviction", GIB, 0), "fine", ""),
        (ServerFacts((6, 2, 0), "noeviction", GIB, 4 * GIB), "fine", ""),
        (ServerFacts((6, 0, 16), "noeviction", GIB, 0), "error", "use Redis 6.2 or later"),
        (ServerFacts((7, 0), "allkeys-lru", GIB, 4 * GIB), "warning", "noeviction"),
        (ServerFacts((7, 0), "noeviction", 39 * GIB, 40 * GIB), "warning", "raise maxmemory"),
    ],
)
def test_what_a_redis_is_like(facts: ServerFacts, severity: str, cure: str) -> None:
    worst = max(store.judge(facts), key=lambda f: ("fine", "warning", "error").index(f.severity))
    assert worst.severity == severity
    assert cure in worst.cure


@pytest.mark.parametrize(
    ("got", "bounds", "kept"),
    [
        ("3.0.12", ">=3.0.12,<4", True),
        ("3.0.9", ">=3.0.12,<4", False),
        ("4.0", ">=3.0.12,<4", False),
        ("4", "<4.0", False),
        ("2.15.0+cu132", ">=2.6,<3", True),
        ("0.1.0", "==0.1.0", True),
        ("3.0.12rc1", ">=3.0.12", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(got: str, bounds: str, kept: bool) -> None:
    assert machine.within(got, bounds) == kept


@pytest.mark.parametrize(("free", "severity"), [(50 * GIB, "fine"), (GIB, "warning"), (GIB // 4, "error")])
def test_room_for_the_local_servers(free: int, severity: str) -> None:
    finding = machine.room(Path("/data"), free)
    assert finding.severity == severity
    assert severity == "fine" or "FRAMECUE_LOCAL__FOLDER" in finding.cure


def test_packages_and_decoders_of_this_checkout_are_fine() -> None:
    found = [*machine.checksums(), *machine.packages(), *machine.decoders(Settings())]
    assert {f.severity for f in found} == {"fine"}
    assert any(f.what.startswith("kafka-python 3") for f in found)


def test_a_model_whose_files_are_not_as_recorded(tmp_path: Path) -> None:
    folder, lock = tmp_path / "model", tmp_path / "models.lock"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    settings = overlaid(Settings(), {"model": {"name": str(folder), "lock": lock}})
    assert next(f.cure for f in only(model.files(settings), "warning")) == f"run `framecue models pull {folder}`"
    pull(folder, lock)
    assert "as recorded" in next(f.what for f in only(model.files(settings), "fine"))
    (folder / "model.safetensors").unlink()
    [error] = only(model.files(settings), "error")
    assert "is missing" in error.what
    assert "models pull" in error.cure


def pull(folder: Path, lock: Path) -> None:
    from framecue.models.lock import pull as pull_model

    pull_model(str(folder), lock)


def test_snapshots_of_another_model_are_found(tmp_path: Path) -> None:
    settings = overlaid(Settings(), {"model": {"lock": tmp_path / "models.lock"}})
    broker = MemoryBroker(partitions=3)
    assert [f.what for f in model.space(settings, broker)] == ["there are no snapshots yet"]
    ours = find_record("default", lock=None).space_id()
    broker.commit([snapshot(0, "other-1"), snapshot(0, ours), snapshot(1, ours)])
    assert [f.what for f in model.space(settings, broker)] == ["snapshots of 2 partitions are of this model"]
    broker.commit([snapshot(2, "other-1")])
    [error] = model.space(settings, broker)
    assert (error.severity, "1 of 3 partitions hold vectors of other-1" in error.what) == ("error", True)
    assert "--adopt-model" in error.cure


def snapshot(partition: int, space: str) -> Message:
    kept = PartitionSnapshot(media_offset=0, features_end=0, space=space, model="m")
    return Message(SNAPSHOTS.name, PARTITION_KEY, pack(kept), partition=partition)


def test_a_check_that_fails_is_a_finding_and_the_others_go_on() -> None:
    def broken() -> Iterator[Finding]:
        yield fine("so far")
        raise ValueError("odd")

    def away() -> Iterator[Finding]:
        raise BrokerError("no broker answers; start one")

    found = list(examine((Check("a", broken), Check("b", away), Check("c", lambda: [fine("good")]))))
    assert [(one.check, one.finding.severity) for one in found] == [
        ("a", "fine"),
        ("a", "error"),
        ("b", "error"),
        ("c", "fine"),
    ]
    assert "ValueError: odd" in found[1].finding.what
    assert found[2].finding == Finding("error", "no broker answers", "start one")


FOUND = [
    Examined("redis", fine("good")),
    Examined("kafka", Finding("warning", "tight \x1b[31m", "give more")),
    Examined("kafka", Finding("unknown", "not seen")),
]


def test_findings_for_people_for_pipes_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, markup=False)
    assert isinstance(terminal.file, io.StringIO)
    assert tell(FOUND, terminal) == FOUND
    for part in ("✓ redis", "! kafka", "→ give more", "? kafka", "0 errors, 1 warning"):
        assert part in terminal.file.getvalue()
    assert "\x1b[31m" not in terminal.file.getvalue()
    tell(FOUND, Console(file=io.StringIO()))
    assert capsys.readouterr().out.splitlines()[:2] == ["fine\tredis\tgood\t", "warning\tkafka\ttight [31m\tgive more"]
    document = json.loads(as_json(FOUND))
    assert document["ok"]
    second = {"check": "kafka", "severity": "warning", "what": "tight \x1b[31m", "cure": "give more"}
    assert document["findings"][1] == second
    assert failed([Examined("x", Finding("error", "bad"))])


@pytest.mark.parametrize(
    ("url", "places", "private", "severity", "said"),
    [
        ("http://127.0.0.1:{port}/", None, "allow", "fine", "takes connections"),
        ("http://127.0.0.1:{port}/", None, "refuse", "error", "no public address, and nothing is delivered there"),
        ("http://127.0.0.1:1/", None, "allow", "warning", "cannot be reached: connection refused; events wait"),
        ("https://hooks.example/", (), "allow", "warning", "its name has no address"),
    ],
)
def test_whether_a_receiver_of_webhooks_can_be_called(
    url: str, places: tuple[()] | None, private: str, severity: str, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        hook = {"name": "ops", "url": url.format(port=server.getsockname()[1]), "secret": "0123456789abcdef"}
        settings = NotifierSettings.model_validate({"webhooks": [hook], "private_addresses": private})
        found = resolve if places is None else lambda *_: places
        [finding] = webhooks.receivers(settings, FixedClock(), resolve=found)
    assert finding.severity == severity
    assert said in finding.what


def test_a_receiver_that_others_could_listen_to_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = Place(socket.AF_INET, server.getsockname())
        public = Place(socket.AF_INET, ("8.8.8.8", 80))  # its second address, never called
        hook = {"name": "ops", "url": "http://hooks.example/", "secret": "0123456789abcdef"}
        settings = NotifierSettings.model_validate({"webhooks": [hook], "private_addresses": "allow"})
        found = list(webhooks.receivers(settings, FixedClock(), resolve=lambda *_: [here, public]))
    [warning] = only(found, "warning")
    assert (warning.cure, "without TLS" in warning.what) == ("write its URL with https", True)


def test_a_secret_that_is_none_is_said() -> None:
    hook = {"name": "ops", "url": "https://hooks.example/", "secret": "whsec_not-base64-at-all"}
    [finding] = webhooks.receivers(NotifierSettings.model_validate({"webhooks": [hook]}), FixedClock())
    assert (finding.severity, "no base64" in finding.what) == ("error", True)


def test_the_group_of_each_webhook_is_looked_at() -> None:
    hook = {"name": "ops", "url": "https://hooks.example/", "secret": "0123456789abcdef"}
    groups = kafka.readers(NotifierSettings.model_validate({"webhooks": [hook]}))
    assert groups["notifier.ops"] == ("events",)
    away = replace(GROUP, name="notifier.ops", members=0, slots=(), committed={})
    found = list(kafka.judge_group(away, {}, retention_ms=RETENTION))
    assert "`framecue run notifier`" in found[0].cure
