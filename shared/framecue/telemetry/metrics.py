"""Where the code says what it did: `add`, `record`, `level` and `observe`, by the rows of `names`. No row, no metric.

They cost next to nothing until `setup` has given them a meter; what was said before then is lost. From any thread. It
must not know where metrics go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from framecue.telemetry.names import DECODER_RESTARTS, METRICS, Metric
from framecue.telemetry.streams import StreamLabels

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

Seen: TypeAlias = Iterable[tuple[float, dict[str, str]]]
"""What an observed metric stands at: values with their labels."""
_OBSERVED = (DECODER_RESTARTS,)
"""Counters whose totals somebody else keeps."""
_instruments: _Instruments | None = None


def is_on() -> bool:
    """Whether anybody is told: for what costs something to find out."""
    return _instruments is not None


def add(metric: Metric, amount: int = 1, /, **labels: str) -> None:
    """Counts `amount` more; 0 shows a counter before it counts, so that its first step is seen as one."""
    if _instruments is not None:
        _instruments.by_name[metric.name].add(amount, labels)


def record(metric: Metric, value: float, /, **labels: str) -> None:
    """One more value of a histogram."""
    if _instruments is not None:
        _instruments.by_name[metric.name].record(value, labels)


def level(metric: Metric, value: float, /, **labels: str) -> None:
    """Where a gauge stands from now on, until it is told otherwise or forgotten."""
    if _instruments is not None:
        _instruments.levels.put(metric, value, labels)


def forget(metric: Metric, /, **labels: str) -> None:
    """A gauge that stands nowhere any more: what is shown must not outlive what it is about."""
    if _instruments is not None:
        _instruments.levels.drop(metric, labels)


def observe(metric: Metric, see: Callable[[], Seen]) -> None:
    """`see` is asked whenever somebody reads `metric`; of a counter it gives totals. Later ones take the place."""
    if _instruments is not None:
        _instruments.observed[metric.name] = see


def stream_label(stream: str) -> str:
    """What stands for `stream` as a label: its id for the first few streams, `other` for the rest."""
    return "" if _instruments is None else _instruments.streams.of(stream)


def start(meter: Meter, *, stream_labels: int) -> None:
    """From here on `meter` is told."""
    global _instruments
    _instruments = _Instruments(meter, StreamLabels(stream_labels))


def stop() -> None:
    """From here on nobody is."""
    global _instruments
    _instruments = None


class _Instruments:
    """All of `METRICS` on one meter. Gauges are asked for their level, so one that was forgotten is not shown."""

    def __init__(self, meter: Meter, streams: StreamLabels) -> None:
        self.streams = streams
        self.levels = _Levels()
        self.observed: dict[str, Callable[[], Seen]] = {}
        self.by_name: dict[str, Any] = {metric.name: self._made(meter, metric) for metric in METRICS}

    def _made(self, meter: Meter, metric: Metric) -> Any:
        given = (metric.name, metric.unit, metric.about)
        match metric.kind:
            case "counter" if metric in _OBSERVED:
                return meter.create_observable_counter(metric.name, [partial(self._see, metric)], *given[1:])
            case "counter":
                return meter.create_counter(*given)
            case "gauge":
                return meter.create_observable_gauge(metric.name, [partial(self._see, metric)], *given[1:])
            case "histogram":
                return meter.create_histogram(*given, explicit_bucket_boundaries_advisory=metric.buckets)

    def _see(self, metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        see = self.observed.get(metric.name)
        return [Observation(value, labels) for value, labels in (see() if see else self.levels.of(metric))]


class _Levels:
    """Where each gauge stands, by its labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, dict[frozenset[tuple[str, str]], float]] = {}

    def put(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        with self._lock:
            self._at.setdefault(metric.name, {})[frozenset(labels.items())] = value

    def drop(self, metric: Metric, labels: dict[str, str]) -> None:
        with self._lock:
            self._at.get(metric.name, {}).pop(frozenset(labels.items()), None)

    def of(self, metric: Metric) -> Seen:
        with self._lock:
            return [(value, dict(labels)) for labels, value in self._at.get(metric.name, {}).items()]
