"""What the doctor says of who is let in: a row for each way of being open."""

from __future__ import annotations

from typing import Any

import pytest

from framecue.settings import GatewaySettings
from framecue_services.cli.doctor.gateway import access

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
