"""`framecue analyze` over whole films: what comes out, byte for byte, and what is said where a film is no use."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from framecue.analysis.spaces import ClosedSpace
from framecue.errors import MediaError, RulesError, SubtitleError, UnsupportedMediaError
from framecue_services.cli.analyze import AnalyzeRequest, analyze_film
from tests.support.clips import Line, Picture, TextTrack, make_clip
from tests.support.encoders import PALETTE, light_model

PARTS = ("red", "green", "blue")
SECONDS = 4
RULES = """
scenes:
  - labels: [red, green, blue, yellow]
events:
  - {name: green seen, picture: [green]}
  - {name: goal said, text: [he scores a goal]}
  - {name: blue goal, picture: [blue], text: [he scores a goal], combine: both, tolerance: 0}
"""
SRT = "1\n00:00:00,500 --> 00:00:01,500\nhe scores a goal\n\n2\n00:00:08,500 --> 00:00:09,500\nhe scores a goal\n"


def coloured(index: int, at: Fraction) -> Picture:
    """Red, green and blue, four seconds each."""
    return np.full((90, 160, 3), PALETTE[PARTS[min(int(at) // SECONDS, 2)]], np.uint8)


def make_film(folder: Path, *, name: str = "film.mkv", container: Any = "matroska", **more: Any) -> Path:
    path = folder / name
    make_clip(path, **{"seconds": 12, "size": (160, 90), "container": container, "pattern": coloured} | more)
    return path


def analyze(film: Path, **asked: Any) -> tuple[list[dict[str, Any]], str]:
    """The results as JSON values, and what was said beside."""
    out, said = analyze_to_bytes(film, **asked)
    return [json.loads(line) for line in out.splitlines()], said


def analyze_to_bytes(film: Path, **asked: Any) -> tuple[bytes, str]:
    """The results as they leave, and what was said beside."""
    rules = film.parent / "rules.yaml"
    rules.write_text(RULES)
    out, err = io.BytesIO(), io.StringIO()
    request = replace(AnalyzeRequest(film=film, rules=rules, segment_seconds=2), **asked)
    analyze_film(request, load=lambda _: light_model(), out=out, err=Console(file=err, width=300))
    return out.getvalue(), err.getvalue()


def scenes(results: Sequence[dict[str, Any]]) -> list[str]:
    """The label of each window, as it ended."""
    last = {r["start_ms"]: r["scene"]["label"] for r in results if r["type"] == "annotation"}
    return [last[at] for at in sorted(last)]


def spans(results: Sequence[dict[str, Any]]) -> set[tuple[str, int, int]]:
    """The rules' events as they ended: rule, start, end."""
    last = {r["id"]: r for r in results if r["type"] == "event" and not r["rule"].startswith("framecue.")}
    return {(r["rule"], r["start_ms"], r["end_ms"]) for r in last.values()}


def test_a_film_with_subtitles_beside_it(tmp_path: Path) -> None:
    film = make_film(tmp_path)
    (tmp_path / "film.en.srt").write_text(SRT)
    (tmp_path / "film2.srt").write_text(SRT)
    results, said = analyze(film)
    assert scenes(results) == ["red", "red", "green", "green", "blue", "blue"]
    assert spans(results) == {
        ("goal said", 0, 2000),
        ("green seen", 4000, 8000),
        ("goal said", 8000, 10_000),
        ("blue goal", 8000, 10_000),
    }
    assert "2 lines from film.en.srt" in said
    assert "film2" not in said


def test_text_in_the_film_gives_what_a_document_beside_it_gives(tmp_path: Path) -> None:
    lines = (Line(500, 1500, "he scores a goal"), Line(8500, 9500, "he scores a goal"))
    results, said = analyze(make_film(tmp_path, texts=(TextTrack(lines),)), subtitles=())
    assert ("blue goal", 8000, 10_000) in spans(results)
    assert "2 lines from the film's own text tracks" in said


def test_lag_moves_the_words_back(tmp_path: Path) -> None:
    film = make_film(tmp_path)
    late = tmp_path / "late.srt"
    late.write_text("1\n00:00:11,500 --> 00:00:12,500\nhe scores a goal\n")
    results, _ = analyze(film, subtitles=(late,), lag_ms=3000)
    assert ("blue goal", 8000, 10_000) in spans(results)
    cues = [cue for r in results if r["type"] == "annotation" for cue in r["text"]["cues"]]
    assert {(c["start_ms"], c["lag_ms"]) for c in cues} == {(8500, 3000)}


