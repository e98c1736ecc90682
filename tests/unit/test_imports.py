"""What importing costs: users' `import framecue`, and the modules that must stay light, load no decoder or model."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "av", "torch", "torchvision", "transformers", "onnxruntime", "kafka", "confluent_kafka", "redis", "opentelemetry",
    "grpc",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("framecue", "what users import"),
        ("framecue.settings", "every command reads them"),
        ("framecue.schemas.codec", "whoever only reads results"),
        ("framecue_services.cli", "the help must come at once"),
        ("framecue.models.faces", "the gateway shows pictures, and loads the detector when there are any"),
    ],
)
def test_import_loads_nothing_heavy(module: str, reason: str) -> None:
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert module.split(".")[0] in loaded, "the report of importtime is read as meant"
    assert loaded & HEAVY == set(), reason
