"""`framecue analyze` as a user runs it: a process of its own, the default model, bytes on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framecue_services.cli.rules_file import shipped
from tests.support.footage import footage


@pytest.mark.model
def test_two_processes_with_the_default_model_write_equal_bytes(tmp_path: Path) -> None:
    """Sets are ordered otherwise in each, as they are from one run to the next."""
    rules, words = tmp_path / "rules.yaml", tmp_path / "words.srt"
    rules.write_text(shipped("demo-rules.yaml"))
    words.write_text("1\n00:00:01,000 --> 00:00:02,500\nThe traffic is heavy, take care.\n")
    film = footage("bigbuckbunny.mp4")
    command = [sys.executable, "-m", "framecue_services.cli", "analyze", film, "--subtitles", words, "--rules", rules]
    runs = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    (out, said), (again, _) = (run.communicate(timeout=200) for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert out == again
    assert said == b"framecue: 1 lines from words.srt (srt, utf-8)\n", "quiet, as stderr is no terminal"
    results = [json.loads(line) for line in out.splitlines()]
    assert {r["type"] for r in results} == {"annotation", "event", "caption"}
    assert {r["rule"] for r in results if r["type"] == "event"} >= {"animal in view", "traffic warning"}
