"""Telemetry as a process has it: where metrics and spans go, from plain values. Nothing asked for, nothing loaded.

    with reporting(Reporting("ingest", slot="0", metrics_at=("127.0.0.1", 9464))):
        ...

It must not know what is measured, nor who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from framecue.errors import SetupError

if TYPE_CHECKING:
    from framecue.telemetry.exporting import Exporting

PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `prometheus_text`."""
_running: Exporting | None = None


@dataclass(frozen=True)
class Reporting:
    """Where one process reports to. `metrics_at` is host and port of a Prometheus endpoint of its own.

    `prometheus` "always" keeps metrics for `prometheus_text` also without an endpoint. `otlp_endpoint` is
    `http://host:4317`, for spans and metrics; `sample_ratio` of the traces that begin here are kept.
    """

    service: str
    slot: str = "0"
    metrics_at: tuple[str, int] | None = None
    prometheus: Literal["with endpoint", "always", "never"] = "with endpoint"
    otlp_endpoint: str | None = None
    sample_ratio: float = 1.0
    export_every_s: float = 10.0
    stream_labels: int = 100

    @property
    def keeps_prometheus(self) -> bool:
        """Whether metrics are kept for Prometheus to fetch."""
        return self.metrics_at is not None or self.prometheus == "always"

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to report to."""
        return self.keeps_prometheus or self.otlp_endpoint is not None


@contextmanager
def reporting(wanted: Reporting) -> Iterator[None]:
    """While the block runs, metrics and spans go where `wanted` says; what waits at its end is sent, for 2 s at most.

    Once in a process at a time. Raises SetupError where the endpoint's port is taken, or the packages are missing.
    """
    global _running
    if not wanted.is_wanted:
        yield
        return
    if _running is not None:
        raise SetupError("telemetry runs in this process already; one service in a process is enough")
    try:
        from framecue.telemetry.exporting import Exporting
    except ImportError as e:
        raise SetupError(f"telemetry needs a package that is not here ({e.name}): install framecue[telemetry]") from e
    _running = Exporting(wanted)
    try:
        yield
    finally:
        running, _running = _running, None
        running.close()


def prometheus_text() -> bytes:
    """This process's metrics in Prometheus' text format; empty where `reporting` keeps none."""
    return b"" if _running is None else _running.prometheus_text()
