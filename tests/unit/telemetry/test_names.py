"""The closed list of metrics and spans: what dashboards, alerts and documents rely on."""

from __future__ import annotations

import re

import pytest

from framecue.telemetry.names import ATTRIBUTES, METRICS, SPANS, Metric

LABELS = {
    "group", "topic", "error", "reason", "source", "input", "kind", "state", "stream", "rule", "phase", "call", "route",
    "method", "status", "verdict", "outcome", "webhook",
}  # fmt: skip
"""Each has few values, or is bounded: a label costs a series for each of them."""


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_row_of_the_list_holds_together(metric: Metric) -> None:
    assert re.fullmatch(r"framecue(\.[a-z]+(_[a-z]+)*)+", metric.name)
    assert re.fullmatch(r"(s|By||\{[a-z]+\})", metric.unit)
    assert set(metric.labels) <= LABELS
    assert len(set(metric.labels)) == len(metric.labels)
    assert metric.about
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_no_name_is_there_twice() -> None:
    assert len({m.name for m in METRICS}) == len({m.prometheus for m in METRICS}) == len(METRICS)


def test_every_metric_that_names_a_stream_says_so() -> None:
    """And no other does: `stream` is what may grow without bound."""
    assert {m.name for m in METRICS if "stream" in m.labels} == {
        m.name for m in METRICS if m.name.startswith("framecue.stream.")
    }


def test_spans_and_their_attributes_are_distinct() -> None:
    assert len(set(SPANS)) == len(SPANS)
    assert len(set(ATTRIBUTES)) == len(ATTRIBUTES)
    assert all(name.startswith("framecue.") for name in ATTRIBUTES)


@pytest.mark.parametrize(
    ("metric", "shown", "reason"),
    [
        (Metric("framecue.a", "counter", "{a}", "?"), "framecue_a_total", "a noun adds nothing"),
        (Metric("framecue.a", "counter", "s", "?"), "framecue_a_seconds_total", "unit, then kind"),
        (Metric("framecue.a.b_c", "gauge", "By", "?"), "framecue_a_b_c_bytes", "dots become underscores"),
        (Metric("framecue.a", "histogram", "s", "?", (), (1.0,)), "framecue_a_seconds", "its parts have suffixes"),
        (Metric("framecue.a", "gauge", "", "?"), "framecue_a", "no unit, no suffix"),
    ],
)
def test_prometheus_name(metric: Metric, shown: str, reason: str) -> None:
    """That the exporter agrees is seen in `test_setup`, of every row."""
    assert metric.prometheus == shown, reason
