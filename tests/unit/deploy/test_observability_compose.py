"""The overlay with Prometheus, Grafana, the collector and Jaeger, as far as no engine is needed: it fits the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from framecue.settings import LocalSettings, variables
from framecue_services.cli.local.service import SERVICES
from tests.support.dashboards import OBSERVABILITY
from tests.support.paths import REPO

OVERLAY = REPO / "deploy" / "compose.observability.yml"
GPU = REPO / "deploy" / "compose.gpu.yml"
ADDED = {"prometheus", "grafana", "otel-collector", "jaeger"}
METRICS_PORT = 9464
"""Of each service in its container, as the image has it."""


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return _yaml(REPO / "docker-compose.yml")


@pytest.fixture(scope="module")
def overlay() -> dict[str, Any]:
    return _yaml(OVERLAY)


def test_overlay_adds_its_services_to_those_that_run(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    ours = {name for name, service in base["services"].items() if service.get("command", [""])[0] == "run"}
    assert set(SERVICES) <= ours
    assert set(overlay["services"]) == ours | ADDED
    assert ADDED & set(base["services"]) == set()
    assert set(_yaml(GPU)["services"]) <= ours


@pytest.mark.parametrize("path", [OVERLAY, GPU], ids=["observability", "gpu"])
def test_overlays_set_only_variables_that_exist(path: Path) -> None:
    named = set(re.findall(r"FRAMECUE_\w+", path.read_text()))
    assert named
    assert named <= set(variables())


def test_overlay_is_reached_from_this_machine_only(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    published = [port for service in overlay["services"].values() for port in service.get("ports", ())]
    assert {port.rpartition(":")[0] for port in published} == {"127.0.0.1:9090", "127.0.0.1:3000", "127.0.0.1:16686"}
    before = [port for service in base["services"].values() for port in service.get("ports", ())]
    assert {port.rsplit(":", 1)[-1] for port in published} & {port.rsplit(":", 1)[-1] for port in before} == set()


def test_overlay_pins_what_it_runs(overlay: dict[str, Any]) -> None:
    images = {name: overlay["services"][name]["image"] for name in ADDED}
    assert {name: image for name, image in images.items() if not re.search(r":v?\d+\.\d+\.\d+$", image)} == {}


def test_overlay_mounts_files_that_are_there(overlay: dict[str, Any]) -> None:
    named = set(overlay["volumes"])
    for service in overlay["services"].values():
        for mount in service.get("volumes", ()):
            source, target, *options = mount.split(":")
            if source.startswith("."):
                assert (REPO / source).exists(), source
                assert options == ["ro"]
            else:
                assert source in named
            assert target.startswith("/")


def test_programs_are_told_files_that_are_mounted(overlay: dict[str, Any]) -> None:
    prometheus, collector, grafana = (overlay["services"][name] for name in ("prometheus", "otel-collector", "grafana"))
    assert "--config.file=/etc/prometheus/framecue/prometheus.yml" in prometheus["command"]
    assert "./deploy/observability:/etc/prometheus/framecue:ro" in prometheus["volumes"]
    assert collector["command"] == [f"--config={collector['volumes'][0].split(':')[1]}"]
    provider = _yaml(OBSERVABILITY / "grafana" / "provisioning" / "dashboards" / "framecue.yml")["providers"][0]
    boards = provider["options"]["path"]
    assert f"./deploy/observability/grafana/dashboards:{boards}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == boards
    assert (OBSERVABILITY / "grafana" / "dashboards" / home.name).is_file()


def test_everybody_is_reached_where_it_listens(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    services = base["services"] | overlay["services"]
    collector = _yaml(OBSERVABILITY / "collector.yml")
    endpoint = overlay["services"]["fusion"]["environment"]["FRAMECUE_TELEMETRY__OTLP_ENDPOINT"]
    name, _, port = endpoint.removeprefix("http://").partition(":")
    assert name in services
    assert collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == f"0.0.0.0:{port}"
    assert collector["exporters"]["otlp_grpc"]["endpoint"].split(":")[0] in services
    sources = _yaml(OBSERVABILITY / "grafana" / "provisioning" / "datasources" / "framecue.yml")["datasources"]
    assert {source["url"] for source in sources} == {"http://prometheus:9090", "http://jaeger:16686"}
    image = (REPO / "deploy" / "Dockerfile").read_text()
    assert f"FRAMECUE_TELEMETRY__METRICS_PORT={METRICS_PORT}" in image
    assert "FRAMECUE_TELEMETRY__METRICS_HOST=0.0.0.0" in image


def test_collector_takes_all_that_services_send() -> None:
    """A kind without a pipeline would be refused, and every service would say so."""
    service = _yaml(OBSERVABILITY / "collector.yml")["service"]
    assert set(service["pipelines"]) == {"traces", "metrics"}
    assert all(pipeline["receivers"] == ["otlp"] for pipeline in service["pipelines"].values())


def test_prometheus_knows_every_service_by_its_name(overlay: dict[str, Any]) -> None:
    jobs = {job["job_name"]: job for job in _yaml(OBSERVABILITY / "prometheus.yml")["scrape_configs"]}
    collector = _yaml(OBSERVABILITY / "collector.yml")["service"]["telemetry"]["metrics"]["readers"][0]
    port = collector["pull"]["exporter"]["prometheus"]["port"]
    targets = {name: _targets(job) for name, job in jobs.items()}
    ours = {name: f"{name}:{METRICS_PORT}" for name in set(overlay["services"]) - ADDED}
    assert targets == ours | {"otel-collector": f"otel-collector:{port}"}


def test_local_prometheus_knows_the_ports_of_up() -> None:
    first = LocalSettings().metrics_port
    file = OBSERVABILITY / "prometheus.local.yml"
    targets = {job["job_name"]: _targets(job) for job in _yaml(file)["scrape_configs"]}
    assert targets == {name: f"127.0.0.1:{first + place}" for place, name in enumerate(SERVICES)}
    assert f'# - job_name: notifier\n  #   static_configs: [{{ targets: ["127.0.0.1:{first + len(SERVICES)}"] }}]' in (
        file.read_text()
    )


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.local.yml"])
def test_prometheus_accepts_its_file(name: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    command = [promtool, "check", "config", OBSERVABILITY / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 rule files found" in done.stdout


def _targets(job: dict[str, Any]) -> str:
    if "dns_sd_configs" in job:
        found = job["dns_sd_configs"][0]
        return f"{found['names'][0]}:{found['port']}"
    (target,) = job["static_configs"][0]["targets"]
    return str(target)


def _yaml(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found
