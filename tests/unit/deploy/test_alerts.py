"""Every alert fires when it should and is still when it should, says so in words, and has its section in the runbook.

promtool feeds the rules the series of each row, minute by minute (`0+10x20`: 0, 10, 20 … 20 times more), and compares.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.metrics import EXPOSED_BY_PROCESSES, EXPOSED_BY_PROMETHEUS, exposed, names_in
from tests.support.paths import REPO

FOLDER = REPO / "deploy" / "observability"
RULES = ("alerts.yml", "counts.yml", "limits.yml")
SEVERITIES = {"page", "ticket"}

UP = 'up{job="%s", instance="%s:9464"}'
ALL_UP = {UP % (name, name): "1x30" for name in ("ingest", "fusion", "captioner", "projector", "gateway")}
GB = "000000000"


@dataclass(frozen=True)
class Row:
    """One alert over some series. `says` is the description of what fires `at` a time: without it, nothing may.

    `not_yet` is a time when there is reason to, for too short a time.
    """

    alert: str
    why: str
    series: dict[str, str]
    at: str = "30m"
    labels: dict[str, str] = field(default_factory=dict)
    says: str = ""
    not_yet: str = ""


def histogram(name: str, labels: str, within: dict[str, int], *, minutes: int = 30) -> dict[str, str]:
    """A histogram that grows by so many values in each bucket every minute; `within` is cumulative, by upper bound."""
    buckets = {f'{name}_bucket{{{labels}, le="{le}"}}': f"0+{n}x{minutes}" for le, n in within.items()}
    return buckets | {f"{name}_count{{{labels}}}": f"0+{max(within.values())}x{minutes}"}


INGEST = 'job="ingest", instance="ingest:9464"'
FUSION = 'job="fusion", instance="fusion:9464"'
GATEWAY = 'job="gateway", instance="gateway:9464"'
PROJECTOR = 'job="projector", instance="projector:9464"'
NOTIFIER = 'job="notifier", instance="notifier:9464"'
DEAD = f'framecue_dead_letters_total{{{INGEST}, group="ingest", error="DamagedMediaError"}}'
READ = f'framecue_records_total{{{INGEST}, group="ingest", topic="framecue.segments"}}'
MADE = f'framecue_results_total{{{FUSION}, kind="annotation"}}'
STARTED = f"process_start_time_seconds{{{INGEST}}}"
SHED = f'framecue_shed_total{{{INGEST}, group="ingest", reason="sampling"}}'
FAULTS = f'framecue_faults_total{{{FUSION}, group="fusion"}}'
HTTP = f'framecue_http_duration_seconds_count{{{GATEWAY}, route="/v1/streams", method="GET", status="%s"}}'
PICTURES = f'framecue_pictures_total{{{GATEWAY}, outcome="%s"}}'
TEXT = f'framecue_text_states_total{{{FUSION}, state="%s"}}'
ATTEMPTS = f'framecue_webhook_duration_seconds_count{{{NOTIFIER}, webhook="desk", outcome="%s"}}'
GIVEN_UP = f'framecue_webhook_given_up_total{{{NOTIFIER}, webhook="desk", reason="refused"}}'
MODEL_FAILURES = f'framecue_model_failures_total{{{FUSION}, input="image"}}'
DECODERS = f'framecue_decoder_restarts_total{{{INGEST}, reason="hung"}}'
REFUSED = f'framecue_http_refused_total{{{GATEWAY}, reason="unknown token"}}'
DROPPED = f'framecue_live_dropped_total{{{GATEWAY}, reason="slow"}}'

ROWS = (
    Row(
        "FrameCueServiceDown", "one of two workers is away",
        {UP % ("ingest", "a"): "1x30", UP % ("ingest", "b"): "1x5 0x25"},
        labels={"job": "ingest", "instance": "b:9464"},
        not_yet="7m",
        says="ingest at b:9464 has not answered for 2 minutes.",
    ),
    Row("FrameCueServiceDown", "a restart is no outage", {UP % ("fusion", "a"): "1x5 0 1x24"}, at="7m"),
    Row("FrameCueServiceDown", "Kafka's exporter is not ours", {UP % ("kafka", "a"): "0x30"}),
    Row(
        "FrameCueServiceMissing", "nobody scrapes the projector: a target that was forgotten",
        {series: up for series, up in ALL_UP.items() if "projector" not in series},
        labels={"job": "projector"},
        not_yet="4m",
        says="Prometheus has known no projector for 5 minutes.",
    ),
    Row(
        "FrameCueServiceMissing", "there was a notifier, and nobody told Prometheus where it went",
        ALL_UP | {UP % ("notifier", "notifier"): "1x10 _x20"},
        labels={"job": "notifier"},
        says="Prometheus has known no notifier for 5 minutes.",
    ),
    Row("FrameCueServiceMissing", "the notifier runs only where there are webhooks", ALL_UP),
    Row(
        "FrameCueNotReady", "runs, and waits for Kafka",
        {f'framecue_ready{{{FUSION}, group="fusion"}}': "1x10 0x20"},
        labels={"job": "fusion", "instance": "fusion:9464", "group": "fusion"},
        not_yet="13m",
        says="fusion at fusion:9464 has not been ready for 5 minutes.",
    ),
    Row(
        "FrameCueNotReady", "a rebalance, and again: never five minutes",
        {f'framecue_ready{{{FUSION}, group="fusion"}}': "1x20 0 0 0 1 1 0 0 0 0 1"},
        at="29m",
    ),
    Row(
        "FrameCueRestarting", "a worker that dies of its input, over and over",
        {STARTED: "100x10 200x5 300x5 400x10"},
        labels={"job": "ingest", "instance": "ingest:9464"},
        says="ingest at ingest:9464 began anew 3 times in 30 minutes.",
    ),
    Row("FrameCueRestarting", "a rollout that is mended", {STARTED: "100x10 200x5 300x15"}),
    Row(
        "FrameCueMemoryNearLimit", "of 3 GB",
        {f"framecue_memory_bytes{{{INGEST}}}": f"1{GB}x10 2850000000x20"},
        labels={"job": "ingest", "instance": "ingest:9464"},
        not_yet="15m",
        says="ingest at ingest:9464 uses 95% of the memory that limits.yml gives it.",
    ),
    Row(
        "FrameCueMemoryNearLimit", "the same bytes are little for fusion, and a peak goes by",
        {
            f"framecue_memory_bytes{{{FUSION}}}": "2850000000x30",
            f"framecue_memory_bytes{{{INGEST}}}": f"1{GB}x25 2850000000x5",
        },
    ),
    Row(
        "FrameCueFilesNearLimit", "900 subscribers under a limit of 1024",
        {f"process_open_fds{{{GATEWAY}}}": "920x30", f"process_max_fds{{{GATEWAY}}}": "1024x30"},
        labels={"job": "gateway", "instance": "gateway:9464"},
        not_yet="4m",
        says="gateway at gateway:9464 has 89.84% of its file descriptors open.",
    ),
    Row(
        "FrameCueFilesNearLimit", "400 of them",
        {f"process_open_fds{{{GATEWAY}}}": "400x30", f"process_max_fds{{{GATEWAY}}}": "1024x30"},
    ),
    Row(
        "FrameCueFallingBehind", "the worst of two workers counts",
        {
            'framecue_media_seconds_behind{group="fusion", instance="a"}': "0x30",
            'framecue_media_seconds_behind{group="fusion", instance="b"}': "0x5 10+10x25",
        },
        labels={"group": "fusion"},
        not_yet="15m",
        says="The oldest record that waits for fusion is 4m 10s old.",
    ),
    Row(
        "FrameCueFallingBehind", "what a restart left is caught up; captions may be late",
        {
            'framecue_media_seconds_behind{group="ingest", instance="a"}': "0x20 200 180 150 120 90 50 0x10",
            'framecue_media_seconds_behind{group="captioner", instance="a"}': "500x30",
            'framecue_media_seconds_behind{group="fusion", instance="a"}': "30x30",
        },
    ),
    Row(
        "FrameCueAboutToLoseSegments", "an outage of the night",
        {'framecue_media_seconds_behind{group="ingest", instance="a"}': "14000+60x30"},
        labels={"group": "ingest"},
        not_yet="7m",
        says="ingest is 4h 23m 20s behind, and segments are kept 6 hours.",
    ),
    Row(
        "FrameCueAboutToLoseSegments", "fusion reads media, which is kept a day",
        {
            'framecue_media_seconds_behind{group="fusion", instance="a"}': "14000+60x30",
            'framecue_media_seconds_behind{group="ingest", instance="a"}': "9000x30",
        },
    ),
    Row(
        "FrameCueCaptionsBehind", "a model that is slower than what is asked of it",
        {'framecue_media_seconds_behind{group="captioner", instance="a"}': "600+60x30"},
        labels={"group": "captioner"},
        not_yet="10m",
        says="The oldest request that waits for captioner is 40m 0s old.",
    ),
    Row(
        "FrameCueCaptionsBehind", "five minutes are nothing to a caption",
        {'framecue_media_seconds_behind{group="captioner", instance="a"}': "300x30"},
    ),
    Row(
        "FrameCueSaturated", "57 of 60 seconds",
        {f'framecue_batch_duration_seconds_sum{{{FUSION}, group="fusion"}}': "0+57x60"},
        at="60m",
        labels={"job": "fusion", "instance": "fusion:9464", "group": "fusion"},
        not_yet="20m",
        says="fusion at fusion:9464 works 95% of the time.",
    ),
    Row(
        "FrameCueSaturated", "two workers with 30 s each; a webhook that waits for its receiver works, in a way",
        {
            f'framecue_batch_duration_seconds_sum{{{FUSION}, group="fusion"}}': "0+30x60",
            'framecue_batch_duration_seconds_sum{job="fusion", instance="b:9464", group="fusion"}': "0+30x60",
            f'framecue_batch_duration_seconds_sum{{{NOTIFIER}, group="notifier.desk"}}': "0+60x60",
        },
        at="60m",
    ),
    Row(
        "FrameCueRetrying", "every two seconds, as when Kafka refuses every commit",
        {f'framecue_retries_total{{{FUSION}, group="fusion", error="BrokerError"}}': "0+30x30"},
        labels={"group": "fusion"},
        not_yet="4m",
        says="fusion begins anew 0.5 times a second.",
    ),
    Row(
        "FrameCueRetrying", "a broker that restarted, and one that is shaky",
        {
            f'framecue_retries_total{{{FUSION}, group="fusion", error="BrokerError"}}': "0x10 0+10x2 20x20",
            f'framecue_retries_total{{{INGEST}, group="ingest", error="BrokerError"}}': "0+5x30",
        },
        at="14m",
    ),
    Row(
        "FrameCueCommitsSlow", "five in a hundred over 2.5 s",
        histogram(
            "framecue_commit_duration_seconds", f'{FUSION}, group="fusion"', {"2.5": 95, "5.0": 100, "+Inf": 100}
        ),
        labels={"group": "fusion"},
        not_yet="8m",
        says="One in a hundred commits of fusion takes over 4.5s.",
    ),
    Row(
        "FrameCueCommitsSlow", "a few hundred milliseconds",
        histogram(
            "framecue_commit_duration_seconds", f'{FUSION}, group="fusion"', {"0.5": 50, "1.0": 100, "+Inf": 100}
        ),
    ),
    Row(
        "FrameCueRestoreSlow", "minutes, as without snapshots",
        histogram("framecue_restore_duration_seconds", FUSION, {"60.0": 985, "300.0": 1000, "+Inf": 1000}),
        says="State is made again in up to 2m 19s; as long its streams stand still.",
    ),
    Row(
        "FrameCueRestoreSlow", "seconds",
        histogram("framecue_restore_duration_seconds", FUSION, {"10.0": 50, "30.0": 100, "+Inf": 100}),
    ),
    Row(
        "FrameCueDeadLetters", "the first of their kind: no increase() sees that",
        {DEAD: "_x20 12x10"},
        labels={"group": "ingest"},
        says="ingest gave up 12 records in 15 minutes.",
    ),
    Row("FrameCueDeadLetters", "yesterday's count, and a bad file", {DEAD: "500x20 506x10"}),
    Row(
        "FrameCueManyDeadLetters", "every second record",
        {DEAD: "0+5x30", READ: "0+10x30"},
        labels={"group": "ingest"},
        not_yet="6m",
        says="ingest gave up 50% of its records in 15 minutes.",
    ),
    Row("FrameCueManyDeadLetters", "one source among many", {DEAD: "0+5x30", READ: "0+100x30"}),
    Row("FrameCueManyDeadLetters", "all of a handful: no reason to wake anybody", {DEAD: "0+1x30", READ: "0+1x30"}),
    Row(
        "FrameCueFaults", "one is one too many",
        {FAULTS: "_x20 1x10"},
        labels={"group": "fusion"},
        says="Records that met a fault of fusion in 15 minutes: 1.",
    ),
    Row("FrameCueFaults", "last week's", {FAULTS: "3x30"}),
    Row(
        "FrameCueDecodersRestarting", "one a minute",
        {DECODERS: "0+1x30"},
        labels={"instance": "ingest:9464"},
        says="ingest:9464 replaced 15 decoders in 15 minutes.",
    ),
    Row("FrameCueDecodersRestarting", "two bad files, sent three times", {DECODERS: "_x20 6x10"}),
    Row(
        "FrameCueSheds", "for an hour",
        {SHED: "0+10x60"},
        at="60m",
        labels={"group": "ingest", "reason": "sampling"},
        not_yet="10m",
        says="ingest leaves out 0.2 records a second (sampling).",
    ),
    Row("FrameCueSheds", "for ten minutes after an outage", {SHED: "0x5 0+10x10 100x45"}, at="25m"),
    Row(
        "FrameCueResultsLate", "a minute",
        histogram("framecue_result_delay_seconds", FUSION, {"30.0": 90, "60.0": 100, "+Inf": 100}),
        not_yet="8m",
        says="One in a hundred results leaves over 57s after its segment came.",
    ),
    Row(
        "FrameCueResultsLate", "a window and its settling",
        histogram("framecue_result_delay_seconds", FUSION, {"10.0": 50, "30.0": 100, "60.0": 100, "+Inf": 100}),
    ),
    Row(
        "FrameCueNoResults", "fusion reads and says nothing",
        {READ: "0+2x40", MADE: "0+2x10 20x30"},
        at="40m",
        not_yet="22m",
        says="Segments come in, and no annotation has been published for 10 minutes.",
    ),
    Row("FrameCueNoResults", "a night with a stray segment", {READ: "600+0.5x40", MADE: "600x40"}, at="40m"),
    Row(
        "FrameCueModelFails", "out of memory on the GPU",
        {MODEL_FAILURES: "_x20 2x10"},
        labels={"job": "fusion", "input": "image"},
        says="fusion saw 2 calls of a model fail in 15 minutes (image).",
    ),
    Row("FrameCueModelFails", "an hour ago", {MODEL_FAILURES: "4x30"}),
    Row(
        "FrameCueDegraded", "three in ten",
        {f'framecue_degraded_total{{{FUSION}, reason="damaged"}}': "0+30x40", MADE: "0+100x40"},
        at="40m",
        not_yet="10m",
        says="30% of the annotations of 15 minutes are degraded.",
    ),
    Row(
        "FrameCueDegraded", "one stream of many",
        {f'framecue_degraded_total{{{FUSION}, reason="damaged"}}': "0+10x40", MADE: "0+100x40"},
        at="40m",
    ),
    Row(
        "FrameCueTextLost", "of three streams with text one has none any more",
        {TEXT % "lost": "0+10x60", TEXT % "present": "0+20x60", TEXT % "none": "0+1000x60"},
        at="60m",
        not_yet="10m",
        says="33.33% of the annotations of streams with text say that it is lost.",
    ),
    Row(
        "FrameCueTextLost", "silence is not loss; neither is what never had text",
        {TEXT % "silent": "0+10x60", TEXT % "lost": "0+1x60", TEXT % "none": "0+1000x60"},
        at="60m",
    ),
    Row(
        "FrameCueTextLate", "live captions of a far desk",
        histogram("framecue_text_lag_seconds", FUSION, {"10.0": 50, "30.0": 100, "+Inf": 100}, minutes=60),
        at="60m",
        not_yet="10m",
        says="One caption in ten comes over 26s after what was said.",
    ),
    Row(
        "FrameCueTextLate", "live captions as they are",
        histogram("framecue_text_lag_seconds", FUSION, {"5.0": 95, "10.0": 100, "+Inf": 100}, minutes=60),
        at="60m",
    ),
    Row(
        "FrameCueStoreSlow", "Redis swaps",
        histogram(
            "framecue_store_duration_seconds", f'{PROJECTOR}, call="annotation"', {"0.25": 98, "1.0": 100, "+Inf": 100}
        ),
        not_yet="8m",
        says="One in a hundred calls of Redis takes over 625ms.",
    ),
    Row(
        "FrameCueStoreSlow", "slower than usual",
        histogram(
            "framecue_store_duration_seconds", f'{PROJECTOR}, call="event"', {"0.1": 50, "0.25": 100, "+Inf": 100}
        ),
    ),
    Row(
        "FrameCueStoreStale", "the projector cannot follow",
        histogram("framecue_store_delay_seconds", PROJECTOR, {"10.0": 0, "30.0": 100, "+Inf": 100}),
        not_yet="4m",
        says="Results can be read in Redis only 29.8s after they were published.",
    ),
    Row(
        "FrameCueStoreStale", "within seconds",
        histogram("framecue_store_delay_seconds", PROJECTOR, {"1.0": 50, "10.0": 100, "+Inf": 100}),
    ),
    Row(
        "FrameCueGatewayErrors", "Redis is away",
        {HTTP % "200": "0+96x30", HTTP % "503": "0+4x30"},
        not_yet="4m",
        says="4% of the answers of 5 minutes are errors of ours (5xx).",
    ),
    Row(
        "FrameCueGatewayErrors", "what callers do wrong is theirs; one of ours in a hundred",
        {HTTP % "200": "0+20x30", HTTP % "404": "0+178x30", HTTP % "500": "0+2x30"},
    ),
    Row(
        "FrameCueGatewayErrors", "a single error among few requests wakes nobody",
        {HTTP % "200": "0+2x30", HTTP % "500": "0+1x30"},
    ),
    Row(
        "FrameCueGatewaySlow", "the wall takes two seconds",
        histogram(
            "framecue_http_duration_seconds", f'{GATEWAY}, route="/v1/streams"', {"1.0": 90, "2.5": 100, "+Inf": 100}
        ),
        not_yet="8m",
        says="One in a hundred answers takes over 2.35s.",
    ),
    Row(
        "FrameCueGatewaySlow", "live connections stay open, and history may take a while",
        histogram("framecue_http_duration_seconds", f'{GATEWAY}, route="/v1/live"', {"60.0": 0, "300.0": 9, "+Inf": 9})
        | histogram(
            "framecue_http_duration_seconds",
            f'{GATEWAY}, route="/v1/streams/{{stream}}/timeline"',
            {"1.0": 0, "10.0": 9, "+Inf": 9},
        )
        | histogram(
            "framecue_http_duration_seconds", f'{GATEWAY}, route="/v1/streams"', {"0.5": 45, "1.0": 90, "+Inf": 90}
        ),
    ),
    Row(
        "FrameCueLiveDropped", "all of an office",
        {DROPPED: "_x20 40x10"},
        says="40 live connections were dropped in 15 minutes.",
    ),
    Row("FrameCueLiveDropped", "laptops that sleep", {DROPPED: "100x20 110x10"}),
    Row(
        "FrameCuePicturesFail", "Kafka does not give them",
        {PICTURES % "failed": "0+10x30", PICTURES % "cached": "0+90x30"},
        not_yet="8m",
        says="10% of the pictures asked for in 15 minutes could not be had.",
    ),
    Row(
        "FrameCuePicturesFail", "pictures of last week, and a few that failed",
        {PICTURES % "expired": "0+10x30", PICTURES % "failed": "0+3x30", PICTURES % "cached": "0+87x30"},
    ),
    Row(
        "FrameCueRequestsRefused", "somebody tries tokens",
        {REFUSED: "0+120x30"},
        labels={"reason": "unknown token"},
        not_yet="8m",
        says="2.0 requests a second are turned away (unknown token).",
    ),
    Row("FrameCueRequestsRefused", "scripts with tokens of last year", {REFUSED: "0+30x30"}),
    Row(
        "FrameCueWebhookFailing", "the receiver is down",
        {ATTEMPTS % "delivered": "0+10x5 50x25", ATTEMPTS % "failed": "0x5 0+2x25"},
        labels={"webhook": "desk"},
        not_yet="10m",
        says="100% of the attempts for the webhook desk fail.",
    ),
    Row(
        "FrameCueWebhookFailing", "one attempt in four, and each is delivered at the next",
        {ATTEMPTS % "delivered": "0+30x30", ATTEMPTS % "failed": "0+10x30"},
    ),
    Row(
        "FrameCueWebhookGivenUp", "the first ever",
        {GIVEN_UP: "_x20 1x10"},
        labels={"webhook": "desk", "reason": "refused"},
        says="Events for the webhook desk that were given up in 15 minutes: 1 (refused).",
    ),
    Row(
        "FrameCueWebhookGivenUp", "last week's; and what was too old for a webhook that is new",
        {GIVEN_UP: "7x30", GIVEN_UP.replace("refused", "skipped"): "_x20 500x10"},
    ),
    Row(
        "FrameCueWebhookGivenUp", "a new webhook leaves out what is old",
        {GIVEN_UP.replace("refused", "skipped"): "_x20 900x10"},
    ),
    Row(
        "FrameCueWebhookLate", "minutes",
        histogram(
            "framecue_webhook_delay_seconds",
            f'{NOTIFIER}, webhook="desk"',
            {"60.0": 85, "300.0": 100, "+Inf": 100},
            minutes=60,
        ),
        at="60m",
        labels={"webhook": "desk"},
        not_yet="10m",
        says="One event in ten reaches the webhook desk over 2m 19s after it was published.",
    ),
    Row(
        "FrameCueWebhookLate", "seconds",
        histogram(
            "framecue_webhook_delay_seconds",
            f'{NOTIFIER}, webhook="desk"',
            {"10.0": 50, "30.0": 100, "+Inf": 100},
            minutes=60,
        ),
        at="60m",
    ),
    Row(
        "FrameCueTracesLost", "the collector is away",
        {UP % ("otel-collector", "otel-collector"): "0x40"},
        at="40m",
        labels={"job": "otel-collector", "instance": "otel-collector:9464"},
        not_yet="10m",
        says="The collector at otel-collector:9464 has not answered for 15 minutes.",
    ),
    Row("FrameCueTracesLost", "it restarted", {UP % ("otel-collector", "otel-collector"): "0x10 1x30"}, at="40m"),
)  # fmt: skip


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    return found


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        yield from group["rules"]


ALERTS = {alert["alert"]: alert for alert in alerts()}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_row_that_fires_and_one_that_does_not(name: str) -> None:
    assert {bool(row.says) for row in ROWS if row.alert == name} == {True, False}


@pytest.mark.parametrize("name", [name for name, alert in ALERTS.items() if "for" in alert])
def test_alert_that_waits_has_a_row_that_says_so(name: str) -> None:
    assert any(row.not_yet for row in ROWS if row.alert == name)


def test_rows_are_of_alerts_that_exist() -> None:
    assert {row.alert for row in ROWS} == set(ALERTS)


def test_alerts_fire_as_their_rows_say(promtool: str, tmp_path: Path) -> None:
    """All in one process, each alert beside the rules that it rests on only: every rule is evaluated every minute."""
    files = []
    for name in ALERTS:
        rules, file = tmp_path / f"{name}.rules.yml", tmp_path / f"{name}.yml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": _rules_of(name)}]}))
        rows = [_test_group(row) for row in ROWS if row.alert == name]
        file.write_text(yaml.safe_dump({"rule_files": [rules.name], "tests": rows}, sort_keys=False))
        files.append(file)
    command = [promtool, "test", "rules", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def _rules_of(name: str) -> list[dict[str, Any]]:
    """What is recorded for an alert, and the alert."""
    groups = [group for file in RULES for group in yaml.safe_load((FOLDER / file).read_text())["groups"]]
    recording = [rule for group in groups for rule in group["rules"] if "record" in rule]
    return [*(rule for rule in recording if rule["record"] in names_in(ALERTS[name]["expr"])), ALERTS[name]]


def _test_group(row: Row) -> dict[str, Any]:
    rule = ALERTS[row.alert]
    fired = {
        "exp_labels": rule["labels"] | row.labels,
        "exp_annotations": rule["annotations"] | {"description": row.says},
    }
    return {
        "name": f"{row.alert}: {row.why}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in row.series.items()],
        "alert_rule_test": [
            *([{"eval_time": row.not_yet, "alertname": row.alert, "exp_alerts": []}] if row.not_yet else []),
            {"eval_time": row.at, "alertname": row.alert, "exp_alerts": [fired] if row.says else []},
        ],
    }


@pytest.mark.parametrize("name", ALERTS)
def test_alert_is_told_with_what_a_person_needs(name: str) -> None:
    alert = ALERTS[name]
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(alert["labels"]) == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook"}
    assert "{{" not in notes["summary"], "the summary is what alerts are grouped by"
    path, _, anchor = notes["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (REPO / path).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", RULES)
def test_rules_rest_on_metrics_that_exist(name: str) -> None:
    rules = [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]
    recorded = {
        rule["record"]
        for file in RULES
        for group in yaml.safe_load((FOLDER / file).read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    known = exposed() | recorded | EXPOSED_BY_PROCESSES | EXPOSED_BY_PROMETHEUS
    assert {rule["expr"]: unknown for rule in rules if (unknown := names_in(rule["expr"]) - known)} == {}


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_says_what_to_do_first(name: str) -> None:
    text = (REPO / "deploy" / "docs" / "operators.md").read_text()
    section = text.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == ["1", "2", "3"]
    assert ALERTS[name]["annotations"]["summary"] in section
