"""The table of metrics: `deploy/docs/metrics.md`, made of the closed list and of the alerts that rest on it.

python deploy/observability/metrics_page.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from framecue.telemetry.names import METRICS, Metric

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "metrics.md"
HEAD = """\
# Metrics

Every metric there is, by the name under which Prometheus shows it; no service emits another. Made of
`shared/framecue/telemetry/names.py` by `python deploy/observability/metrics_page.py`.

- Times are in seconds, sizes in bytes. A histogram has `_bucket`, `_sum` and `_count`.
- `group` is that of Kafka: `ingest`, `fusion`, `captioner`, `projector`, `notifier.<webhook>`. Also `gateway`.
- `stream` is bounded: the first `telemetry.stream_labels` streams have their own, the others are `other` together.
- A counter is born with its first count: until then there is no series, which is not the same as 0.
- Each process also shows `process_*` of Prometheus' client: start, processor time, memory, open files.

| metric | kind | labels | what it says | alerts |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole text."""
    return HEAD + "".join(f"| {' | '.join(_cells(metric))} |\n" for metric in METRICS)


def _cells(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    alerts = ", ".join(f"[{name}](operators.md#{name.lower()})" for name in _alerts_on(metric))
    return f"`{metric.prometheus}`", metric.kind, labels, metric.about, alerts


def _alerts_on(metric: Metric) -> Sequence[str]:
    """The alerts that look at it, themselves or through what is recorded of it."""
    recorded = {rule["record"] for rule in _rules("counts.yml") if metric.prometheus in rule["expr"]}
    rests_on = recorded | {metric.prometheus}
    return [rule["alert"] for rule in _rules("alerts.yml") if any(name in rule["expr"] for name in rests_on)]


def _rules(name: str) -> Sequence[dict[str, Any]]:
    groups = yaml.safe_load((HERE / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def main(arguments: Sequence[str]) -> int:
    """Writes the page or, after `--check`, compares it; 1 where it is not current."""
    if "--check" in arguments:
        if PAGE.is_file() and PAGE.read_text() == page():
            return 0
        sys.stderr.write(f"{PAGE} is not current; run `python deploy/observability/metrics_page.py`\n")
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
