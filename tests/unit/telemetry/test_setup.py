"""Telemetry of a process: what it shows, what it says when a collector is away, and that it never holds anything up."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from framecue.errors import SetupError
from framecue.settings import TelemetrySettings
from framecue.telemetry import metrics
from framecue.telemetry.exporting import Outage
from framecue.telemetry.names import (
    DECODER_RESTARTS,
    FOLD_DURATION,
    FRAMES,
    MEMORY,
    METRICS,
    RECORDS,
    STREAM_MEDIA_TIME,
    Metric,
)
from framecue.telemetry.setup import Reporting, prometheus_text, reporting
from framecue.telemetry.traces import span
from tests.support.collector import collecting
from tests.support.servers import free_port

KEPT = Reporting("test", prometheus="always")
UNBLOCKED_S = 10.0
"""How long an end that is bounded to 2 s may take on a machine that is busy with everything at once."""


def emit(metric: Metric) -> None:
    """One value, with every label."""
    labels = dict.fromkeys(metric.labels, "x")
    match metric.kind:
        case "counter" if metric == DECODER_RESTARTS:
            metrics.observe(metric, lambda: [(1, labels)])
        case "counter":
            metrics.add(metric, **labels)
        case "gauge":
            metrics.level(metric, 1.0, **labels)
        case "histogram":
            metrics.record(metric, 1.0, **labels)


def shown() -> set[str]:
    return {re.split(r"[{ ]", line)[0] for line in prometheus_text().decode().splitlines() if line[:1] != "#"}


def until(condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "the condition did not hold in time"
        time.sleep(0.02)


@contextmanager
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_every_row_is_shown_under_its_prometheus_name() -> None:
    with reporting(KEPT):
        for metric in METRICS:
            emit(metric)
        suffixes = {"histogram": ("_bucket", "_sum", "_count")}
        wanted = {m.prometheus + suffix for m in METRICS for suffix in suffixes.get(m.kind, ("",))}
        assert {name for name in shown() if not name.startswith("process_")} == wanted
        assert 'framecue_records_total{group="x",topic="x"} 1.0' in prometheus_text().decode(), "no label of others"


def test_nothing_is_shown_or_loaded_where_nothing_is_asked_for() -> None:
    code = (
        "import sys; from framecue.telemetry import metrics, names, traces; from framecue.telemetry.setup import *\n"
        "with reporting(Reporting('x')), traces.span('fold', 'as it came') as here:\n"
        "    metrics.add(names.FRAMES), metrics.level(names.MEMORY, 1), metrics.record(names.FOLD_DURATION, 1)\n"
        "    assert (here.traceparent, here.mark, prometheus_text()) == ('as it came', (), b'')\n"
        "    assert not metrics.is_on() and not traces.is_on()\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'opentelemetry', 'prometheus_client', 'grpc'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_metrics_end_with_the_block_and_begin_anew() -> None:
    for _ in range(2):
        with reporting(KEPT):
            metrics.add(FRAMES, 3)
            assert "framecue_frames_total 3.0" in prometheus_text().decode()
    metrics.add(FRAMES)
    assert prometheus_text() == b""


def test_a_gauge_that_was_forgotten_is_not_shown() -> None:
    with reporting(KEPT):
        metrics.level(STREAM_MEDIA_TIME, 4.0, stream="cam1")
        metrics.level(STREAM_MEDIA_TIME, 5.0, stream="cam2")
        assert prometheus_text().count(b"framecue_stream_media_time_seconds{") == 2
        assert prometheus_text().count(b"framecue_stream_media_time_seconds{") == 2, "a look changes nothing"
        metrics.forget(STREAM_MEDIA_TIME, stream="cam1")
        assert b'framecue_stream_media_time_seconds{stream="cam1"}' not in prometheus_text()
        assert b'framecue_stream_media_time_seconds{stream="cam2"} 5.0' in prometheus_text()


def test_memory_is_shown_from_the_start() -> None:
    with reporting(KEPT):
        (found,) = re.findall(rf"^{MEMORY.prometheus} (\S+)$", prometheus_text().decode(), re.M)
        assert float(found) > 10e6


def test_the_endpoint_gives_what_is_counted_until_the_end() -> None:
    port = free_port()
    with reporting(Reporting("test", metrics_at=("127.0.0.1", port))):
        metrics.add(RECORDS, 2, group="g", topic="t")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert b'framecue_records_total{group="g",topic="t"} 2.0' in answer.read()
    with socket.create_server(("127.0.0.1", port)):
        """The port is free again."""


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SetupError, match=r"127.0.0.1:\d+ .*in use.*FRAMECUE_TELEMETRY__METRICS_PORT"),
        reporting(Reporting("test", metrics_at=("127.0.0.1", taken.getsockname()[1]))),
    ):
        pytest.fail("it began all the same")
    with reporting(KEPT):
        """Nothing of the first is left."""


def test_two_at_once_are_refused() -> None:
    with reporting(KEPT), pytest.raises(SetupError, match="runs in this process already"), reporting(KEPT):
        pytest.fail("it began all the same")


@pytest.mark.parametrize("away", ["refusing", "silent"])
def test_a_collector_that_is_away_costs_one_warning_and_no_wait(away: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not at the end either: a worker that is told to stop has partitions to hand over."""
    caplog.set_level(logging.DEBUG, logger="framecue")
    with silent_port() as silent:
        port = silent if away == "silent" else free_port()
        told = Reporting("test", otlp_endpoint=f"http://127.0.0.1:{port}", export_every_s=0.1)
        with reporting(told):
            for _ in range(2_000):
                with span("fold"):
                    metrics.record(FOLD_DURATION, 0.1, kind="tick")
            began_s = time.monotonic()
        assert time.monotonic() - began_s < UNBLOCKED_S
    warned = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len([w for w in warned if w.startswith("spans are not taken at")]) <= 1
    assert {w.split(" are not taken at ")[0] for w in warned} <= {"spans", "metrics"}, warned
    assert warned


