"""A film in pieces, with its words in the headers of the pieces in which they are said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from framecue.errors import SubtitleError
from framecue.media.segmenting import probe
from framecue.schemas.segment import CueIn, SegmentHeaders, segment_headers
from framecue_services.cli.film import SESSION, read_words, segments, sidecars
from tests.support.clips import Line, TextTrack, make_clip

SRT = "1\n00:00:00,500 --> 00:00:01,500\nhello\n"


def said(start_ms: int) -> CueIn:
    return CueIn(start_ms=start_ms, end_ms=start_ms + 500, text=f"at {start_ms}")


def headers(film: bytes, cues: list[CueIn], *, lag_ms: int = 0) -> list[SegmentHeaders]:
    return [h for _, h in segments(film, cues, seconds=Fraction(2), lag_ms=lag_ms)]


@pytest.fixture(scope="module")
def film() -> bytes:
    return make_clip(seconds=6, fps=10, size=(64, 36), container="mpegts", start=Fraction(10))


def test_pieces_are_numbered_timed_and_the_last_one_ends(film: bytes) -> None:
    assert [(h.session, h.seq, h.start, h.end) for h in headers(film, [])] == [
        (SESSION, 0, 0, False),
        (SESSION, 1, 2, False),
        (SESSION, 2, 4, True),
    ]


@pytest.mark.parametrize(
    ("start_ms", "lag_ms", "piece"),
    [
        (1999, 0, 0),
        (2000, 0, 1),  # half-open
        (-500, 0, 0),  # said before the first picture
        (60_000, 0, 2),  # said after the film: with the last piece
        (4500, 3000, 0),  # appears in the third piece, was said in the first
    ],
)
def test_a_cue_goes_with_the_piece_in_which_it_is_said(film: bytes, start_ms: int, lag_ms: int, piece: int) -> None:
    found = [[c.start_ms for c in h.cues] for h in headers(film, [said(start_ms)], lag_ms=lag_ms)]
    assert found == [[start_ms] if i == piece else [] for i in range(3)]


def test_no_cue_is_lost_when_more_start_together_than_one_header_holds(film: bytes) -> None:
    counts = [len(h.cues) for h in headers(film, [said(i) for i in range(1999)] + [said(1999)] * 1001)]
    assert counts == [2000, 1000, 0]


def test_a_header_stays_within_the_message_however_long_the_cues_are(film: bytes) -> None:
    long = [CueIn(start_ms=i, end_ms=i, text="\U0001f600" * 10_000) for i in range(60)]
    assert [len(h.cues) for h in headers(film, long)] == [26, 26, 8]
    sent = [segment_headers(h) for _, h in segments(film, long, seconds=Fraction(2))]
    assert max(len(value) for h in sent for _, value in h) < 2 << 20


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("film.srt", True),
        ("film.EN.VTT", True),
        ("film.pt-br.ass", True),
        ("film2.srt", False),  # another film
        ("film.part.two.srt", False),
        ("film.txt", False),  # may be anything
        ("film.json", False),
    ],
)
def test_sidecars_are_the_documents_with_the_films_name(tmp_path: Path, name: str, found: bool) -> None:
    (tmp_path / name).write_text(SRT)
    assert sidecars(tmp_path / "film.mkv") == ((tmp_path / name,) if found else ())


def test_words_come_in_media_time_from_the_film_and_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    track = TextTrack((Line(11_000, 12_000, "from the film"),))
    make_clip(path, seconds=3, fps=10, size=(64, 36), container="matroska", start=Fraction(10), texts=(track,))
    (tmp_path / "film.fr.srt").write_text(SRT)
    words = read_words(path, (), found=sidecars(path), info=probe(path))
    assert [(c.start_ms, c.text, c.language) for c in words.cues] == [
        (500, "hello", "fr"),
        (1000, "from the film", "eng"),
    ]
    assert len(words.sources) == 2


def test_a_broken_document_is_an_error_when_asked_for_and_a_warning_when_only_found(tmp_path: Path) -> None:
    path, words = tmp_path / "film.ts", tmp_path / "film.srt"
    make_clip(path, seconds=2, fps=10, size=(64, 36))
    words.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(SubtitleError, match=r"film\.srt"):
        read_words(path, (words,), info=probe(path))
    read = read_words(path, (), found=(words,), info=probe(path))
    assert read.cues == ()
    assert "film.srt" in read.warnings[0]
