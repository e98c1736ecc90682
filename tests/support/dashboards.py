"""The dashboards that are checked in, as tests read them: panels, queries, and their variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.paths import REPO

OBSERVABILITY = REPO / "deploy" / "observability"
_FOLDER = OBSERVABILITY / "grafana" / "dashboards"
DASHBOARDS = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@dataclass(frozen=True)
class DashboardQuery:
    """One query of a panel, as Grafana would send it once its variables are filled in."""

    dashboard: str
    panel: str
    expr: str
    legend: str

    def filled(self, values: Mapping[str, str]) -> str:
        """The expression with `$name` replaced."""
        expr = self.expr
        for name, value in values.items():
            expr = expr.replace(f"${name}", value)
        return expr


def panels(name: str) -> Iterator[dict[str, Any]]:
    """The panels of one dashboard, rows aside."""
    for panel in json.loads((_FOLDER / f"{name}.json").read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def queries(name: str) -> Iterator[DashboardQuery]:
    """All that one dashboard asks."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield DashboardQuery(name, panel["title"], target["expr"], target["legendFormat"])


def variables() -> Iterator[tuple[str, str]]:
    """What a person picks, by name, and the query that gives the choices."""
    for board in DASHBOARDS:
        for variable in json.loads((_FOLDER / f"{board}.json").read_text())["templating"]["list"]:
            yield variable["name"], variable["query"]["query"]
