"""The closed list of metrics and spans. Dashboards, alerts and documents are held against it by tests.

A metric's labels are all it may ever carry. `stream` is bounded: the first `telemetry.stream_labels` streams by name,
the others together as `other`. Times are in seconds, as Prometheus has it. It must not know OpenTelemetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["counter", "gauge", "histogram"]
_SUFFIX = {"s": "_seconds", "By": "_bytes"}

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""From a cache's answer to a decoder's limit."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True)
class Metric:
    """One row: `unit` is UCUM's (`s`, `By`, or a noun in braces, which adds nothing to the name)."""

    name: str
    kind: Kind
    unit: str
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """The name that Prometheus shows; of a histogram without `_bucket`, `_sum` or `_count`."""
        base = self.name.replace(".", "_") + _SUFFIX.get(self.unit, "")
        return f"{base}_total" if self.kind == "counter" else base


def _latency(name: str, about: str, *labels: str) -> Metric:
    return Metric(name, "histogram", "s", about, labels, LATENCY_S)


# every delivery loop; `group` is the service's: ingest, fusion, captioner, projector, notifier.<webhook>
RECORDS = Metric("framecue.records", "counter", "{record}", "records worked on and committed", ("group", "topic"))
BATCH_RECORDS = Metric("framecue.batch.records", "histogram", "{record}", "records of one batch", ("group",), SIZES)
BATCH_DURATION = _latency("framecue.batch.duration", "work on one batch", "group")
COMMIT_DURATION = _latency("framecue.commit.duration", "one commit: send, check, offsets, commit", "group")
RETRIES = Metric(
    "framecue.retries", "counter", "{retry}", "turns that failed and began anew, by error", ("group", "error")
)
FAULTS = Metric("framecue.faults", "counter", "{record}", "records that met a fault of our own", ("group",))
DEAD_LETTERS = Metric("framecue.dead_letters", "counter", "{record}", "given up, by error", ("group", "error"))
RECORDS_BEHIND = Metric(
    "framecue.records_behind", "gauge", "{record}", "not yet committed, of what this worker owns", ("group", "topic")
)
MEDIA_SECONDS_BEHIND = Metric(  # a noun for its unit: the name says it already
    "framecue.media_seconds_behind", "gauge", "{second}", "age of the oldest that waits: scale on this", ("group",)
)
QUEUE_RECORDS = Metric("framecue.queue.records", "gauge", "{record}", "read ahead and waiting for work", ("group",))
QUEUE_SIZE = Metric("framecue.queue.size", "gauge", "By", "the same in bytes", ("group",))
PARTITIONS = Metric("framecue.partitions", "gauge", "{partition}", "owned by this worker", ("group",))
READY = Metric("framecue.ready", "gauge", "", "1 while the service is ready, else 0", ("group",))

# ingest
DECODE_DURATION = _latency("framecue.decode.duration", "one segment, from bytes to frames and cues")
FRAMES = Metric("framecue.frames", "counter", "{frame}", "pictures sampled")
CUES = Metric("framecue.cues", "counter", "{cue}", "cues read, by where they came from", ("source",))
DECODER_RESTARTS = Metric("framecue.decoder.restarts", "counter", "{process}", "decoders replaced, by why", ("reason",))
SHED = Metric("framecue.shed", "counter", "{record}", "work left out in the open, by why", ("group", "reason"))

# fusion and captioner
MODEL_DURATION = _latency("framecue.model.duration", "one call of a model, by what it was given", "input")
MODEL_ITEMS = Metric("framecue.model.items", "histogram", "{item}", "frames or texts of one call", ("input",), SIZES)
MODEL_FAILURES = Metric("framecue.model.failures", "counter", "{call}", "calls that failed", ("input",))
FOLD_DURATION = _latency("framecue.fold.duration", "the fold of one record, by kind", "kind")
RESTORE_DURATION = _latency("framecue.restore.duration", "one partition's state made again from the log")
STREAMS = Metric("framecue.streams", "gauge", "{stream}", "streams whose state this worker holds")
RESULTS = Metric(
    "framecue.results", "counter", "{result}", "published, by kind: annotation, revision, event, caption", ("kind",)
)
RESULT_DELAY = _latency("framecue.result.delay", "from a segment's arrival in Kafka to what was made of it")
TEXT_LAG = _latency("framecue.text.lag", "between what was said and its caption, as taken off")
TEXT_STATES = Metric(
    "framecue.text.states", "counter", "{annotation}", "annotations, by the state of their text", ("state",)
)
DEGRADED = Metric("framecue.degraded", "counter", "{window}", "annotations that say less than they could", ("reason",))
STREAM_ANNOTATIONS = Metric("framecue.stream.annotations", "counter", "{annotation}", "of one stream", ("stream",))
STREAM_EVENTS = Metric(
    "framecue.stream.events", "counter", "{event}", "of one stream, by rule and phase", ("stream", "rule", "phase")
)
STREAM_MEDIA_TIME = Metric("framecue.stream.media_time", "gauge", "s", "end of the newest window", ("stream",))
STREAM_TEXT_LAG = Metric("framecue.stream.text_lag", "gauge", "s", "lag of its last captions", ("stream",))

# projector
STORE_DURATION = _latency("framecue.store.duration", "one call of the result store", "call")
STORE_DELAY = _latency("framecue.store.delay", "from published to readable in Redis")

# gateway
HTTP_DURATION = _latency("framecue.http.duration", "one request, by route and status", "route", "method", "status")
REFUSED = Metric("framecue.http.refused", "counter", "{request}", "requests turned away, by why", ("reason",))
LIVE_SUBSCRIBERS = Metric("framecue.live.subscribers", "gauge", "{connection}", "on /v1/live now")
LIVE_SENT = Metric("framecue.live.sent", "counter", "{result}", "results handed to subscribers")
LIVE_DROPPED = Metric(
    "framecue.live.dropped", "counter", "{connection}", "subscribers that did not keep up, by why", ("reason",)
)
PICTURES = Metric(
    "framecue.pictures", "counter", "{picture}", "asked for, by outcome: cached, fetched, expired, failed", ("outcome",)
)
BLUR_DURATION = _latency("framecue.blur.duration", "finding and blurring the faces of one picture")
FEEDBACK_GIVEN = Metric("framecue.feedback", "counter", "{feedback}", "judgements taken, by verdict", ("verdict",))

# notifier
WEBHOOK_DURATION = _latency("framecue.webhook.duration", "one attempt, by outcome", "webhook", "outcome")
WEBHOOK_DELAY = _latency("framecue.webhook.delay", "from published to delivered", "webhook")
WEBHOOK_GIVEN_UP = Metric(
    "framecue.webhook.given_up", "counter", "{event}", "not delivered, by why", ("webhook", "reason")
)

# every process
MEMORY = Metric("framecue.memory", "gauge", "By", "resident memory of the service and its children")

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

Span = Literal["push", "say", "ingest", "embed", "fold", "caption", "project", "notify"]
"""`embed` is one call for many streams, linked to all; the others belong to one record or result."""
SPANS: tuple[Span, ...] = get_args(Span)

Attribute = Literal[
    "framecue.stream", "framecue.topic", "framecue.partition", "framecue.offset", "framecue.window", "framecue.rule",
    "framecue.records",
]  # fmt: skip
"""`topic`, `partition` and `offset` say where the record stood, `window` is an annotation's id."""
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
