"""What operators see of real services on real servers: one trace from push to Redis, every metric on an endpoint."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import pytest

from framecue.client import Client
from framecue.schemas.segment import CueIn, SegmentHeaders, segment_headers
from framecue.telemetry.names import ATTRIBUTES, METRICS, SPANS, Metric
from framecue.telemetry.setup import Reporting, reporting
from tests.support.clips import make_clip
from tests.support.collector import Collector, Span, collecting
from tests.support.fleet import Fleet, read_all
from tests.support.metrics import EXPOSED_BY_PROCESSES
from tests.support.servers import free_port

SERVICES = ("ingest", "fusion", "captioner", "projector")
SEGMENTS = 4
DONE = (
    'framecue_records_total{group="ingest",topic="segments"} 6.0',
    'framecue_records_total{group="ingest",topic="subtitles"} 1.0',
    'framecue_dead_letters_total{error="UnsupportedMediaError",group="ingest"} 1.0',
    'framecue_records_behind{group="ingest",topic="segments"} 0.0',
    'framecue_ready{group="ingest"} 1.0',
)
"""What ingest says of four segments of ours, one of somebody else, a broken one, and a line; once it is done."""
OUTSIDE = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
"""Trace and span of somebody else's request, as W3C's own example has them."""
OF_OTHERS = {
    "framecue.http.duration": "gateway",
    "framecue.http.refused": "gateway",
    "framecue.live.subscribers": "gateway",
    "framecue.live.sent": "gateway",
    "framecue.live.dropped": "gateway",
    "framecue.pictures": "gateway",
    "framecue.blur.duration": "gateway",
    "framecue.feedback": "gateway",
    "framecue.webhook.duration": "notifier",
    "framecue.webhook.delay": "notifier",
    "framecue.webhook.given_up": "notifier",
}
"""The rows of the list that services say which do not run here, each with the service; their own tests see to them."""


@dataclass(frozen=True)
class Seen:
    """What a small run left: spans, the text of each service's endpoint, its log lines, and media's headers."""

    collector: Collector
    texts: dict[str, str]
    logs: dict[str, list[str]]
    media_headers: dict[str, list[dict[str, bytes]]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str) -> Iterator[Seen]:
    """One fleet for all of these tests: a film with words from a client of ours, and one from a stranger."""
    with collecting() as collector:
        settings = {
            "FRAMECUE_TELEMETRY__OTLP_ENDPOINT": collector.endpoint,
            "FRAMECUE_TELEMETRY__EXPORT_EVERY_MS": "500",
            "FRAMECUE_TELEMETRY__LOGS": "json",
            "FRAMECUE_TELEMETRY__STREAM_LABELS": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        ports = {service: free_port() for service in SERVICES}
        folder = tmp_path_factory.mktemp("fleet")
        with Fleet(folder, bootstrap=kafka, redis_url=redis_url, settings=settings) as fleet:
            for service in SERVICES:
                fleet.start(service, settings={"FRAMECUE_TELEMETRY__METRICS_PORT": str(ports[service])})
            fleet.until(fleet.ready)
            _push_ours(fleet, collector)
            fleet.until(lambda: "ours" in _projected(collector), what="the first stream, which has a label of its own,")
            _push_outside(fleet)
            fleet.push("broken", b"no film", headers=())
            fleet.until(lambda: _is_through(collector), what="all spans")
            fleet.until(lambda: not [line for line in DONE if line not in scraped(ports["ingest"])], what="all counts")
            with suppress(AssertionError):  # what is missing fails its own test, by name
                fleet.until(lambda: not _missing(ports), within_s=20)
            media = {
                stream: [dict(r.headers) for r in read_all(fleet.broker, "media") if r.key == stream.encode()]
                for stream in ("ours", "outside")
            }
            texts = {service: scraped(port) for service, port in ports.items()}
            logs = {s: fleet.worker(s).log.read_text().splitlines() for s in SERVICES}
        yield Seen(collector, texts, logs, media)


def _push_ours(fleet: Fleet, collector: Collector) -> None:
    told = Reporting("push", slot="7", otlp_endpoint=collector.endpoint)
    clips = [make_clip(seconds=2, fps=5, size=(64, 36), gop=10, pattern=p) for p in ("counter", "black")]
    with reporting(told), Client(fleet.connection) as client:
        for n in range(SEGMENTS):
            cue = CueIn(start_ms=2_000 * n, end_ms=2_000 * n + 900, text=f"goal {n}")
            client.push_segment(
                "ours", clips[n % 2], session="s", seq=n, start=2 * n, cues=[cue], lag_ms=100, end=n == SEGMENTS - 1
            )
        client.say("ours", "and that was it")


def _push_outside(fleet: Fleet) -> None:
    said = SegmentHeaders(session="s", seq=0, start=Fraction(0), traceparent="00-{}-{}-01".format(*OUTSIDE), end=True)
    fleet.push("outside", make_clip(seconds=2, fps=5, size=(64, 36)), headers=segment_headers(said))


def _projected(collector: Collector) -> set[str | int]:
    return {span.about["framecue.stream"] for span in collector.named("project")}


def _is_through(collector: Collector) -> bool:
    """Whether the last of all that was pushed came out at the end of every way."""
    embedded = {link for span in collector.named("embed") for link in span.links}
    ingested = {(s.trace, s.id) for s in collector.named("ingest") if s.about["framecue.stream"] != "broken"}
    rest = len(ingested) == SEGMENTS + 2 and ingested <= embedded and bool(collector.named("caption"))
    return rest and "outside" in _projected(collector)


def _missing(ports: dict[str, int]) -> list[Metric]:
    """What no endpoint shows yet: the gauges of loops follow within a second."""
    texts = "".join(scraped(port) for port in ports.values())
    ours = [m for m in METRICS if m.name not in OF_OTHERS]
    return [m for m in ours if not re.search(rf"^{m.prometheus}(_bucket)?[ {{]", texts, re.M)]


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


def chain(span: Span, spans: dict[str, Span]) -> list[Span]:
    """`span` and all above it, from the root."""
    above = chain(spans[span.parent], spans) if span.parent else []
    return [*above, span]


def test_one_trace_connects_push_to_redis(seen: Seen) -> None:
    spans = {span.id: span for span in seen.collector.spans}
    projected = [s for s in seen.collector.named("project") if s.about["framecue.topic"] == "annotations"]
    first = next(s for s in projected if str(s.about["framecue.window"]).startswith("ours/"))
    path = chain(first, spans)
    assert [(s.name, s.service, s.instance) for s in path] == [
        ("push", "framecue-push", "7"),
        ("ingest", "framecue-ingest", "0"),
        ("fold", "framecue-fusion", "0"),
        ("project", "framecue-projector", "0"),
    ]
    assert {s.trace for s in path} == {first.trace}
    assert all(s.seconds > 0 and not s.failed for s in path)
    assert path[1].about | path[2].about == path[2].about | {"framecue.stream": "ours", "framecue.topic": "media"}


def test_a_caption_and_a_typed_line_belong_to_their_traces(seen: Seen) -> None:
    spans = {span.id: span for span in seen.collector.spans}
    captions = [chain(s, spans) for s in seen.collector.named("caption") if s.about["framecue.stream"] == "ours"]
    assert ["push", "ingest", "fold", "caption"] in [[s.name for s in path] for path in captions]
    said = [chain(s, spans) for s in seen.collector.named("ingest") if s.about["framecue.topic"] == "subtitles"]
    assert [[s.name for s in path] for path in said] == [["say", "ingest"]]


def test_a_batch_of_the_model_is_linked_to_all_it_was_for(seen: Seen) -> None:
    ingested = {(s.trace, s.id) for s in seen.collector.named("ingest") if s.about["framecue.stream"] != "broken"}
    embedded = seen.collector.named("embed")
    assert {link for span in embedded for link in span.links} == ingested
    assert all(len(span.links) == span.about["framecue.records"] and not span.parent for span in embedded)
    assert not {s.trace for s in embedded} & {trace for trace, _ in ingested}


def test_a_traceparent_from_outside_becomes_a_link(seen: Seen) -> None:
    (ingest,) = [s for s in seen.collector.named("ingest") if s.about["framecue.stream"] == "outside"]
    assert (ingest.parent, ingest.links) == ("", (OUTSIDE,))
    assert ingest.trace != OUTSIDE[0]
    (headers,) = seen.media_headers["outside"]
    assert headers["traceparent"].startswith(f"00-{ingest.trace}-{ingest.id}-".encode())


def test_what_goes_wrong_stands_in_its_span_and_its_log_line(seen: Seen) -> None:
    (ingest,) = [s for s in seen.collector.named("ingest") if s.about["framecue.stream"] == "broken"]
    assert ingest.failed == "UnsupportedMediaError"
    lines = [json.loads(line) for line in seen.logs["ingest"]]
    (line,) = [one for one in lines if "broken" in one["message"]]
    assert (line["trace_id"], line["span_id"], line["level"]) == (ingest.trace, ingest.id, "info")
    assert (line["service"], line["slot"]) == ("ingest", "0")


def test_spans_and_what_they_say_are_of_the_list(seen: Seen) -> None:
    assert {s.name for s in seen.collector.spans} == set(SPANS) - {"notify"}
    assert {key for s in seen.collector.spans for key in s.about} <= set(ATTRIBUTES)


@pytest.mark.parametrize("metric", [m for m in METRICS if m.name not in OF_OTHERS], ids=lambda m: m.name)
def test_a_metric_of_the_list_is_on_some_endpoint(seen: Seen, metric: Metric) -> None:
    """By its Prometheus name, and with the labels that the list gives it."""
    labels = {
        frozenset(re.findall(r'(\w+)="', found)) - {"le"}
        for text in seen.texts.values()
        for found in re.findall(rf"^{metric.prometheus}(?:_bucket)?(?:{{(.*)}})? ", text, re.M)
    }
    assert labels == {frozenset(metric.labels)}


def test_nothing_else_is_on_the_endpoints(seen: Seen) -> None:
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    known = {m.prometheus + suffix for m in METRICS for suffix in suffixes.get(m.kind, ("",))}
    shown = {re.split(r"[{ ]", line)[0] for t in seen.texts.values() for line in t.splitlines() if line[:1] != "#"}
    assert {name for name in shown - known if not name.startswith("process_")} == set()
    assert shown >= EXPOSED_BY_PROCESSES


def test_metrics_go_to_the_collector_too(seen: Seen) -> None:
    telling = {service for service, name in seen.collector.metrics if name == "framecue.memory"}
    assert telling >= {f"framecue-{service}" for service in SERVICES}


def test_only_the_first_streams_have_series_of_their_own(seen: Seen) -> None:
    named = set(re.findall(r'stream="(\w+)"', seen.texts["fusion"]))
    assert len(named - {"other"}) == 1
    assert "other" in named


def test_what_was_done_counts_once(seen: Seen) -> None:
    for line in DONE:
        assert line in seen.texts["ingest"]
