"""What the doctor says of who is let in: a row for each way of being open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framecue.settings import GatewaySettings, load_settings
from framecue_services.cli.doctor.gateway import access, as_it_runs
from framecue_services.cli.local.processes import launch
from framecue_services.cli.local.state import State, write_state

SECRET = "s" * 32


@pytest.mark.parametrize(
    ("given", "severity", "what", "cure"),
    [
        ({"auth": "off"}, "warning", "gateway.auth is OFF", "AUTH=on"),
        ({"auth": "off", "host": "::1"}, "warning", "gateway.auth is OFF", "AUTH=on"),
        ({"auth": "off", "host": "0.0.0.0"}, "error", "will not start", "framecue token create"),  # noqa: S104
        ({"host": "10.0.0.7"}, "warning", "plain HTTP", "SECURE_COOKIE=true"),
        ({}, "fine", "log in again", "SESSION_SECRET"),  # a hint
    ],
)
def test_a_way_in_is_said_with_its_cure(given: dict[str, Any], severity: str, what: str, cure: str) -> None:
    [finding] = [f for f in access(GatewaySettings(**given)) if what in f.what]
    assert (finding.severity, cure in finding.cure) == (severity, True)


def test_nothing_is_said_where_all_is_shut() -> None:
    shut = GatewaySettings.model_validate({"host": "10.0.0.7", "secure_cookie": True, "session_secret": SECRET})
    assert [(f.severity, f.cure) for f in access(shut)] == [("fine", "")]


@pytest.mark.parametrize(
    ("running", "given", "auth", "reason"),
    [
        ("gateway", {}, "off", "`framecue up` started it, and asks nobody on this machine"),
        ("gateway", {"GATEWAY__AUTH": "on"}, "on", "unless that was asked for"),
        ("ingest", {}, "on", "`framecue run gateway` asks for tokens"),
    ],
)
def test_the_gateway_of_up_is_judged_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: str, given: dict[str, str], auth: str, reason: str
) -> None:
    for name, value in {"LOCAL__FOLDER": str(tmp_path), **given}.items():
        monkeypatch.setenv(f"FRAMECUE_{name}", value)
    child = launch(["sleep", "60"], log=tmp_path / "log", environment=None)
    try:
        write_state(tmp_path, State(processes={running: child}))
        assert as_it_runs(load_settings()).auth == auth, reason
    finally:
        child.kill()
