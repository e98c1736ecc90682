"""The pieces that `framecue push` sends, once and in endless rounds."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise

import pytest

from framecue.schemas.segment import CueIn
from framecue_services.cli.pushing import Piece, in_rounds
from tests.support.clips import make_clip

CUES = (CueIn(start_ms=500, end_ms=900, text="first"), CueIn(start_ms=2500, end_ms=2900, text="second"))


@pytest.fixture(scope="module")
def film() -> bytes:
    return make_clip(seconds=4, fps=10, size=(64, 36), container="mpegts")


def pieces(film: bytes, count: int, **more: object) -> list[Piece]:
    asked = {"seconds": Fraction(2), "session": "s", "warnings": ["no sound"], "rounds": "endless", **more}
    return list(islice(in_rounds(film, CUES, **asked), count))


def test_one_round_is_the_film_to_its_end(film: bytes) -> None:
    found = pieces(film, 9, rounds="one")
    assert [(p.headers.seq, p.headers.start, p.headers.end, p.start, p.end) for p in found] == [
        (0, 0, False, 0, 2),
        (1, 2, True, 2, 4),
    ]


def test_rounds_go_on_in_time_and_number_and_never_end(film: bytes) -> None:
    found = pieces(film, 7)
    assert [p.headers.seq for p in found] == list(range(7))
    assert [p.headers.start for p in found] == [p.start for p in found] == [0, 2, 4, 6, 8, 10, 12]
    assert all(before.end == after.start for before, after in pairwise(found)), "no gap, no overlap"
    assert not any(p.headers.end for p in found)
    assert {p.headers.session for p in found} == {"s"}
    assert found[0].data == found[2].data, "the same pictures again"


def test_words_move_with_their_round(film: bytes) -> None:
    said = [[(c.text, c.start_ms, c.end_ms) for c in p.headers.cues] for p in pieces(film, 4)]
    assert said == [
        [("first", 500, 900)],
        [("second", 2500, 2900)],
        [("first", 4500, 4900)],
        [("second", 6500, 6900)],
    ]


def test_what_cannot_be_read_of_the_film_is_said_once(film: bytes) -> None:
    assert [p.headers.warnings for p in pieces(film, 5)] == [("no sound",), (), (), (), ()]


def test_a_piece_told_more_is_the_same_otherwise(film: bytes) -> None:
    (piece,) = pieces(film, 1)
    told = piece.told(end=True, captured_at_ms=5)
    assert (told.headers.end, told.headers.captured_at_ms, told.headers.seq) == (True, 5, 0)
    assert told.data == piece.data
