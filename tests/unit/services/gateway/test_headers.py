"""What every answer tells a browser, whichever it is: a page, a result, a refusal, a fault of ours."""

from __future__ import annotations

import pytest
from starlette.datastructures import MutableHeaders
from starlette.testclient import TestClient

from framecue.broker.memory import MemoryBroker
from framecue.clock import FixedClock
from framecue.models.faces import open_faces
from framecue.settings import GatewaySettings, Settings
from framecue.store.memory import MemoryStore
from framecue_services.gateway.app import create_app
from framecue_services.gateway.headers import ALWAYS, CONTENT_SECURITY_POLICY, secure


def test_the_policy_lets_nothing_run_that_is_not_ours() -> None:
    rules = {name: rest for name, _, rest in (part.partition(" ") for part in CONTENT_SECURITY_POLICY.split("; "))}
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert not any(word in CONTENT_SECURITY_POLICY for word in ("unsafe", "http:", "https:", "*"))


@pytest.mark.parametrize(
    ("given", "status", "caching", "vary"),
    [
        ({}, 200, "private, no-cache", "Authorization, Cookie"),
        ({"Cache-Control": "private, max-age=60"}, 200, "private, max-age=60", "Authorization, Cookie"),
        ({"Cache-Control": "private, max-age=60"}, 404, "no-store", "Authorization, Cookie"),  # it may be there soon
        ({"Vary": "Accept-Encoding"}, 304, "private, no-cache", "Accept-Encoding, Authorization, Cookie"),
    ],
)
def test_nothing_is_kept_for_others_and_errors_not_at_all(
    given: dict[str, str], status: int, caching: str, vary: str
) -> None:
    headers = MutableHeaders(headers=given)
    secure(headers, status=status)
    assert (headers["cache-control"], headers["vary"]) == (caching, vary)


def test_no_other_site_is_ever_allowed_to_read() -> None:
    headers = MutableHeaders(headers={"Access-Control-Allow-Origin": "*", "access-control-allow-credentials": "true"})
    secure(headers, status=200)
    assert not [name for name in headers if name.startswith("access-control")]


def test_an_answer_may_say_why_it_needs_a_policy_of_its_own() -> None:
    headers = MutableHeaders(headers={"Content-Security-Policy": "default-src 'none'"})
    secure(headers, status=200)
    assert headers["content-security-policy"] == "default-src 'none'"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/v1/session", 401),  # from the gate
        ("GET", "/nothing/here.js", 404),  # from the router
        ("DELETE", "/healthz", 405),
        ("OPTIONS", "/v1/session", 401),  # what a browser asks before a foreign page may write
        ("GET", "/fault", 500),  # from whoever catches what nobody thought of
    ],
)
def test_every_answer_carries_them(method: str, path: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(gateway=GatewaySettings(auth="on"))
    clock = FixedClock(1)
    broker = MemoryBroker(partitions=1, clock=clock)
    app = create_app(settings, broker=broker, store=MemoryStore(clock), faces=open_faces("off"), clock=clock)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError

    client = TestClient(app, raise_server_exceptions=False)
    answer = client.request(method, path, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in ALWAYS} == dict(ALWAYS)
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "no-store" in answer.headers["cache-control"] or status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == ["GET /fault failed"] * (status == 500)
    caplog.clear()
