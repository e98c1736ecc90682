"""The dashboards: what is checked in is what dashboards.py makes, and every query rests on metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from framecue.telemetry.names import METRICS
from tests.support.dashboards import DASHBOARDS, OBSERVABILITY, panels, queries
from tests.support.metrics import EXPOSED_BY_PROCESSES, EXPOSED_BY_PROMETHEUS, exposed, names_in

GRAFANA = OBSERVABILITY / "grafana"


def test_dashboards_are_what_the_table_says() -> None:
    program = OBSERVABILITY / "dashboards.py"
    done = subprocess.run([sys.executable, program, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_names_metrics_of_the_list(name: str) -> None:
    known = exposed() | _recorded() | EXPOSED_BY_PROCESSES | EXPOSED_BY_PROMETHEUS
    asked = {query.expr: names_in(query.expr) for query in queries(name)}
    assert {expr: names - known for expr, names in asked.items() if not names or names - known} == {}


def test_every_metric_is_on_some_dashboard() -> None:
    """A number that nobody shows is not looked at. What alerts rest on is recorded, so through those rules too."""
    rules = yaml.safe_load((OBSERVABILITY / "counts.yml").read_text())["groups"][0]["rules"]
    behind = {rule["record"]: names_in(rule["expr"]) for rule in rules}
    asked = {name for board in DASHBOARDS for query in queries(board) for name in names_in(query.expr)}
    shown = asked.union(*(behind.get(name, set()) for name in asked))
    parts = ("", "_bucket", "_sum", "_count")
    unseen = {m.prometheus for m in METRICS if not {m.prometheus + part for part in parts} & shown}
    assert unseen == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_label_is_one_of_its_metric(name: str) -> None:
    """A label that a metric does not have gives an empty line, or one line for all."""
    own = {"job", "instance", "le", "alertname", "alertstate", "severity"}
    labels = {m.prometheus: set(m.labels) for m in METRICS}
    for query in queries(name):
        named = {label for group in re.findall(r"\bby \(([^)]*)\)", query.expr) for label in group.split(", ")}
        named |= {
            label for group in re.findall(r"\{([^}]*)\}", query.expr) for label in re.findall(r"(\w+)[=!]", group)
        }
        named |= set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        of = {re.sub(r"_(bucket|sum|count)$", "", n) for n in names_in(query.expr)}
        allowed = own.union(*(labels.get(n, set()) for n in of), *(_recorded_labels().get(n, set()) for n in of))
        assert named <= allowed, query


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_say_what_they_mean(name: str) -> None:
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {_datasource()["uid"]}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())["panels"]:
        place = panel["gridPos"]
        for cell in _cells(place):
            assert cell not in taken, f"{panel['title']} lies over {taken[cell]}"
            assert cell[0] < 24, panel["title"]
            taken[cell] = panel["title"]


def test_dashboards_have_names_of_their_own() -> None:
    boards = [json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text()) for name in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards)
    assert all(len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) for board in boards)


def _datasource() -> dict[str, Any]:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "framecue.yml").read_text())["datasources"]
    found: dict[str, Any] = next(source for source in sources if source["type"] == "prometheus")
    return found


def _rules() -> Iterator[dict[str, Any]]:
    for name in ("counts.yml", "limits.yml"):
        for group in yaml.safe_load((OBSERVABILITY / name).read_text())["groups"]:
            yield from group["rules"]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules()}


def _recorded_labels() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in _rules():
        by = re.search(r"^sum by \(([^)]*)\)", rule["expr"])
        found[rule["record"]] = set(by[1].split(", ")) if by else set(rule.get("labels", {}))
    return found


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
