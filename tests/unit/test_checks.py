"""The check command is able to fail: each rule is broken on purpose in a scratch copy, and must be reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO

BIN = Path(sys.executable).parent


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the sources with the settings of every tool."""
    for root in ("shared", "services"):
        shutil.copytree(REPO / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    return tmp_path


def check(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{folder / 'shared'}:{folder / 'services'}", "COLUMNS": "200", "NO_COLOR": "1"}
    command = [BIN / tool, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def add(folder: Path, module: str, line: str) -> None:
    """Puts a new module beside the others, with one line in it."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    if not path.parent.exists():
        path.parent.mkdir()
        (path.parent / "__init__.py").touch()
    path.write_text(f'"""Breaks a rule."""\n\n{line}\n')


@pytest.mark.parametrize(
    ("contract", "module", "line", "reason"),
    [
        ("layers", "shared.framecue.errors", "import framecue.timeline", "errors know nothing"),
        ("layers", "shared.framecue.timeline", "import framecue.clock", "time and clock stand apart"),
        ("layers", "shared.framecue.clock", "import framecue.schemas.base", "clock is below the schemas"),
        ("layers", "shared.framecue.schemas.mood", "import framecue.analysis", "schemas are below what uses them"),
        ("layers", "shared.framecue.analysis.mood", "import framecue.models.protocols", "models build, analysis reads"),
        ("layers", "shared.framecue.analysis.mood", "import framecue.media", "analysis sees no media"),
        ("layers", "shared.framecue.media.mood", "import framecue.models", "decoding knows no model"),
        ("layers", "shared.framecue.models.mood", "import framecue.media", "models are handed pictures"),
        ("layers", "shared.framecue.models.mood", "import framecue.broker", "models are called, they do not consume"),
        ("layers", "shared.framecue.broker.mood", "import framecue.store", "broker and store stand apart"),
        ("layers", "shared.framecue.store.mood", "import framecue.settings", "the library is handed plain values"),
        ("layers", "shared.framecue.mood.mood", "import framecue", "a new package has to be given its place"),
        ("media-analysis", "shared.framecue.media.mood", "import framecue.analysis", "media and analysis stand apart"),
        ("library-services", "shared.framecue.broker.mood", "import framecue_services.fusion", "arrows point one way"),
        (
            "services",
            "services.framecue_services.ingest.mood",
            "import framecue_services.fusion",
            "by topics only",
        ),
        ("services", "services.framecue_services.fusion.mood", "import framecue_services.cli", "the CLI wires them"),
        (
            "services",
            "services.framecue_services.mood.mood",
            "import framecue",
            "a new service has to be given its place",
        ),
        ("analysis", "shared.framecue.analysis.mood", "import torch", "NumPy at most"),
        ("analysis", "shared.framecue.analysis.mood", "from time import monotonic", "no clock"),
        ("analysis", "shared.framecue.analysis.mood", "from framecue.clock import SystemClock", "no clock"),
        ("analysis", "shared.framecue.analysis.mood", "from os import environ", "no environment"),
        ("analysis", "shared.framecue.analysis.mood", "import threading", "no threads"),
        ("home-of-av", "services.framecue_services.ingest.mood", "import av", "only media decodes"),
        ("home-of-av", "shared.framecue.models.mood", "from av.container import InputContainer", "only media decodes"),
        ("home-of-torch", "services.framecue_services.fusion.mood", "import torch", "only models compute"),
        ("home-of-torch", "services.framecue_services.fusion.mood", "import transformers", "only models compute"),
        ("home-of-torch", "shared.framecue.media.mood", "import onnxruntime", "only models compute"),
        ("home-of-kafka", "services.framecue_services.ingest.mood", "import kafka", "only broker talks to Kafka"),
        ("home-of-kafka", "shared.framecue.store.mood", "import confluent_kafka", "only broker talks to Kafka"),
        ("home-of-redis", "services.framecue_services.projector.mood", "import redis", "only store talks to Redis"),
        (
            "home-of-telemetry",
            "shared.framecue.broker.mood",
            "from opentelemetry import trace",
            "the rest says what happened, not to whom",
        ),
        (
            "home-of-telemetry",
            "services.framecue_services.fusion.mood",
            "import prometheus_client",
            "a metric has a row in names.py",
        ),
    ],
)
def test_import_rule_when_broken(contract: str, module: str, line: str, reason: str, scratch: Path) -> None:
    add(scratch, module, line)
    done = check(scratch, "lint-imports", "--no-logo", "--no-cache", "--contract", contract)
    assert done.returncode == 1, f"{reason}\n{done.stdout}{done.stderr}"
    assert "BROKEN" in done.stdout
    assert module.rsplit(".", 1)[1] in done.stdout, "for this reason, and no other"


def test_import_rules_hold_in_the_copy(scratch: Path) -> None:
    done = check(scratch, "lint-imports", "--no-logo", "--no-cache")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("rule", "module", "line"),
    [
        ("TID251", "shared.framecue.broker.mood", "import os\n\nHOME = os.environ"),
        ("TID251", "services.framecue_services.fusion.mood", "from os import getenv\n\nHOME = getenv"),
        ("TID251", "shared.framecue.analysis.mood", "import time\n\nNOW = time.time()"),
        ("TID251", "shared.framecue.store.mood", "import time\n\nNOW = time.time_ns()"),
        ("TID251", "shared.framecue.schemas.mood", "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)"),
        ("TID252", "shared.framecue.media.mood", "from .pool import DecoderPool\n\nPool = DecoderPool"),
        ("T201", "shared.framecue.media.mood", 'print("found")'),
        ("S110", "shared.framecue.media.mood", "try:\n    import av\nexcept Exception:\n    pass"),
        ("ANN001", "shared.framecue.media.mood", "def shown(x) -> None:\n    del x"),
    ],
)
def test_style_rule_when_broken(rule: str, module: str, line: str, scratch: Path) -> None:
    add(scratch, module, line)
    done = check(scratch, "ruff", "check", "--no-cache", "--output-format", "concise")
    assert done.returncode == 1
    assert "mood.py" in done.stdout
    assert f" {rule} " in done.stdout


def test_package_without_init_is_reported(scratch: Path) -> None:
    """The import rules do not see into a folder without `__init__.py`."""
    (scratch / "shared" / "framecue" / "mood").mkdir()
    (scratch / "shared" / "framecue" / "mood" / "mood.py").write_text('"""Breaks a rule."""\n')
    assert " INP001 " in check(scratch, "ruff", "check", "--no-cache", "--output-format", "concise").stdout


def test_format_when_broken(scratch: Path) -> None:
    add(scratch, "shared.framecue.media.mood", "X = {  'a':1 }")
    done = check(scratch, "ruff", "format", "--no-cache", "--check")
    assert done.returncode == 1
    assert "mood.py" in done.stdout


SKIPPING = """
import pytest

def test_plain():
    pytest.skip("no server")

@pytest.mark.skipif(True, reason="no tool")
def test_marked():
    pass

@pytest.mark.gpu
def test_gpu():
    pytest.skip("no accelerator")

@pytest.mark.shared
def test_shared():
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A small suite that skips, under the real conftest, with no shared folder beside it."""
    root = tmp_path / "checkout"
    shutil.copytree(REPO / "tests" / "support", root / "tests" / "support")
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(REPO / name, root / name)
    (root / "tests" / "test_skipping.py").write_text(SKIPPING)
    return root


@pytest.mark.parametrize(
    ("require_all", "code", "outcome"),
    [({}, 0, "4 skipped"), ({"FRAMECUE_REQUIRE_ALL": "1"}, 1, "1 failed, 2 skipped, 1 error")],
)
def test_skip_is_fatal_where_everything_is_required(
    require_all: dict[str, str], code: int, outcome: str, suite: Path
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=suite, env=require_all, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, outcome in done.stdout) == (code, True), done.stdout


def test_module_that_skips_is_fatal_where_everything_is_required(suite: Path) -> None:
    (suite / "tests" / "test_skipping.py").write_text('import pytest\n\npytest.importorskip("no_such_module")\n')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {"FRAMECUE_REQUIRE_ALL": "1"}
    done = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "skipped where nothing may be skipped" in done.stdout
