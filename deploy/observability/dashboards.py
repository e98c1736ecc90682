"""The dashboards of Grafana: which panel shows what, and why. `grafana/dashboards/*.json` is made of this.

    python deploy/observability/dashboards.py [--check]

A panel of twenty lines of JSON is one entry here; a test holds the files against it, and every query against a real
Prometheus. It must not know how metrics are made, only their names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "framecue-prometheus"}
WIDTH = 24
RATE = "$__rate_interval"
SERVICES = 'job=~"ingest|fusion|captioner|projector|gateway|notifier"'

Kind = Literal["timeseries", "stat", "state-timeline"]
Threshold = tuple[float, str]
GREEN_RED = ((0, "green"), (1, "red"))


@dataclass(frozen=True)
class Query:
    """What one line, or one line for each label, shows."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`about` says what it means and when to worry; `thresholds` are (from, colour), the first one from 0."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    height: int = 8
    kind: Kind = "timeseries"
    thresholds: tuple[Threshold, ...] = ()
    stacking: Literal["none", "normal"] = "none"
    states: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """What a person picks: `query` gives the choices; "many" may be several, or all."""

    name: str
    label: str
    query: str
    pick: Literal["one", "many"] = "many"


@dataclass(frozen=True)
class Dashboard:
    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


def per_second(counter: str, by: str = "", where: str = "") -> str:
    """The rate of a counter, by labels."""
    return f"sum{_by(by)} (rate({counter}{_where(where)}[{RATE}]))"


def per_minute(counter: str, by: str = "", where: str = "") -> str:
    """The same of what is rare."""
    return f"60 * {per_second(counter, by, where)}"


