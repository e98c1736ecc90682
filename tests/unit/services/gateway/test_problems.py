"""What goes wrong is told the same way everywhere, with nothing in it that only the log may know."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from framecue.errors import BrokerError, MessageError, RulesError, SetupError, StoreError
from framecue.store.memory import MemoryStore
from framecue_services.gateway.bodies import BODY_MAX
from framecue_services.gateway.routes import streams
from tests.support.gateway import House

JSON = {"Content-Type": "application/json", "Origin": "http://127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        (
            StoreError("Redis at h:1 does not answer"),
            503,
            "Redis does not answer or refuses; the gateway's log says why",
        ),
        (BrokerError("Kafka at h:1 is away"), 503, "Kafka does not answer or refuses; the gateway's log says why"),
        (
            SetupError("Redis at h:1 refuses this user"),
            503,
            "Redis does not answer or refuses; the gateway's log says why",
        ),
        (RulesError("no such colour", line=3), 422, "rules:3: no such colour"),
        (MessageError("that is no stream"), 422, "that is no stream"),
    ],
)
def test_our_errors_become_problems(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int, detail: str
) -> None:
    def fail(*_: Any) -> None:
        raise raised

    monkeypatch.setattr(streams, "_page", fail)
    answer = House().client().get("/v1/streams")
    told = {"type": "about:blank", "title": answer.json()["title"], "status": status, "detail": detail}
    assert (answer.status_code, answer.json()) == (status, told)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/problem+json", "no-store")
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_fault_that_nobody_thought_of_says_so_and_the_log_says_what(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(streams, "_page", fail)
    answer = House().client().get("/v1/streams?match=words")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (logged.getMessage(), logged.exc_info is not None) == ("GET /v1/streams failed", True)
    caplog.clear()


def test_nobody_writes_lines_of_their_own_into_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MemoryStore, "find_events", fail)
    with caplog.at_level(logging.DEBUG, logger="framecue_services"):
        House().client().get("/v1/events/cam1%0D2026-01-01 INFO all is well%1b[2J/0/goal/0")
    said = [record.getMessage() for record in caplog.records if "all" in record.getMessage()]
    assert len(said) == 2
    assert all("cam1%0D2026-01-01%20INFO%20all%20is%20well%1B%5B2J/0" in message for message in said)
    caplog.clear()


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/v1/nothing", {}, 404),
        ("DELETE", "/v1/streams", {}, 405),
        ("GET", "/v1/streams?limit=501", {}, 422),
        ("GET", "/v1/streams?limit=x", {}, 422),
        ("GET", "/v1/streams?cursor=%FF%FE", {}, 400),
        ("POST", "/v1/streams/cam1/text", {"content": b"{", "headers": JSON}, 422),
        (
            "POST",
            "/v1/streams/cam1/text",
            {"content": b"[" * 100_000, "headers": JSON},
            400,
        ),  # deeper than anybody reads
        ("POST", "/v1/streams/cam1/text", {"content": b'{"text":"\\ud800"}', "headers": JSON}, 422),  # half a character
        ("PUT", "/v1/rules", {"content": b" " * (BODY_MAX + 1), "headers": JSON}, 413),
        ("PUT", "/v1/rules", {"content": iter([b" " * BODY_MAX, b" "]), "headers": JSON}, 413),  # says no length
    ],
)
def test_what_cannot_be_asked_is_a_problem(method: str, path: str, sent: dict[str, Any], status: int) -> None:
    answer = House().client().request(method, path, **sent)
    assert (answer.status_code, answer.json()["status"], answer.headers["content-type"]) == (
        status,
        status,
        "application/problem+json",
    )


def test_what_was_sent_is_not_in_the_problem() -> None:
    """It may be a token that somebody typed into the wrong box."""
    answer = House().client().post("/v1/streams/cam1/text", json={"text": ["hunter2"]}, headers=JSON)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