def test_what_waits_at_the_end_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="framecue")
    with collecting() as collector:
        with reporting(Reporting("test", otlp_endpoint=collector.endpoint, export_every_s=0.05)):
            metrics.add(FRAMES)
            until(lambda: ("framecue-test", "framecue.frames") in collector.metrics)
            with span("fold"):
                pass
        assert [s.name for s in collector.spans] == ["fold"]
    assert not [r for r in caplog.records if "taken" in r.getMessage()], "nothing was away"


def test_an_outage_of_the_collector_is_told_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="framecue")
    outage = Outage("spans", "http://collector:4317")
    for taken in (True, False, False, False, True, True, False):
        outage.hear(taken)
    assert [r.getMessage().split(" at ")[0] for r in caplog.records] == [
        "spans are not taken",
        "spans are taken",
        "spans are not taken",
    ]


@pytest.mark.parametrize(
    ("given", "prometheus", "wanted"),
    [
        ({}, "with endpoint", False),
        ({}, "always", True),
        ({"metrics_port": 9464}, "with endpoint", True),
        ({"metrics_port": 9464}, "never", False),
        ({"otlp_endpoint": "http://collector:4317", "metrics_port": 9464}, "never", True),
    ],
    ids=["nothing", "the gateway's own page", "an endpoint", "a command for people", "a command that is traced"],
)
def test_settings_say_where_to_report(given: dict[str, object], prometheus: object, wanted: bool) -> None:
    told = TelemetrySettings(**given).reporting("test", slot="3", prometheus=prometheus)  # type: ignore[arg-type]
    assert (told.is_wanted, told.service, told.slot) == (wanted, "test", "3")


TOLD: list[tuple[Callable[..., object], Callable[[], object]]] = [
    (metrics.add, lambda: metrics.add(FRAMES)),
    (metrics.level, lambda: metrics.level(MEMORY, 1)),
    (metrics.record, lambda: metrics.record(FOLD_DURATION, 1, kind="x")),
    (metrics.stream_label, lambda: metrics.stream_label("cam1")),
]


@pytest.mark.parametrize(("function", "call"), TOLD, ids=[function.__name__ for function, _ in TOLD])
def test_metrics_may_end_at_any_step_of_whoever_still_works(
    function: Callable[..., object], call: Callable[[], object]
) -> None:
    """A thread that is late must not die of it: what it made would count for nothing."""
    before = sys.gettrace()

    def ended_at(step: int) -> bool:
        seen = 0

        def look(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            if frame.f_code is not function.__code__:
                return None
            frame.f_trace_opcodes = True
            seen += event == "opcode"
            if event == "opcode" and seen == step:
                metrics.stop()
            return look

        with reporting(KEPT):
            sys.settrace(look)
            try:
                call()
            finally:
                sys.settrace(before)
        return seen >= step

    step = 1
    while ended_at(step):
        step += 1
    assert step > 5
