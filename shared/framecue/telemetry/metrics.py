"""Where the code says what it did: `add`, `record` and `level`, by the rows of `names`. No row, no metric.

Costs next to nothing until `setup` has given OpenTelemetry somewhere to send it. From any thread.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from opentelemetry import metrics

from framecue.telemetry.names import Metric

_METER = "framecue"


def add(metric: Metric, amount: int = 1, /, **labels: str) -> None:
    """Counts `amount` more."""
    _instrument(metric).add(amount, labels)


def record(metric: Metric, value: float, /, **labels: str) -> None:
    """One more value of a histogram."""
    _instrument(metric).record(value, labels)


def level(metric: Metric, value: float, /, **labels: str) -> None:
    """Where a gauge stands now."""
    _instrument(metric).set(value, labels)


@cache
def _instrument(metric: Metric) -> Any:
    meter = metrics.get_meter(_METER)
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, metric.unit, metric.about)
        case "gauge":
            return meter.create_gauge(metric.name, metric.unit, metric.about)
        case "histogram":
            return meter.create_histogram(
                metric.name, metric.unit, metric.about, explicit_bucket_boundaries_advisory=metric.buckets
            )
