"""The command line itself: quick help, one sentence per failure, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framecue_services.cli.__main__ import main

HEAVY = ("av", "jinja2", "kafka", "numpy", "onnxruntime", "redis", "torch", "transformers")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["framecue", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_help_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "framecue_services.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--help"], ["analyze", "demo", "models"]),
        (["analyze", "--help"], ["What to read", "What to look for", "Examples", "Exit codes"]),
        (["demo", "--help"], ["--embedded", "--output"]),
        (["models", "--help"], ["list", "pull", "check"]),
        (["--version"], ["framecue "]),
    ],
)
def test_help_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert [word for word in says if word not in shown] == []


def test_help_is_broken_where_the_terminal_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(monkeypatch, "push", "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "Nothing is encoded again" in line)
    assert not lines[start + 2].strip(), "two lines at this width, not three"


BROKEN_RULES = "scenes:\n  - labels: [a street]\nevents:\n  - name: goal\n    picturr: [a goal]\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["analyse"], 2, "No such command"),
        (["analyze"], 2, "Missing argument"),
        (["analyze", "film.mkv", "--lag", "99"], 2, "--lag"),
        (["analyze", "film.mkv", "--rules", "rules.yaml"], 2, "rules.yaml:5: events.0.picturr: no such setting"),
        (["analyze", "film.mkv", "--rules", "none.yaml"], 2, "none.yaml: cannot be read"),
        (["analyze", "film.mkv", "--stream", "a b"], 2, "no stream id"),
        (["analyze", "film.mkv", "--report", "nowhere/page.html"], 2, "there is no folder nowhere"),
        (["analyze", "film.mkv", "--report", "."], 2, "that is a folder; name a page in it"),
        (["analyze", "film.mkv", "--report", "./film.mkv"], 2, "that is what is read; name another page"),
        (["analyze", "film.mkv", "--subtitles", "a.srt", "--report", "a.srt"], 2, "that is what is read"),
        (["analyze", "film.mkv", "--model", ""], 2, "model.name (FRAMECUE_MODEL__NAME): String should have at least"),
        (["analyze", "absent.mkv"], 3, "absent.mkv cannot be read: no such file"),
        (["analyze", "."], 3, "cannot be read"),
        (["analyze", "film.mkv"], 3, "framecue: "),
        (["models", "pull", "no/such model!"], 2, "no preset"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_failure_is_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("film.mkv").write_bytes(b"no film at all \x1b[2J")
    Path("a.srt").write_text("")
    Path("rules.yaml").write_text(BROKEN_RULES)
    assert run(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert says in " ".join(shown.err.split())
    assert "Traceback" not in shown.err
    assert "\x1b" not in shown.err
    assert shown.out == ""
