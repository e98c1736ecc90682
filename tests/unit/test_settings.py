"""Settings: what wins, what is refused and how it says so, and that the example file is current."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from framecue.analysis.settings import MachineSettings
from framecue.errors import SetupError
from framecue.media.decoding import DecodeLimits
from framecue.media.sampling import Sampling
from framecue.settings import AnalysisSettings, Settings, load_settings, main, variables
from tests.support.paths import REPO

EXAMPLE = REPO / "deploy" / ".env.example"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _hook(url: str) -> str:
    return json.dumps([{"name": "ops", "url": url, "secret": "0123456789abcdef"}])


def test_defaults_are_the_designs() -> None:
    settings = load_settings()
    assert settings.analysis.machine() == MachineSettings(settle_after_ms=10_000)
    assert settings.sampling.plan() == Sampling()
    assert settings.ingest.limits() == DecodeLimits()
    assert (settings.model.name, settings.model.device) == ("default", "auto")


def test_variable_wins_over_file_field_by_field(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "framecue.yaml").write_text("analysis: {window_ms: 4000, lag_ms: 3000}\nmodel: {device: cpu}")
    monkeypatch.setenv("FRAMECUE_ANALYSIS__WINDOW_MS", "1000")
    settings = load_settings()
    assert (settings.analysis.window_ms, settings.analysis.lag_ms) == (1000, 3000)
    assert settings.model.device == "cpu"


@pytest.mark.parametrize(
    ("name", "value", "section", "field", "expected"),
    [
        ("FRAMECUE_SAMPLING__PER_SECOND", "2.5", "sampling", "per_second", Fraction(5, 2)),
        ("FRAMECUE_SAMPLING__PER_SECOND", "30/7", "sampling", "per_second", Fraction(30, 7)),
        ("FRAMECUE_MODEL__DETERMINISTIC", "true", "model", "deterministic", True),
        ("FRAMECUE_MODEL__NAME", "123", "model", "name", "123"),
        ("framecue_model__name", "x", "model", "name", "x"),
        ("FRAMECUE_ANALYSIS__SETTLE_MS", "", "analysis", "settle_ms", None),
        ("FRAMECUE_ANALYSIS__SETTLE_MS", "12000", "analysis", "settle_ms", 12000),
    ],
)
def test_variable_sets(
    name: str, value: str, section: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(getattr(load_settings(), section), field) == expected


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FRAMECUE_ANALYSIS__WINDOWS_MS", "FRAMECUE_ANALYSIS__WINDOW_MS"),
        ("FRAMECUE_WINDOW_MS", "FRAMECUE_ANALYSIS__WINDOW_MS"),
        ("FRAMECUE_MODEL_NAME", "FRAMECUE_MODEL__NAME"),
        ("FRAMECUE_INGEST__MAX_PIXEL", "FRAMECUE_INGEST__MAX_PIXELS"),
        ("FRAMECUE_ANALYSIS", "FRAMECUE_ANALYSIS__"),
    ],
)
def test_misspelt_variable_names_the_nearest(name: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SetupError, match=f"there is no setting {name}; the nearest is {nearest}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FRAMECUE_ANALYSIS__WINDOW_MS", "499", "analysis.window_ms .FRAMECUE_ANALYSIS__WINDOW_MS.: .*or equal to 500"),
        ("FRAMECUE_ANALYSIS__WINDOW_MS", "2s", "valid integer"),
        ("FRAMECUE_ANALYSIS__SETTLE_MS", "30001", "or equal to 30000"),
        ("FRAMECUE_ANALYSIS__SETTLE_MS", "9000", r"settle_ms \(9000\) must be at least reorder_ms \(10000\)"),
        ("FRAMECUE_SAMPLING__MODE", "all", "'exact' or 'keyframes'"),
        ("FRAMECUE_SAMPLING__PER_SECOND", "0", "greater than 0"),
        ("FRAMECUE_SAMPLING__PER_SECOND", "often", "per_second"),
        ("FRAMECUE_SAMPLING__PER_SECOND", "1/0", "per_second"),
        ("FRAMECUE_MODEL__DEVICE", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("FRAMECUE_NOTIFIER__BACKOFF_MAX_MS", "999", r"backoff_max_ms \(999\) must be at least backoff_ms \(1000\)"),
        ("FRAMECUE_NOTIFIER__WEBHOOKS", _hook("https://me:word@a.example/"), "names a user or password"),
        ("FRAMECUE_NOTIFIER__WEBHOOKS", _hook("https://:8443/"), "names no host"),
        ("FRAMECUE_NOTIFIER__WEBHOOKS", _hook("https://a.example:99999/"), "Port out of range"),
    ],
)
def test_value_out_of_bounds(name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError, match=sentence):
        load_settings()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("analysis: {window: 1}", "there is no setting analysis.window; the nearest is analysis.window_ms"),
        ("analyses: {}", "there is no setting analyses; the nearest is analysis"),
        ("2: 3", "there is no setting 2"),
        ("a: 2026-99-99", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("analysis: [", "cannot be read"),
        ("- a", "must hold sections such as `analysis:`, not a list"),
        ("analysis: 3", "the setting analysis"),
        ("analysis: {idle_ms: 10000, signal_lost_ms: 20000}", "must be at least signal_lost_ms"),
    ],
)
def test_file_when_bad(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SetupError, match=sentence):
        load_settings(tmp_path / "mine.yaml")


def test_file_when_missing(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"mine\.yaml cannot be read"):
        load_settings(tmp_path / "mine.yaml")


def test_file_when_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# nothing yet\n")
    assert load_settings(tmp_path / "mine.yaml") == Settings()


@pytest.mark.parametrize(
    ("given", "settles", "reason"),
    [
        ({}, 10_000, "lag 0 + 10 s"),
        ({"lag_ms": 3000}, 13_000, "lag + 10 s"),
        ({"lag_ms": 3000, "settle_ms": 11_000}, 11_000, "said outright"),
        ({"reorder_ms": 20_000}, 20_000, "never below reorder"),
        ({"lag_ms": 20_000, "reorder_ms": 30_000}, 30_000, "never above 30 s"),
    ],
)
def test_settle_follows_from_lag(given: dict[str, int], settles: int, reason: str) -> None:
    assert AnalysisSettings.model_validate(given).machine().settle_ms == settles, reason


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().analysis.window_ms = 1  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    assert [name for name, field in variables().items() if not field.description] == []


def test_example_is_current_and_able_to_fail(tmp_path: Path) -> None:
    assert main(["--check", str(EXAMPLE)]) == 0
    (tmp_path / "old").write_text(EXAMPLE.read_text() + "#FRAMECUE_OLD=1\n")
    assert main(["--check", str(tmp_path / "old")]) == 1


def test_example_gives_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line[1:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#FRAMECUE_")]
    for name, value in (line.split("=", 1) for line in lines):
        monkeypatch.setenv(name, value)
    assert load_settings() == Settings.model_construct()
    assert len(lines) == len(variables())


PRIVATE = "whsec_not-for-logs"


def test_webhooks_that_are_no_json_are_a_sentence_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMECUE_NOTIFIER__WEBHOOKS", f'[{{"name": "ops", "secret": "{PRIVATE}"}}')
    with pytest.raises(SetupError, match="FRAMECUE_NOTIFIER__WEBHOOKS must hold a list as JSON") as told:
        load_settings()
    assert PRIVATE not in str(told.value)


def test_file_that_cannot_be_read_is_not_quoted(empty_folder: Path) -> None:
    (empty_folder / "framecue.yaml").write_text(f"notifier:\n  webhooks: [{{secret: {PRIVATE}")
    with pytest.raises(SetupError, match=r"framecue\.yaml cannot be read: .* in line 2") as told:
        load_settings()
    assert PRIVATE not in str(told.value)


def test_a_webhook_names_the_variable_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMECUE_NOTIFIER__WEBHOOKS", json.dumps([{"name": "ops", "url": "https://a/", "secret": "x"}]))
    with pytest.raises(SetupError, match=r"webhooks\.0\.secret \(FRAMECUE_NOTIFIER__WEBHOOKS\)"):
        load_settings()
