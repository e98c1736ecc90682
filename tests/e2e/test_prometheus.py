"""Every query of every dashboard, as Grafana would send it, to a real Prometheus that scrapes a real fleet at work.

A dashboard that shows "No data" is found at night otherwise. All services run, with the light model; streams come with
words, something is broken, people look, and a webhook has a receiver.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction

import httpx
import pytest

from framecue.broker.rules import apply_rules
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CueIn, SegmentHeaders, segment_headers
from tests.support.clips import make_clip
from tests.support.dashboards import DASHBOARDS, DashboardQuery, queries, variables
from tests.support.fleet import Fleet
from tests.support.prometheus import PROGRAM, Prometheus, Series
from tests.support.receivers import WebhookReceiver
from tests.support.servers import HOST, free_port

SERVICES = ("ingest", "fusion", "captioner", "projector", "gateway", "notifier")
STREAMS = ("cam1", "cam2", "hall.3")
SEGMENT_S = 2
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "green", "black")),),
    events=(EventRule(name="greeting", text=("/hello/",), combine="text", when="early"),),
)
PICKED = {"__rate_interval": "10s", "stream": STREAMS[0], "group": ".*", "instance": ".*"}
"""Variables, filled in as a person might; the interval is short, since everything is scraped each second."""
NEVER_COUNTED = {"Firing", "Dropped in 15 minutes", "Given up in 15 minutes"}
"""Panels of what did not happen: `none` is the honest answer."""
WITHIN_S = 60.0
"""Then what has no answer has none, and fails its own test by name."""


@dataclass(frozen=True)
class Seen:
    """What Prometheus answered: the series of each query, and the state of each rule."""

    answers: dict[DashboardQuery, list[Series]]
    rules: list[dict[str, str]]
    choices: dict[str, list[str]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str) -> Iterator[Seen]:
    """One run for all of these tests; it lasts until every query has an answer, or does not get one."""
    if PROGRAM is None:
        pytest.skip("there is no Prometheus here: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("observed")
    first, gateway = free_port(len(SERVICES)), free_port()
    ports = {name: first + place for place, name in enumerate(SERVICES)}
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver())
        hook = {"name": "desk", "url": receiver.url, "secret": "a-secret-for-tests-only", "rules": ["*"]}
        settings = {
            "FRAMECUE_GATEWAY__AUTH": "off",
            "FRAMECUE_GATEWAY__PORT": str(gateway),
            "FRAMECUE_NOTIFIER__WEBHOOKS": json.dumps([hook]),
            "FRAMECUE_NOTIFIER__PRIVATE_ADDRESSES": "allow",
            "FRAMECUE_ANALYSIS__LAG_MS": "500",
            "FRAMECUE_ANALYSIS__CAPTION_EVERY_MS": "1000",
        }
        fleet = stack.enter_context(Fleet(folder / "fleet", bootstrap=kafka, redis_url=redis_url, settings=settings))
        apply_rules(fleet.broker, RULES)
        for name, port in ports.items():
            fleet.start(name, settings={"FRAMECUE_TELEMETRY__METRICS_PORT": str(port)})
        fleet.until(fleet.ready, what="all services ready")
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", ports))
        origin = f"http://{HOST}:{gateway}"
        person = stack.enter_context(httpx.Client(base_url=origin, headers={"origin": origin}, timeout=20))
        stack.enter_context(person.stream("GET", "/v1/live"))
        day = _Day(fleet, person)
        answers: dict[DashboardQuery, list[Series]] = {query: [] for name in DASHBOARDS for query in queries(name)}
        end_s = time.monotonic() + WITHIN_S
        fleet.until(
            lambda: day.goes_on() and (_asked(prometheus, answers) or time.monotonic() > end_s), within_s=2 * WITHIN_S
        )
        yield Seen(
            {query: prometheus.over_time(query.filled(PICKED)) for query in answers},  # the early ones say more by now
            [dict(rule) for rule in prometheus.rules()],
            {variable: prometheus.choices(query.replace("$group", ".*")) for variable, query in variables()},
        )


class _Day:
    """What happens while Prometheus looks: a little more each time."""

    def __init__(self, fleet: Fleet, person: httpx.Client) -> None:
        self._fleet, self._person = fleet, person
        self._clips = [
            make_clip(seconds=SEGMENT_S, fps=5, size=(64, 36), gop=10, pattern=p) for p in ("counter", "black")
        ]
        self._seq = 0

    def goes_on(self) -> bool:
        for stream in STREAMS:
            self._push(stream)
        if self._seq == 0:
            self._fleet.push("broken", b"no film")
        self._fleet.say(STREAMS[0], b"hello, live")
        self._seq += 1
        for path in ("/v1/streams", *(f"/v1/streams/{stream}/thumbnail?width=64" for stream in STREAMS), "/v1/nothing"):
            assert not self._person.get(path).is_server_error, path
        self._person.get("/v1/streams", headers={"host": "rebound.example"})
        self._person.post(f"/v1/streams/{STREAMS[0]}/feedback", json={"verdict": "missed"})
        return True

    def _push(self, stream: str) -> None:
        """Every second segment has words, so that events begin and end."""
        start_ms = 1_000 * SEGMENT_S * self._seq
        cue = CueIn(start_ms=start_ms + 600, end_ms=start_ms + 1_500, text="hello there")
        said = SegmentHeaders(
            session="s", seq=self._seq, start=Fraction(SEGMENT_S * self._seq), cues=(cue,) if self._seq % 2 else ()
        )
        self._fleet.push(stream, self._clips[self._seq % 2], headers=segment_headers(said), flush=False)


def _asked(prometheus: Prometheus, answers: dict[DashboardQuery, list[Series]]) -> bool:
    """Asks what has no answer yet; whether all has one."""
    for query in [query for query, answer in answers.items() if not _says_something(query, answer)]:
        answers[query] = prometheus.over_time(query.filled(PICKED))
    return all(_says_something(*both) for both in answers.items())


def _says_something(query: DashboardQuery, answer: list[Series]) -> bool:
    """`none` stands where a counter was never born, so it says nothing of what this run counts."""
    return any("none" not in series.labels.values() for series in answer) or query.panel in NEVER_COUNTED


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_query_has_an_answer(seen: Seen, dashboard: str) -> None:
    empty = {
        query.panel: query.expr for query, found in seen.answers.items() if query.dashboard == dashboard and not found
    }
    assert empty == {}


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_line_has_a_name(seen: Seen, dashboard: str) -> None:
    """A legend of labels that the answer does not have is an empty name."""
    for query, answer in seen.answers.items():
        labels = re.findall(r"\{\{(\w+)\}\}", query.legend)
        if query.dashboard == dashboard and labels:
            assert [series.labels for series in answer if not any(map(series.labels.get, labels))] == [], query


def test_what_is_picked_has_choices(seen: Seen) -> None:
    assert set(seen.choices["stream"]) == set(STREAMS)
    assert set(seen.choices["group"]) == {*SERVICES[:5], "notifier.desk"}
    assert len(seen.choices["instance"]) == len(SERVICES)


def test_rules_are_healthy_and_a_healthy_fleet_alarms_nobody(seen: Seen) -> None:
    assert {rule["name"]: rule["lastError"] for rule in seen.rules if rule["health"] != "ok"} == {}
    firing = {rule["name"] for rule in seen.rules if rule.get("state") == "firing"}
    assert firing == set()


def test_what_was_counted_does_not_hide_behind_none(seen: Seen) -> None:
    assert {query.panel for query, answer in seen.answers.items() if not _says_something(query, answer)} == set()
