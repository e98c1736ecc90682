"""`from framecue import Client`: light to import, and silent about servers until they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import framecue
from framecue.settings import Settings

HEAVY = {"av", "torch", "transformers", "onnxruntime", "jinja2", "PIL"}


def loaded_by(code: str) -> set[str]:
    """The packages that a process has loaded once it ran `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("code", "left_out", "reason"),
    [
        ("import framecue", {"pydantic", "kafka", "redis"}, "the name alone loads nothing"),
        ("from framecue import Client; Client()", {"kafka", "redis", "numpy"}, "servers are met when they are needed"),
        ("import framecue.broker.kafka, framecue.store.redis, framecue.client", set(), "with both servers"),
    ],
)
def test_what_a_client_loads(code: str, left_out: set[str], reason: str) -> None:
    assert loaded_by(code) & (HEAVY | left_out) == set(), reason


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clinet"):
        _ = framecue.Clinet  # type: ignore[attr-defined]


def test_a_client_of_settings_meets_no_server_when_it_is_made_and_closed() -> None:
    with framecue.Client.from_settings(Settings()) as client:
        client.flush()
