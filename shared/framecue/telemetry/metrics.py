"""Where the code says what it did: `add`, `record`, `level` and `observe`, by the rows of `names`. No row, no metric.

They cost next to nothing until `setup` has given them a meter; what was said before then is lost. From any thread. It
must not know where metrics go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from framecue.telemetry.names import METRICS, Metric
from framecue.telemetry.streams import StreamLabels

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

Seen: TypeAlias = Iterable[tuple[float, dict[str, str]]]
"""What an observed metric stands at: values with their labels."""
_instruments: _Instruments | None = None
"""Read once in each call: it may go while another thread still works."""


def is_on() -> bool:
    """Whether anybody is told: for what costs something to find out."""
    return _instruments is not None


def add(metric: Metric, amount: int = 1, /, **labels: str) -> None:
    """Counts `amount` more; 0 shows a counter before it counts, so that its first step is seen as one."""
    if (told := _instruments) is not None:
        told.values.add(metric, amount, labels)


def record(metric: Metric, value: float, /, **labels: str) -> None:
    """One more value of a histogram."""
    if (told := _instruments) is not None:
        told.histograms[metric.name].record(value, labels)


def level(metric: Metric, value: float, /, **labels: str) -> None:
    """Where a gauge stands from now on, until it is told otherwise or forgotten."""
    if (told := _instruments) is not None:
        told.values.put(metric, value, labels)


def forget(metric: Metric, /, **labels: str) -> None:
    """A gauge that stands nowhere any more: what is shown must not outlive what it is about."""
    if (told := _instruments) is not None:
        told.values.drop(metric, labels)


def observe(metric: Metric, see: Callable[[], Seen]) -> None:
    """`see` is asked whenever somebody reads `metric`; of a counter it gives totals. Later ones take the place."""
    if (told := _instruments) is not None:
        told.observed[metric.name] = see


def stream_label(stream: str) -> str:
    """What stands for `stream` as a label: its id for the first few streams, `other` for the rest."""
    return "" if (told := _instruments) is None else told.streams.of(stream)


def start(meter: Meter, *, stream_labels: int) -> None:
    """From here on `meter` is told."""
    global _instruments
    _instruments = _Instruments(meter, StreamLabels(stream_labels))


def stop() -> None:
    """From here on nobody is."""
    global _instruments
    _instruments = None


class _Instruments:
    """All of `METRICS` on one meter.

    Counters and gauges are kept here and looked at when somebody reads them: that costs a tenth of telling each step to
    the SDK, which keeps it once for each reader, and a gauge that was forgotten is not shown.
    """

    def __init__(self, meter: Meter, streams: StreamLabels) -> None:
        self.streams = streams
        self.values = _Values()
        self.observed: dict[str, Callable[[], Seen]] = {}
        self.histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            self._make(meter, metric)

    def _make(self, meter: Meter, metric: Metric) -> None:
        see = [partial(self._see, metric)]
        match metric.kind:
            case "counter":
                meter.create_observable_counter(metric.name, see, metric.unit, metric.about)
            case "gauge":
                meter.create_observable_gauge(metric.name, see, metric.unit, metric.about)
            case "histogram":
                self.histograms[metric.name] = meter.create_histogram(
                    metric.name, metric.unit, metric.about, explicit_bucket_boundaries_advisory=metric.buckets
                )

    def _see(self, metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        see = self.observed.get(metric.name)
        return [Observation(value, labels) for value, labels in (see() if see else self.values.of(metric))]


class _Values:
    """Where each counter and gauge stands, by its labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, dict[frozenset[tuple[str, str]], float]] = {metric.name: {} for metric in METRICS}

    def add(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        here, key = self._at[metric.name], frozenset(labels.items())
        with self._lock:
            here[key] = here.get(key, 0) + amount

    def put(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        with self._lock:
            self._at[metric.name][frozenset(labels.items())] = value

    def drop(self, metric: Metric, labels: dict[str, str]) -> None:
        with self._lock:
            self._at[metric.name].pop(frozenset(labels.items()), None)

    def of(self, metric: Metric) -> Seen:
        with self._lock:
            return [(value, dict(labels)) for labels, value in self._at[metric.name].items()]
