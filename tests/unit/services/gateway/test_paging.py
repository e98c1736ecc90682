"""Cursors: what was given reads back the same, and nothing else is taken for one."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from framecue_services.gateway.history import HistoryPlace
from framecue_services.gateway.paging import Place, cursor_of, place_of
from framecue_services.gateway.problems import Problem
from framecue_services.gateway.routes.events import NewsPlace
from framecue_services.gateway.routes.streams import StreamPlace

PLACES: list[Place] = [
    StreamPlace(at_ms=1, stream="cam1"),
    NewsPlace(at_ms=1, event="cam1/0/ゴール kick/-8000.2"),
    HistoryPlace(kind="annotation", shown=(1, -2000, 0)),
    HistoryPlace(kind="event", floor=(1, -2000, 1, "cam1/1/goal/-2000"), offset=7, at_ms=9, span_ms=1000),
    HistoryPlace(kind="caption"),
]


@pytest.mark.parametrize("place", PLACES, ids=repr)
def test_a_cursor_reads_back_the_same(place: Place) -> None:
    cursor = cursor_of(place)
    assert cursor.isascii()
    assert place_of(cursor, type(place)) == place


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[]",
        b'{"at_ms":1}',
        b'{"at_ms":"1","event":"a"}',  # a number as a word
        b'{"at_ms":1,"event":"a","more":1}',
        b'{"at_ms":-1,"event":"a"}',
        b'{"at_ms":1e400,"event":"a"}',
        b'{"at_ms":99999999999999999999,"event":"a"}',
        b'{"at_ms":1,"event":"\\ud800"}',
        b"\xff",
        b'{"at_ms":1,"stream":"cam1"}',  # of another list
    ],
)
def test_what_was_never_given_is_refused(said: bytes) -> None:
    with pytest.raises(Problem) as caught:
        place_of(urlsafe_b64encode(said).decode().rstrip("="), NewsPlace)
    assert caught.value.status == 400


@pytest.mark.parametrize("cursor", ["x", "%", "é", "=", "a=b"])
def test_what_is_no_base64_is_refused(cursor: str) -> None:
    with pytest.raises(Problem):
        place_of(cursor, NewsPlace)


def test_without_a_cursor_a_list_begins_anew() -> None:
    assert place_of(None, NewsPlace) is None