def quantile(q: float, histogram: str, by: str = "", where: str = "") -> str:
    """What a share `q` of the values lies under."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket{_where(where)}[{RATE}])))"


def mean(histogram: str, by: str, where: str = "") -> str:
    """The average value."""
    total, count = (f"sum{_by(by)} (rate({histogram}_{part}{_where(where)}[{RATE}]))" for part in ("sum", "count"))
    return f"{total} / {count}"


def or_none(expr: str, label: str) -> str:
    """0 under the label `none`, where nothing was ever counted: a counter is born with its first count."""
    return f'{expr} or on () label_replace(vector(0), "{label}", "none", "", "")'


def or_zero(expr: str) -> str:
    """0 where nothing was ever counted."""
    return f"{expr} or on () vector(0)"


def spread(histogram: str, where: str = "") -> tuple[Query, ...]:
    """The usual, and the worst of a hundred."""
    return (
        Query(quantile(0.5, histogram, where=where), "half within"),
        Query(quantile(0.99, histogram, where=where), "99 % within"),
    )


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


GROUP = 'group=~"$group", instance=~"$instance"'
STREAM = 'stream="$stream"'
ANSWERS = 'route!="/v1/live"'

BEHIND = Panel(
    "Seconds behind",
    "Age of the oldest record that waits, by group. Scale on this, not on records. Alarming from a minute on.",
    (Query("max by (group) (framecue_media_seconds_behind)", "{{group}}"),),
    unit="s",
    thresholds=((0, "green"), (30, "yellow"), (60, "red")),
)
TEXT = Panel(
    "Annotations by the state of their text",
    "present: words were joined. pending: they may still come. silent: nothing was said. lost: a stream that had text "
    "has had none for a minute. none: the stream never had any.",
    (Query(per_second("framecue_text_states_total", "state"), "{{state}}"),),
    unit="cps",
    stacking="normal",
)

OVERVIEW = Dashboard(
    "overview",
    "FrameCue: overview",
    "Is everything there, in time, and whole? From here go to one stream, delivery, models, or gateway and webhooks.",
    (
        Row(
            "Now",
            (
                Panel(
                    "Alerts",
                    "How many fire. Each has a section in deploy/docs/operators.md.",
                    (Query(or_zero('count(ALERTS{alertstate="firing", alertname=~"FrameCue.*"})')),),
                    width=4, height=4, kind="stat", thresholds=GREEN_RED,
                ),
                Panel(
                    "Services that answer",
                    "Of those that Prometheus knows.",
                    (Query(f"sum(up{{{SERVICES}}}) / count(up{{{SERVICES}}})"),),
                    unit="percentunit", width=4, height=4, kind="stat", thresholds=((0, "red"), (1, "green")),
                ),
                Panel(
                    "Streams",
                    "Whose state the workers of fusion hold.",
                    (Query("sum(framecue_streams)"),),
                    width=4, height=4, kind="stat",
                ),
                Panel(
                    "Results",
                    "Published in a second, of every kind.",
                    (Query(per_second("framecue_results_total")),),
                    unit="cps", width=4, height=4, kind="stat",
                ),
                Panel(
                    "Behind",
                    "Age of the oldest record that waits anywhere but for captions, which may take their time.",
                    (Query('max(framecue_media_seconds_behind{group=~"ingest|fusion|projector"})'),),
                    unit="s", width=4, height=4, kind="stat", thresholds=((0, "green"), (30, "yellow"), (60, "red")),
                ),
                Panel(
                    "Given up in 15 minutes",
                    "Records that became dead letters: `framecue deadletters list` says which, and why.",
                    (Query(or_zero("sum(framecue:dead_letters:increase15m)")),),
                    width=4, height=4, kind="stat", thresholds=((0, "green"), (1, "yellow"), (10, "red")),
                ),
            ),
        ),
        Row(
            "Results",
            (
                Panel(
                    "Results by kind",
                    "Published by the fold and the captioner. A revision says an annotation anew.",
                    (Query(per_second("framecue_results_total", "kind"), "{{kind}}"),),
                    unit="cps", stacking="normal",
                ),
                Panel(
                    "From a segment's arrival to its results",
                    "A window is 2 s long, and is said again once its text has settled, 10 s later.",
                    spread("framecue_result_delay_seconds"),
                    unit="s", thresholds=((0, "green"), (36, "red")),
                ),
                Panel(
                    "From published to readable",
                    "How old the newest is that people see: the projector and Redis.",
                    spread("framecue_store_delay_seconds"),
                    unit="s", thresholds=((0, "green"), (10, "red")),
                ),
                BEHIND,
                TEXT,
                Panel(
                    "Given up",
                    "In 15 minutes: input that could not be used, faults of our own, events that no receiver took.",
                    (
                        Query(or_zero("sum(framecue:dead_letters:increase15m)"), "dead letters"),
                        Query(or_zero("sum(framecue:faults:increase15m)"), "faults"),
                        Query(or_zero('sum(framecue:webhook_given_up:increase15m{reason!="skipped"})'), "webhooks"),
                    ),
                ),
            ),
        ),
        Row(
            "Services",
            (
                Panel(
                    "Answers",
                    "Whether Prometheus reached it.",
                    (Query(f"up{{{SERVICES}}}", "{{job}} {{instance}}"),),
                    width=12, kind="state-timeline", states=((0, "away", "red"), (1, "there", "green")),
                ),
                Panel(
                    "Ready",
                    "Whether it owns partitions, their state is made, and nothing has failed since.",
                    (Query("framecue_ready", "{{group}} {{instance}}"),),
                    width=12, kind="state-timeline", states=((0, "not ready", "red"), (1, "ready", "green")),
                ),
                Panel(
                    "Memory, of what it may have",
                    "With its children. The limits stand in deploy/observability/limits.yml.",
                    (
                        Query(
                            "framecue_memory_bytes / on (job) group_left () framecue:memory_limit:bytes",
                            "{{job}} {{instance}}",
                        ),
                    ),
                    unit="percentunit", thresholds=((0, "green"), (0.75, "yellow"), (0.9, "red")),
                ),
                Panel(
                    "Memory",
                    "Resident, of the service and its children.",
                    (Query("framecue_memory_bytes", "{{job}} {{instance}}"),),
                    unit="bytes",
                ),
                Panel(
                    "Began anew in 30 minutes",
                    "Three times is a loop.",
                    (Query(f"changes(process_start_time_seconds{{{SERVICES}}}[30m])", "{{job}} {{instance}}"),),
                    thresholds=((0, "green"), (2, "yellow"), (3, "red")),
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                Panel(
                    "Firing",
                    "Each has a section in deploy/docs/operators.md with the three things to do first.",
                    (
                        Query(
                            or_none(
                                "count by (alertname, severity) "
                                '(ALERTS{alertstate="firing", alertname=~"FrameCue.*"})',
                                "alertname",
                            ),
                            "{{alertname}} {{severity}}",
                        ),
                    ),
                    width=24, stacking="normal",
                ),
            ),
        ),
    ),
)  # fmt: skip

ONE_STREAM = Dashboard(
    "stream",
    "FrameCue: one stream",
    "What one stream does. The first `telemetry.stream_labels` streams have metrics of their own; `other` is the rest.",
    (
        Row(
            "Picture",
            (
                Panel(
                    "Annotations",
                    "One for each window of 2 s: 0.5 in a second, and more while it catches up.",
                    (Query(per_second("framecue_stream_annotations_total", where=STREAM), "annotations"),),
                    unit="cps", width=12,
                ),
                Panel(
                    "Seconds of media in a second",
                    "1: in real time. 0: nothing comes. More: it catches up.",
                    (
                        Query(
                            f"clamp_min(max(deriv(framecue_stream_media_time_seconds{{{STREAM}}}[{RATE}])), 0)",
                            "media time",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Media time",
                    "End of the newest window; it begins anew with each run of the stream.",
                    (Query(f"max(framecue_stream_media_time_seconds{{{STREAM}}})", "media time"),),
                    unit="s", width=12,
                ),
                Panel(
                    "Lag of its captions",
                    "Between what is said and when its caption appears, as taken off.",
                    (Query(f"max(framecue_stream_text_lag_seconds{{{STREAM}}})", "lag"),),
                    unit="s", width=12, thresholds=((0, "green"), (10, "red")),
                ),
            ),
        ),
        Row(
            "Events",
            (
                Panel(
                    "Changes of events a minute",
                    "By rule and phase. A rule that starts and ends all the time has bounds too close to each other.",
                    (
                        Query(
                            or_none(per_minute("framecue_stream_events_total", "rule, phase", where=STREAM), "rule"),
                            "{{rule}} {{phase}}",
                        ),
                    ),
                    width=24,
                ),
            ),
        ),
    ),
    (Variable("stream", "stream", "label_values(framecue_stream_annotations_total, stream)", "one"),),
)  # fmt: skip

DELIVERY = Dashboard(
    "delivery",
    "FrameCue: delivery",
    "How records move: read, worked on, committed, written to Redis; what waits, and what goes wrong.",
    (
        Row(
            "Work",
            (
                Panel(
                    "Records",
                    "Worked on and committed in a second.",
                    (Query(per_second("framecue_records_total", "group, topic", GROUP), "{{group}} {{topic}}"),),
                    unit="cps",
                ),
                Panel(
                    "Time at work",
                    "Share of the one thread that works. Over 0.9 for long: add a worker.",
                    (
                        Query(
                            per_second("framecue_batch_duration_seconds_sum", "group, instance", GROUP),
                            "{{group}} {{instance}}",
                        ),
                    ),
                    unit="percentunit", thresholds=((0, "green"), (0.9, "red")),
                ),
                Panel(
                    "Records of one batch",
                    "On average. Large batches are cheap, and a sign that much waits.",
                    (Query(mean("framecue_batch_records", "group", GROUP), "{{group}}"),),
                ),
                Panel(
                    "Time for one batch",
                    "99 % are done within.",
                    (Query(quantile(0.99, "framecue_batch_duration_seconds", "group", GROUP), "{{group}}"),),
                    unit="s",
                ),
                Panel(
                    "Time for one commit",
                    "99 % within: send, check every send, offsets, commit. At 10 s the transaction times out.",
                    (Query(quantile(0.99, "framecue_commit_duration_seconds", "group", GROUP), "{{group}}"),),
                    unit="s", thresholds=((0, "green"), (2, "red")),
                ),
                Panel(
                    "Partitions",
                    "Owned by each worker, over all topics it reads. Even is good; 0 is a worker too many.",
                    (Query(f"framecue_partitions{{{GROUP}}}", "{{group}} {{instance}}"),),
                ),
            ),
        ),
        Row(
            "What waits",
            (
                BEHIND,
                Panel(
                    "Records behind",
                    "Not yet committed. Records differ in size: look at seconds before you scale.",
                    (
                        Query(
                            f"sum by (group, topic) (framecue_records_behind{{{GROUP}}})", "{{group}} {{topic}}"
                        ),
                    ),
                ),
                Panel(
                    "Read ahead",
                    "Bytes that wait in memory; at `delivery.queue_bytes` partitions are paused.",
                    (
                        Query(f"framecue_queue_size_bytes{{{GROUP}}}", "{{group}} {{instance}}"),
                    ),
                    unit="bytes",
                ),
                Panel(
                    "Records read ahead",
                    "The same in records.",
                    (Query(f"framecue_queue_records{{{GROUP}}}", "{{group}} {{instance}}"),),
                ),
            ),
        ),
        Row(
            "What goes wrong",
            (
                Panel(
                    "Turns that began anew",
                    "By error. A few are a broker that restarted; one every two seconds is a worker that gets nowhere.",
                    (
                        Query(
                            or_none(per_second("framecue_retries_total", "group, error", GROUP), "error"),
                            "{{group}} {{error}}",
                        ),
                    ),
                    unit="cps",
                ),
                Panel(
                    "Dead letters in 15 minutes",
                    "By error: `framecue deadletters list`, `show`, and `requeue` once the reason is gone.",
                    (Query(or_none("framecue:dead_letters:increase15m", "error"), "{{group}} {{error}}"),),
                ),
                Panel(
                    "Faults in 15 minutes",
                    "Records that met a defect of ours. Past 1 % the worker stops, unready.",
                    (Query(or_none("framecue:faults:increase15m", "group"), "{{group}}"),),
                    thresholds=GREEN_RED,
                ),
                Panel(
                    "Decoders replaced in 15 minutes",
                    "By why. Each costs the segment that did it, and a second.",
                    (
                        Query(
                            or_none("sum by (reason) (framecue:decoder_restarts:increase15m)", "reason"), "{{reason}}"
                        ),
                    ),
                ),
                Panel(
                    "Left out",
                    "Work that was shed in the open, by why. Fusion never does.",
                    (
                        Query(
                            or_none(per_second("framecue_shed_total", "group, reason", GROUP), "reason"),
                            "{{group}} {{reason}}",
                        ),
                    ),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Ingest",
            (
                Panel(
                    "Time for one segment",
                    "From bytes to frames and cues, in a decoder.",
                    spread("framecue_decode_duration_seconds"),
                    unit="s",
                ),
                Panel(
                    "Frames sampled",
                    "Two for each second of a stream, by default.",
                    (Query(per_second("framecue_frames_total"), "frames"),),
                    unit="cps",
                ),
                Panel(
                    "Cues read",
                    "By where they came from.",
                    (Query(or_none(per_second("framecue_cues_total", "source"), "source"), "{{source}}"),),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "State and Redis",
            (
                Panel(
                    "Time to fold one record",
                    "99 % within, by kind. Milliseconds; it grows with late text, which folds again.",
                    (Query(quantile(0.99, "framecue_fold_duration_seconds", "kind"), "{{kind}}"),),
                    unit="s",
                ),
                Panel(
                    "Partitions whose state was made again",
                    "In a minute; with each rebalance and each failure.",
                    (Query(per_minute("framecue_restore_duration_seconds_count"), "restores"),),
                ),
                Panel(
                    "Calls of Redis",
                    "By the projector.",
                    (Query(per_second("framecue_store_duration_seconds_count", "call"), "{{call}}"),),
                    unit="cps",
                ),
                Panel(
                    "Time for one call of Redis",
                    "99 % within. A millisecond or so; a quarter of a second is a Redis that swaps.",
                    (Query(quantile(0.99, "framecue_store_duration_seconds", "call"), "{{call}}"),),
                    unit="s", thresholds=((0, "green"), (0.25, "red")),
                ),
            ),
        ),
    ),
    (
        Variable("group", "group", "label_values(framecue_ready, group)"),
        Variable("instance", "instance", 'label_values(framecue_ready{group=~"$group"}, instance)'),
    ),
)  # fmt: skip

MODELS = Dashboard(
    "models",
    "FrameCue: models",
    "What models are given, how long they take, and what becomes of captions and text.",
    (
        Row(
            "Models",
            (
                Panel(
                    "Calls",
                    "By what the model was given.",
                    (Query(per_second("framecue_model_duration_seconds_count", "job, input"), "{{job}} {{input}}"),),
                    unit="cps",
                ),
                Panel(
                    "Time for one call",
                    "99 % within.",
                    (Query(quantile(0.99, "framecue_model_duration_seconds", "job, input"), "{{job}} {{input}}"),),
                    unit="s",
                ),
                Panel(
                    "Share of time in a model",
                    "Of one thread: near 1, the model is what holds things up. A GPU helps, or one more worker.",
                    (
                        Query(
                            per_second("framecue_model_duration_seconds_sum", "job, instance, input"),
                            "{{job}} {{instance}} {{input}}",
                        ),
                    ),
                    unit="percentunit", thresholds=((0, "green"), (0.9, "red")),
                ),
                Panel(
                    "Frames or texts of one call",
                    "On average: calls serve many streams at once.",
                    (Query(mean("framecue_model_items", "input"), "{{input}}"),),
                ),
                Panel(
                    "Frames and texts",
                    "In a second.",
                    (Query(per_second("framecue_model_items_sum", "input"), "{{input}}"),),
                    unit="cps",
                ),
                Panel(
                    "Calls that failed in 15 minutes",
                    "A batch that fails is halved and tried again.",
                    (
                        Query(
                            or_none("sum by (job, input) (framecue:model_failures:increase15m)", "input"),
                            "{{job}} {{input}}",
                        ),
                    ),
                    thresholds=GREEN_RED,
                ),
            ),
        ),
        Row(
            "What is made of it",
            (
                Panel(
                    "Captions",
                    "Made and skipped, in a second.",
                    (Query(per_second("framecue_results_total", where='kind="caption"'), "captions"),),
                    unit="cps",
                ),
                Panel(
                    "Caption requests behind",
                    "Age of the oldest. What waits too long while more waits is left out, and says so.",
                    (Query('max(framecue_media_seconds_behind{group="captioner"})', "captioner"),),
                    unit="s", thresholds=((0, "green"), (600, "red")),
                ),
                Panel(
                    "Degraded annotations",
                    "That say less than they could, by why.",
                    (Query(or_none(per_second("framecue_degraded_total", "reason"), "reason"), "{{reason}}"),),
                    unit="cps",
                ),
                TEXT,
                Panel(
                    "Lag of captions",
                    "Between what is said and when its caption appears, as taken off.",
                    spread("framecue_text_lag_seconds"),
                    unit="s", thresholds=((0, "green"), (10, "red")),
                ),
            ),
        ),
    ),
)  # fmt: skip

GATEWAY = Dashboard(
    "gateway",
    "FrameCue: gateway and webhooks",
    "What people and other systems get: HTTP, live connections, pictures, webhooks.",
    (
        Row(
            "HTTP",
            (
                Panel(
                    "Requests",
                    "By route.",
                    (
                        Query(
                            per_second("framecue_http_duration_seconds_count", "route, method"), "{{method}} {{route}}"
                        ),
                    ),
                    unit="cps",
                ),
                Panel(
                    "Answers",
                    "By status. 5xx is ours.",
                    (Query(per_second("framecue_http_duration_seconds_count", "status"), "{{status}}"),),
                    unit="cps", stacking="normal",
                ),
                Panel(
                    "Time for one answer",
                    "Of all but /v1/live, which is meant to last.",
                    spread("framecue_http_duration_seconds", ANSWERS),
                    unit="s", thresholds=((0, "green"), (1, "red")),
                ),
                Panel(
                    "Time for one answer, by route",
                    "99 % within. History may look into the topics for as long as `gateway.history_seconds`.",
                    (
                        Query(
                            quantile(0.99, "framecue_http_duration_seconds", "route", ANSWERS), "{{route}}"
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    "Turned away",
                    "By why.",
                    (Query(or_none(per_second("framecue_http_refused_total", "reason"), "reason"), "{{reason}}"),),
                    unit="cps",
                ),
                Panel(
                    "Feedback",
                    "Judgements a minute, by verdict.",
                    (
                        Query(or_none(per_minute("framecue_feedback_total", "verdict"), "verdict"), "{{verdict}}"),
                    ),
                ),
            ),
        ),
        Row(
            "Live",
            (
                Panel(
                    "Subscribers",
                    "Connections to /v1/live now.",
                    (Query(or_zero("sum(framecue_live_subscribers)"), "subscribers"),),
                ),
                Panel(
                    "Results sent",
                    "To all of them, in a second.",
                    (Query(or_zero(per_second("framecue_live_sent_total")), "results"),),
                    unit="cps",
                ),
                Panel(
                    "Dropped in 15 minutes",
                    "That did not keep up; a browser comes back and goes on where it was.",
                    (
                        Query(or_none("sum by (reason) (framecue:live_dropped:increase15m)", "reason"), "{{reason}}"),
                    ),
                ),
            ),
        ),
        Row(
            "Pictures",
            (
                Panel(
                    "Pictures asked for",
                    "By outcome. expired: older than `media` holds.",
                    (Query(per_second("framecue_pictures_total", "outcome"), "{{outcome}}"),),
                    unit="cps", width=12,
                ),
                Panel(
                    "Time to blur the faces of one picture",
                    "Once for each picture: blurred ones are kept.",
                    spread("framecue_blur_duration_seconds"),
                    unit="s", width=12,
                ),
            ),
        ),
        Row(
            "Webhooks",
            (
                Panel(
                    "Attempts",
                    "By webhook and outcome.",
                    (
                        Query(
                            per_second("framecue_webhook_duration_seconds_count", "webhook, outcome"),
                            "{{webhook}} {{outcome}}",
                        ),
                    ),
                    unit="cps",
                ),
                Panel(
                    "Time for one attempt",
                    "99 % within: how fast receivers answer.",
                    (Query(quantile(0.99, "framecue_webhook_duration_seconds", "webhook"), "{{webhook}}"),),
                    unit="s",
                ),
                Panel(
                    "From published to delivered",
                    "99 % within.",
                    (Query(quantile(0.99, "framecue_webhook_delay_seconds", "webhook"), "{{webhook}}"),),
                    unit="s", thresholds=((0, "green"), (60, "red")),
                ),
                Panel(
                    "Seconds behind",
                    "Age of the oldest event that waits for its receiver.",
                    (Query('max by (group) (framecue_media_seconds_behind{group=~"notifier.*"})', "{{group}}"),),
                    unit="s",
                ),
                Panel(
                    "Given up in 15 minutes",
                    "By why. What a receiver would not take is among the dead letters.",
                    (
                        Query(or_none("framecue:webhook_given_up:increase15m", "reason"), "{{webhook}} {{reason}}"),
                    ),
                    thresholds=GREEN_RED,
                ),
            ),
        ),
    ),
)  # fmt: skip

DASHBOARDS = (OVERVIEW, ONE_STREAM, DELIVERY, MODELS, GATEWAY)


def as_json(dashboard: Dashboard) -> str:
    """The text of its file."""
    made = {
        "uid": f"framecue-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["framecue"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "FrameCue", "tags": ["framecue"], "keepTime": True, "asDropdown": False}
        ],
        "templating": {"list": [_variable(variable) for variable in dashboard.variables]},
        "annotations": {"list": []},
        "panels": list(_panels(dashboard.rows)),
    }
    return json.dumps(made, indent=1) + "\n"


def _variable(variable: Variable) -> Mapping[str, Any]:
    many = variable.pick == "many"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "current": {"text": ["All"], "value": ["$__all"]} if many else {},
        **({"allValue": ".*"} if many else {}),
    }


def _panels(rows: Sequence[Row]) -> Iterator[Mapping[str, Any]]:
    """Rows one below the other, panels from left to right; numbered from 1."""
    y, number = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }  # fmt: skip
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield _panel(panel, number, x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, number: int, x: int, y: int) -> Mapping[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "range": True,
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _field(panel: Panel) -> Mapping[str, Any]:
    steps = panel.thresholds or ((0, "green"),)
    base, *others = steps
    field: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": None, "color": base[1]}, *({"value": v, "color": c} for v, c in others)],
        },
        "mappings": [
            {"type": "value", "options": {str(value): {"text": text, "color": color}}}
            for value, text, color in panel.states
        ],
    }
    if panel.kind == "timeseries":
        field |= {
            "min": 0,
            "custom": {
                "lineWidth": 1,
                "fillOpacity": 10 if panel.stacking == "none" else 40,
                "showPoints": "never",
                "stacking": {"mode": panel.stacking, "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
            },
        }
    return field


def _options(kind: Kind) -> Mapping[str, Any]:
    match kind:
        case "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        case "state-timeline":
            return {"showValue": "never", "mergeValues": True, "legend": {"showLegend": False}}
        case _:
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def main(arguments: Sequence[str]) -> int:
    """Writes the files or, after `--check`, compares them; 1 where they are not current."""
    made = {FOLDER / f"{dashboard.name}.json": as_json(dashboard) for dashboard in DASHBOARDS}
    if "--check" in arguments:
        found = {path: path.read_text() for path in FOLDER.glob("*.json")}
        if found == made:
            return 0
        sys.stderr.write(f"{FOLDER} is not current; run `python deploy/observability/dashboards.py`\n")
        return 1
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
