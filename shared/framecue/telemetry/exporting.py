"""OpenTelemetry's SDK, wired: providers, exporters, the Prometheus endpoint. Loaded only where something is asked for.

A collector that is away costs one warning and some memory, never the service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server

from framecue.errors import SetupError
from framecue.telemetry import metrics, traces
from framecue.telemetry.memory import resident_bytes
from framecue.telemetry.names import MEMORY
from framecue.telemetry.setup import Reporting

FLUSH_S = 1.5
"""How long what waits may take to be sent at the end: a worker that is told to stop has partitions to hand over."""
LINKS_MAX = 1_000
"""Records of one batch at most."""
QUEUE_SPANS = 8_192
"""What waits for a collector: some 10 MB, and a minute of a busy worker."""
NAME = "framecue"
_NOISY = ("opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.sdk._shared_internal")
_log = logging.getLogger(__name__)


class Exporting:
    """Telemetry under way, from the time it is made until `close`. Raises SetupError where the port is taken."""

    def __init__(self, wanted: Reporting) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # alerts ask when a process began, and for its open files
        self._exporters: list[_Spans | _Metrics] = []
        with ExitStack() as undoing:
            resource = Resource.create(
                {
                    "service.name": f"framecue-{wanted.service}",
                    "service.instance.id": wanted.slot,
                    "service.version": version("framecue"),
                }
            )
            if wanted.metrics_at is not None:
                undoing.enter_context(_endpoint(*wanted.metrics_at, self._registry))
            if wanted.otlp_endpoint is not None:
                undoing.enter_context(_quiet())
                self._trace(wanted, resource, undoing)
            self._measure(wanted, resource, undoing)
            self._closing = undoing.pop_all()

    def prometheus_text(self) -> bytes:
        """All metrics, as the endpoint gives them."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Sends what waits, for a moment at most; then whatever is left is lost."""
        limit = threading.Timer(FLUSH_S, self._give_up)
        limit.daemon = True
        limit.start()
        try:
            self._closing.close()
        finally:
            limit.cancel()

    def _give_up(self) -> None:
        for exporter in self._exporters:
            exporter.shutdown()

    def _trace(self, wanted: Reporting, resource: Resource, undoing: ExitStack) -> None:
        exporter = _Spans(endpoint=wanted.otlp_endpoint)
        exporter.outage = Outage("spans", wanted.otlp_endpoint)
        self._exporters.append(exporter)
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(wanted.sample_ratio)),
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_links=LINKS_MAX),
        )
        provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS))
        undoing.callback(provider.shutdown)
        traces.start(provider.get_tracer(NAME))
        undoing.callback(traces.stop)

    def _measure(self, wanted: Reporting, resource: Resource, undoing: ExitStack) -> None:
        readers: list[MetricReader] = []
        if wanted.keeps_prometheus:
            readers.append(
                PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
            )
        if wanted.otlp_endpoint is not None:
            exporter = _Metrics(endpoint=wanted.otlp_endpoint)
            exporter.outage = Outage("metrics", wanted.otlp_endpoint)
            self._exporters.append(exporter)
            readers.append(PeriodicExportingMetricReader(exporter, export_interval_millis=wanted.export_every_s * 1000))
        provider = MeterProvider(
            metric_readers=readers,
            resource=resource,
            exemplar_filter=AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
        )
        undoing.callback(provider.shutdown, timeout_millis=2_000 * FLUSH_S)
        metrics.start(provider.get_meter(NAME), stream_labels=wanted.stream_labels)
        undoing.callback(metrics.stop)
        metrics.observe(MEMORY, lambda: [(resident, {}) for resident in resident_bytes()])


class Outage:
    """Says once that nothing is taken, and once that it is again."""

    def __init__(self, what: str, where: str | None) -> None:
        self._what, self._where = what, where
        self._is_away = False

    def hear(self, taken: bool) -> None:
        if taken == self._is_away:
            self._is_away = not taken
            if taken:
                _log.info("%s are taken at %s again", self._what, self._where)
            else:
                _log.warning("%s are not taken at %s; what does not fit in memory is lost", self._what, self._where)


class _Spans(OTLPSpanExporter):
    """The exporter, which says once how it goes, and may be shut down twice."""

    outage: Outage

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self.outage.hear(result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        if not self._shutdown:
            super().shutdown(timeout_millis=timeout_millis)


class _Metrics(OTLPMetricExporter):
    """The same."""

    outage: Outage

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = None, **kwargs: Any
    ) -> MetricExportResult:
        result = super().export(metrics_data, **kwargs)
        self.outage.hear(result is MetricExportResult.SUCCESS)
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        if not self._shutdown:
            super().shutdown(timeout_millis=timeout_millis)


@contextmanager
def _endpoint(host: str, port: int, registry: CollectorRegistry) -> Iterator[None]:
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as e:
        raise SetupError(
            f"metrics cannot be offered at {host}:{port} ({e.strerror or e}): give this service another "
            "FRAMECUE_TELEMETRY__METRICS_PORT, or an empty one for none"
        ) from e
    _log.info("metrics at http://%s:%d/metrics", host, port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves it to `Outage` to say that a collector is away: the SDK would, as errors, for as long as it is."""

    def is_news(record: logging.LogRecord) -> bool:
        return record.name != _NOISY[0] and (record.name != _NOISY[1] or record.levelno >= logging.ERROR)

    loggers = [logging.getLogger(name) for name in _NOISY]
    for logger in loggers:
        logger.addFilter(is_news)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_news)
