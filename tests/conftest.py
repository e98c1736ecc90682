"""Guards around every test: a clean environment, no network for model hubs, no ERROR logs, skips that can be fatal.

With FRAMECUE_REQUIRE_ALL=1 (as in CI) a test that skips has failed, unless it is marked `gpu`, or marked `shared` where
there is no shared folder. Warnings are errors by `filterwarnings` in pyproject.toml.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from framecue.models.protocols import Model
from tests.support.paths import SHARED

REQUIRE_ALL = os.environ.get("FRAMECUE_REQUIRE_ALL") == "1"

for _name in [name for name in os.environ if name.startswith("FRAMECUE_")]:
    del os.environ[_name]
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

# The same examples every time, and no time limit on one: a slow machine is not a failure.
settings.register_profile("framecue", derandomize=True, deadline=None, database=None)
settings.load_profile("framecue")


@pytest.fixture(scope="session")
def default_model() -> Model:
    """The preset `default`, loaded once. On one thread: two wait for each other on a busy machine."""
    from framecue.models.loading import load_model  # torch, which most runs of one test do not need

    return load_model("default", deterministic=True)


@pytest.fixture(autouse=True)
def no_error_logs(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """A quiet failure is a red test. One that provokes ERROR logs on purpose asserts on them, then caplog.clear()."""
    yield
    records = [r for phase in ("setup", "call") for r in caplog.get_records(phase)]
    errors = [f"{r.name}: {r.getMessage()}" for r in records if r.levelno >= logging.ERROR]
    assert not errors, f"logged as ERROR: {errors}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if SHARED is None and item.get_closest_marker("shared"):
        pytest.skip("there is no folder ../shared beside the checkout")


def _may_skip(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("gpu") or (SHARED is None and item.get_closest_marker("shared")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not _may_skip(item):
        report.outcome, report.longrepr = "failed", f"skipped where nothing may be skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped where nothing may be skipped: {report.longrepr}"
    return report
