"""What `framecue up` makes of the settings, and how commands on one folder keep out of each other's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from framecue.errors import SetupError
from framecue.settings import Settings, load_settings
from framecue_services.cli.local.deployment import Deployment, local_settings
from framecue_services.cli.local.processes import Process
from framecue_services.cli.local.server import Server
from framecue_services.cli.local.service import SERVICES, services_of
from framecue_services.cli.local.state import State, read_state, sole_use, write_state


@pytest.mark.parametrize(
    ("given", "kafka", "redis", "reason"),
    [
        ({}, "127.0.0.1:9092", "redis://127.0.0.1:6379/0", "everything as usual"),
        (
            {"LOCAL__KAFKA_PORT": "19092", "LOCAL__REDIS_PORT": "16379"},
            "127.0.0.1:19092",
            "redis://127.0.0.1:16379/0",
            "the ports are enough",
        ),
        (
            {"LOCAL__KAFKA_PORT": "19092", "KAFKA__BOOTSTRAP": "localhost:19092"},
            "127.0.0.1:19092",
            "redis://127.0.0.1:6379/0",
            "both say the same",
        ),
        ({"REDIS__URL": "redis://localhost:6379/3"}, "127.0.0.1:9092", "redis://localhost:6379/3", "a database of it"),
    ],
)
def test_addresses_are_those_of_this_machine_when(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kafka: str, redis: str, reason: str
) -> None:
    found = local_settings(_settings(monkeypatch, given))
    assert (found.kafka.bootstrap, found.redis.url.get_secret_value()) == (kafka, redis), reason


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"KAFKA__BOOTSTRAP": "kafka.example:9092"}, "unset FRAMECUE_KAFKA__BOOTSTRAP, or start the services with"),
        ({"KAFKA__BOOTSTRAP": "127.0.0.1:9093"}, "a Kafka of yours, 127.0.0.1:9093"),
        ({"KAFKA__SECURITY": "SASL_SSL"}, "a Kafka without SASL_SSL; unset FRAMECUE_KAFKA__SECURITY"),
        ({"REDIS__URL": "redis://:secret@127.0.0.1:6379/0"}, "unset FRAMECUE_REDIS__URL"),
        ({"REDIS__URL": "rediss://127.0.0.1:6379/0"}, "a Redis of yours"),
        ({"LOCAL__REDIS_PORT": "9092"}, "Kafka takes 9092 and the next"),
        ({"LOCAL__REDIS_PORT": "9093"}, "Kafka takes 9092 and the next"),
    ],
)
def test_settings_are_refused_when_they_name_other_servers(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], says: str
) -> None:
    with pytest.raises(SetupError, match=says) as refused:
        local_settings(_settings(monkeypatch, given))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "auth", "reason"),
    [
        ({}, "off", "on this machine nobody needs a token"),
        ({"GATEWAY__AUTH": "on"}, "on", "unless it was asked for"),
        ({"GATEWAY__HOST": "0.0.0.0"}, "on", "others can reach it"),  # noqa: S104
    ],
)
def test_gateway_asks_for_tokens_when(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], auth: str, reason: str
) -> None:
    assert local_settings(_settings(monkeypatch, given)).gateway.auth == auth, reason


def test_notifier_runs_only_when_there_are_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services_of(load_settings()) == SERVICES
    hook = '[{"name": "ops", "url": "https://ops.example/hook", "secret": "sixteen letters!"}]'
    assert services_of(_settings(monkeypatch, {"NOTIFIER__WEBHOOKS": hook})) == (*SERVICES, "notifier")


def test_state_knows_only_what_still_runs(tmp_path: Path) -> None:
    write_state(tmp_path, State(processes={"Kafka": Process(1, "never")}, kafka_port=9092))
    assert read_state(tmp_path) == State(kafka_port=9092)


def test_state_says_what_to_do_when_damaged(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"processes": {"Kafka": 7}}')
    with pytest.raises(SetupError, match="is damaged; end what still runs by hand, then remove it"):
        read_state(tmp_path)


def test_folder_is_refused_when_another_command_works_on_it(tmp_path: Path) -> None:
    with sole_use(tmp_path), pytest.raises(SetupError, match="another `framecue up` or `down` is at work"):  # noqa: SIM117
        with sole_use(tmp_path):
            pass
    with sole_use(tmp_path):
        pass


def test_folder_is_refused_when_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"cannot be used: .*; set FRAMECUE_LOCAL__FOLDER"):  # noqa: SIM117
        with sole_use(tmp_path / "file" / "local"):
            pass


def test_purge_leaves_what_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shared"
    (folder / "kafka" / "data").mkdir(parents=True)
    (folder / "thesis").mkdir()
    deployment = Deployment(_settings(monkeypatch, {"LOCAL__FOLDER": str(folder)}))
    assert deployment.stop(_Silent()) == ()
    deployment.purge()
    assert [path.name for path in folder.iterdir()] == ["thesis"]
    (folder / "thesis").rmdir()
    deployment.purge()
    assert not folder.exists()
    deployment.purge()


class _Silent:
    def doing(self, what: str) -> None: ...

    def ready(self, server: Server) -> None: ...


def _settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> Settings:
    for name, value in given.items():
        monkeypatch.setenv(f"FRAMECUE_{name}", value)
    return load_settings()