def test_two_runs_are_equal_to_the_byte_and_so_are_their_reports(tmp_path: Path) -> None:
    film = make_film(tmp_path)
    (tmp_path / "film.srt").write_text(SRT)
    first, second = (analyze_to_bytes(film, report=tmp_path / name)[0] for name in ("a.html", "b.html"))
    assert first == second
    assert first
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("container", ["mpegts", "mp4", "fmp4"])
def test_the_container_changes_nothing(tmp_path: Path, container: str) -> None:
    (tmp_path / "film.srt").write_text(SRT)
    results = analyze(make_film(tmp_path), segment_seconds=6)[0]
    again = analyze(make_film(tmp_path, name="film.bin", container=container))[0]
    decided = [spans(r) for r in (results, again)]
    assert decided[0] == decided[1]
    assert scenes(results) == scenes(again)


def test_a_stream_id_comes_from_the_name_of_the_film(tmp_path: Path) -> None:
    results, _ = analyze(make_film(tmp_path, name="My film (1).mkv"))
    assert {r["stream"] for r in results} == {"My-film-1"}


def test_a_group_of_pictures_beyond_the_limit_is_refused_with_a_sentence(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    make_clip(film, seconds=40, fps=5, size=(64, 36), container="matroska", gop=1000)
    with pytest.raises(UnsupportedMediaError, match="without re-encoding"):
        analyze(film)


def test_a_film_that_breaks_off_is_analysed_as_far_as_it_goes(tmp_path: Path) -> None:
    film = make_film(tmp_path, seconds=24, fps=10, gop=10, pattern="noise")
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 5])
    results, said = analyze(film)
    warning = "the film says that it lasts 24.0 s, but its pictures end after"
    told = [r["message"] for r in results if r["type"] == "event" and r["rule"] == "framecue.warning"]
    assert [message for message in told if warning in message]
    assert warning in said
    last = {r["start_ms"]: r for r in results if r["type"] == "annotation"}
    assert sorted(last) == [0, 2000, 4000, 6000, 8000]


def test_a_film_of_which_no_segment_can_be_used_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMECUE_INGEST__MAX_FRAMES", "10")
    with pytest.raises(MediaError, match=r"film\.mkv gave no picture: .* limit of 10"):
        analyze(make_film(tmp_path))


def test_a_film_is_settled_to_its_end_where_a_piece_near_it_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "film.ts"
    parts = ((0, 8, 10), (8, 2, 30), (10, 2, 10))  # start, length, frames a second: more than the limit in the middle
    film.write_bytes(
        b"".join(
            make_clip(seconds=length, fps=fps, gop=2 * fps, size=(160, 90), start=Fraction(start), pattern=coloured)
            for start, length, fps in parts
        )
    )
    monkeypatch.setenv("FRAMECUE_INGEST__MAX_FRAMES", "40")
    results, said = analyze(film)
    last = {r["start_ms"]: r for r in results if r["type"] == "annotation"}
    assert last[10_000]["settled_until_ms"] == 12_000
    assert [at for at, r in last.items() if r["degraded"]] == [8000]
    gaps = [r for r in results if r["type"] == "event" and r["rule"] == "framecue.gap"]
    assert [(r["start_ms"], r["end_ms"]) for r in gaps] == [(8000, 10_000)]
    assert "not used: " in said


def test_pictures_asked_of_a_classifier_are_refused_with_a_sentence(tmp_path: Path) -> None:
    light = light_model()
    model = replace(light, space=ClosedSpace("closed", ("red",), 3, light.space.picture, light.space.text))
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with pytest.raises(RulesError, match="'green seen' asks for pictures in words, but this model is a classifier"):
        analyze_film(AnalyzeRequest(film=make_film(tmp_path), rules=rules), load=lambda _: model, out=io.BytesIO())


def test_pieces_are_as_long_as_the_settings_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMECUE_INGEST__MAX_SECONDS", "4")
    results, said = analyze(make_film(tmp_path), segment_seconds=6)
    assert scenes(results) == ["red", "red", "green", "green", "blue", "blue"]
    assert "not used" not in said


def test_the_number_of_decoders_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path)
    (tmp_path / "film.srt").write_text(SRT)
    ends = []
    for decoders in ("1", "3"):
        monkeypatch.setenv("FRAMECUE_INGEST__DECODERS", decoders)
        ends.append(sorted(analyze_to_bytes(film)[0].splitlines()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("words.sub", b"\x00\x00\x01\xba" + bytes(64), "words.sub is VobSub"),  # a bitmap format
        ("words.json", b'[{"at": "2026-01-31T12:00:00Z", "text": "hello"}]', "say no time in the film"),
        ("absent.srt", None, "absent.srt"),
    ],
)
def test_words_that_cannot_be_used_name_their_file(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    words = tmp_path / name
    if data is not None:
        words.write_bytes(data)
    with pytest.raises(SubtitleError, match=says):
        analyze(make_film(tmp_path), subtitles=(words,))
