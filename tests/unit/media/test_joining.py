"""Clips of any size become one film that can be cut where it should be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from framecue.media.joining import FilmFormat, Part, join_clips
from framecue.media.segmenting import cut, probe
from tests.support.clips import make_clip

FILM = FilmFormat(width=96, height=72)


def parts(folder: Path) -> list[Part]:
    make_clip(folder / "wide.mp4", seconds=1, fps=10, size=(160, 60), container="mp4")
    make_clip(folder / "tall.mp4", seconds=3, fps=30, size=(50, 90), container="mp4")
    return [Part(folder / "wide.mp4"), Part(folder / "tall.mp4", skip_seconds=1)]


def test_join_fills_each_part_and_cuts_at_its_key_frames(tmp_path: Path) -> None:
    film = join_clips(parts(tmp_path), part_seconds=4, film=FILM)
    info = probe(film)
    assert (info.width, info.height, info.rate) == (96, 72, 25)
    assert [(s.start, s.end) for s in cut(film, target_seconds=Fraction(2))] == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_join_gives_the_same_bytes_again(tmp_path: Path) -> None:
    given = parts(tmp_path)
    assert join_clips(given, part_seconds=2, film=FILM) == join_clips(given, part_seconds=2, film=FILM)
