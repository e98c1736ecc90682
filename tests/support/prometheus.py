"""A real Prometheus for one test: it scrapes what it is told, with the very rules that are checked in.

It must not know what is asked of it.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.dashboards import OBSERVABILITY
from tests.support.servers import HOST, free_port

PROGRAM = shutil.which("prometheus")
RULES = ("counts.yml", "limits.yml", "alerts.yml")
START_S, STOP_S, STEP_S = 60.0, 20.0, 0.1


@dataclass(frozen=True)
class Series:
    """One line of an answer: its labels, and those of its values that are numbers."""

    labels: Mapping[str, str]
    values: Sequence[float]


class Prometheus:
    """A process on 127.0.0.1 that scrapes `jobs` (name: port) every second. A context manager."""

    def __init__(self, folder: Path, jobs: Mapping[str, int]) -> None:
        self._folder, self._port = folder, free_port()
        self._began_s = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(OBSERVABILITY / name) for name in RULES],
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [f"{HOST}:{port}"]}]} for name, port in jobs.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Prometheus:
        assert PROGRAM is not None
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={HOST}:{self._port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end_s = time.monotonic() + START_S
        while not self._is_ready():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end_s, self.log()
            time.sleep(STEP_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """What it said."""
        return (self._folder / "prometheus.log").read_text(errors="replace")

    def over_time(self, expr: str) -> list[Series]:
        """What `expr` gave, second by second, since this began: the series that had a number in them at some time."""
        asked = {"query": expr, "start": self._began_s, "end": time.time(), "step": 1}
        found = [
            Series(one["metric"], [v for _, text in one["values"] if math.isfinite(v := float(text))])
            for one in self._get("query_range", asked)["result"]
        ]
        return [series for series in found if series.values]

    def choices(self, query: str) -> list[str]:
        """What Grafana offers for a variable `label_values(series, label)`."""
        series, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
        found = self._get("series", {"match[]": series, "start": self._began_s, "end": time.time()})
        return sorted({one[label] for one in found})

    def rules(self) -> list[Mapping[str, Any]]:
        """Every rule, with `health`, `lastError` and, of alerts, `state`."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def _get(self, what: str, asked: Mapping[str, Any]) -> Any:
        url = f"http://{HOST}:{self._port}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{asked}: {e.read().decode()}") from e

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
