"""Words on the time axis: which clock they were told by, what waits, what is joined, when their source fell silent."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from framecue.analysis.machine import Refused
from framecue.analysis.spaces import to_wire
from framecue.analysis.words import CHUNK_CUES, OFFSETS, PENDING_MAX, PENDING_MAX_BYTES, Cue, Shelf, TextClock
from framecue.schemas.features import CueFeatures
from framecue.schemas.media import Origin
from tests.support.script import feed, latest, machine, reborn
from tests.support.streams import DIALS, Log, cue, rule, rules

WRAP = Fraction(2**33, 90_000)
NOON = 1_700_000_000_000


def at(arrival_ms: int | None) -> Origin:
    return Origin(topic="framecue.subtitles", partition=0, offset=0, at_ms=arrival_ms)


def told(start_ms: int, end_ms: int, source: str = "document") -> Cue:
    return Cue(start_ms, end_ms, "words", "", source, 0, b"")  # type: ignore[arg-type]


def clock(*delays_ms: int, captured_ms: int | None = None) -> TextClock:
    """A clock that has seen a segment of 2 s for each delay between its end in media time and its arrival."""
    made = TextClock()
    for n, delay in enumerate(delays_ms):
        end = 2000 * (n + 1)
        made.accept(begin_ms=end - 2000, end_ms=end, append_ms=end + delay, captured_at_ms=captured_ms)
        captured_ms = None
    return made


@pytest.mark.parametrize(("words", "given", "own_s", "near_s", "expected"), [
    pytest.param(cue(1000, 2000, "", clock="start"), clock(500), 5, 0, (1000, 2000), id="start: media time"),
    pytest.param(
        cue(1000, 2000, "", clock="container"), clock(500), Fraction(-1, 3), 0, (667, 1667),
        id="container: the segment's own clock, exact until the end",
    ),
    pytest.param(
        cue(101_000, 102_000, "", clock="mpegts"), clock(500), -100, 101, (1000, 2000),
        id="mpegts: X-TIMESTAMP-MAP ticks are the own clock",
    ),
    pytest.param(
        cue(500, 1500, "", clock="mpegts"), clock(500), -(WRAP - 1), WRAP + 2, (1500, 2500),
        id="mpegts: ticks wrap where the picture's do",
    ),
    pytest.param(
        cue(NOON + 3000, NOON + 4000, "", clock="wall"), clock(500, captured_ms=NOON), 0, 0, (3000, 4000),
        id="wall: when a segment says it was captured",
    ),
    pytest.param(
        cue(3500, 4500, "", clock="wall"), clock(500), 0, 0, (3000, 4000),
        id="wall: else by when segments arrived",
    ),
    pytest.param(cue(3500, 4500, "", clock="wall"), clock(), 0, 0, None, id="wall: nothing maps it"),
    pytest.param(cue(0, 0, "", clock="live"), clock(500, 500), 0, 0, (4500, 4500), id="live: an instant by arrival"),
    pytest.param(
        cue(0, 0, "", clock="live"), clock(9000, 500, 700, 8000), 0, 0, (4300, 4300),
        id="live: less the lower median",
    ),
    pytest.param(
        cue(0, 0, "", clock="live"), clock(500, captured_ms=NOON), 0, 0, (4500, 4500),
        id="live: by arrival even where capture times are known",
    ),
    pytest.param(cue(0, 0, "", clock="live"), clock(), 0, 0, None, id="live: no segment came yet"),
])  # fmt: skip
def test_resolve(
    words: CueFeatures, given: TextClock, own_s: Fraction, near_s: Fraction, expected: tuple[int, int] | None
):
    assert given.resolve(words, origin=at(5000), own=Fraction(own_s), own_near=Fraction(near_s)) == expected


def test_a_live_line_without_an_arrival_has_no_place():
    line = cue(0, 0, "", clock="live")
    assert clock(500).resolve(line, origin=at(None), own=Fraction(0), own_near=Fraction(0)) is None


def test_the_median_is_over_the_last_64_segments():
    assert clock(*[90_000] * 40, *[500] * OFFSETS).offsets == [500] * OFFSETS


def test_the_shelf_joins_what_begins_before_the_horizon_and_keeps_the_rest():
    shelf = Shelf()
    now = shelf.put([told(5000, 6000), told(1000, 2000), told(2000, 3000)], 2000)
    assert [c.start_ms for c in now] == [1000]
    assert shelf.load[0] == 2
    assert [c.start_ms for c in shelf.advance(2000)] == []
    assert [c.start_ms for c in shelf.advance(2001)] == [2000]
    assert [c.start_ms for c in shelf.joined] == [1000, 2000]
    assert [c.start_ms for c in shelf.advance(9000)] == [5000]
    assert (shelf.pending, shelf.load) == ({}, (0, 0))


def test_the_order_of_arrival_plays_no_part_in_what_is_joined():
    cues = [told(at, at + 500) for at in (3000, 1000, 2000)]
    one, other = Shelf(), Shelf()
    one.put(cues, 10_000)
    for c in reversed(cues):
        other.put([c], 0)
    other.advance(10_000)
    assert one.joined == other.joined


def test_pending_cues_lie_in_chunks_that_keep_their_numbers():
    shelf = Shelf()
    shelf.put([told(at, at + 1) for at in range(CHUNK_CUES + 10)], 0)
    shelf.put([told(9000, 9001)], 0)
    assert {n: len(cues) for n, cues in shelf.pending.items()} == {0: CHUNK_CUES, 1: 10, 2: 1}
    shelf.advance(CHUNK_CUES + 1)
    assert {n: len(cues) for n, cues in shelf.pending.items()} == {1: 9, 2: 1}
    shelf.put([told(9100, 9101)], 0)
    assert list(shelf.pending) == [1, 2, 3]


@pytest.mark.parametrize(("cues", "before_ms", "expected"), [
    ([told(0, 30_000, "live")], 90_000, 30_000),
    ([told(0, 30_000, "container"), told(40_000, 50_000)], 90_000, 30_000),
    ([told(0, 30_000, "container"), told(80_000, 81_000, "container")], 60_000, 30_000),
    ([told(0, 30_000, "document"), told(0, 1000, "header")], 90_000, None),
], ids=["live", "a document beside it", "a later cue is not known yet", "documents are never lost"])  # fmt: skip
def test_last_losable_end(cues: list[Cue], before_ms: int, expected: int | None):
    shelf = Shelf()
    shelf.put(cues, 100_000)
    assert shelf.last_losable_end(before_ms) == expected


def test_what_is_forgotten_still_tells_when_its_source_spoke_last():
    shelf = Shelf()
    shelf.put([told(0, 30_000, "live"), told(20_000, 40_000)], 100_000)
    shelf.forget(60_000)
    assert (shelf.joined, shelf.last_losable_end(90_000)) == ([], 30_000)


def test_a_cue_that_ends_where_the_kept_begin_is_kept():
    shelf = Shelf()
    shelf.put([told(0, 2000), told(0, 1999)], 100_000)
    shelf.forget(2000)
    assert [c.end_ms for c in shelf.joined] == [2000]


# caps: what waits for its picture is bounded, and refused with a reason


@pytest.mark.parametrize("open_run", [False, True], ids=["no run yet", "a run is open"])
def test_more_cues_than_may_wait_are_refused(open_run: bool):
    log, fold = Log(), machine()
    feed(fold, [log.segment(0, 2000)] if open_run else [])
    far = [cue(3_600_000 + n, 3_600_001 + n, "x") for n in range(PENDING_MAX)]
    assert feed(fold, [log.text(*far)]) == []
    (refused,) = feed(fold, [log.text(cue(5_000_000, 5_000_001, "one more"))])
    assert isinstance(refused, Refused)
    assert f"{PENDING_MAX + 1} cues" in refused.reason
    assert [c.text for c in refused.cues] == ["one more"]


def test_more_bytes_than_may_wait_are_refused():
    log, fold = Log(), machine()
    (refused,) = feed(fold, [log.text(*(cue(n, n + 1, "x" * 10_000) for n in range(PENDING_MAX_BYTES // 10_000)))])
    assert isinstance(refused, Refused)
    assert refused.origin.topic == "framecue.subtitles"


def test_what_was_joined_makes_room():
    log, fold = Log(), machine()
    near = [cue(n, n + 1, "x") for n in range(PENDING_MAX)]
    feed(fold, [log.text(*near), log.segment(0, 30_000)])
    assert feed(fold, [log.text(*(cue(3_600_000 + n, 3_600_001 + n, "x") for n in range(PENDING_MAX)))]) == []


def test_pending_words_outlive_a_restore_and_keep_their_vectors():
    log, fold = Log(), machine()
    vector = to_wire(np.arange(DIALS))
    later = cue(5000, 6000, "later", source="live").model_copy(update={"vector": vector, "language": "en"})
    feed(fold, [log.segment(0, 2000), log.text(later, lag_ms=1000)])
    last = list(latest(feed(reborn(fold), [log.segment(2000, 6000)])).values())
    (joined,) = last[1].text.cues
    assert (joined.start_ms, joined.end_ms, joined.lag_ms) == (4000, 5000, 1000)
    assert (joined.text, joined.language, joined.source) == ("later", "en", "live")
    assert last[1].text.lag_ms == 1000


def test_a_cue_without_a_vector_counts_where_a_pattern_matches():
    log = Log()
    mute = cue(0, 1000, "what a goal").model_copy(update={"vector": b""})
    out = latest(feed(machine(), [rules(rule("x", text=["/goal/", "joy"])), log.segment(0, 2000, cues=[mute])]))
    assert [r.text for a in out.values() for r in a.rules] == [1.0]
