"""What the note beside an offset tells whoever comes next."""

from __future__ import annotations

import pytest

from framecue.broker.attempts import Attempts


@pytest.mark.parametrize(
    ("stored", "committed", "end", "at_once", "now", "reason"),
    [
        (0, 10, 20, 1 << 30, 1, "nobody died"),
        (1, 10, 20, 6, 2, "the first attempt never ended"),
        (2, 10, 20, 1, 3, "nor did the second"),
        (3, 10, 20, 1, 4, "the third was the last"),
        (1, 20, 20, 1 << 30, 1, "there was nothing to die of"),
        (1, 19, 20, 6, 2, "one record, or a marker"),
    ],
)
def test_seen(stored: int, committed: int, end: int, at_once: int, now: int, reason: str) -> None:
    attempts = Attempts.seen(stored, committed=committed, end=end)
    assert (attempts.at_once, attempts.now(committed)) == (at_once, now), reason


def test_what_came_later_is_not_suspect() -> None:
    attempts = Attempts.seen(1, committed=10, end=11)
    assert (attempts.is_suspect(10), attempts.is_suspect(11), attempts.now(11)) == (True, False, 1)


def test_suspicion_goes_on_until_all_that_may_have_been_under_way_is_done() -> None:
    attempts = Attempts.seen(1, committed=10, end=13)
    assert [attempts.pass_by(offset) for offset in (11, 12, 13, 14)] == [1, 1, 1, 1]
    assert attempts.at_once > 1_000


def test_a_death_beside_what_was_not_begun_is_not_counted() -> None:
    """After its second attempt is done; what is left before `end` may be a marker that is never read."""
    attempts = Attempts.seen(1, committed=10, end=13)
    attempts.stored = attempts.now(10)
    noted = attempts.pass_by(11)
    again = Attempts.seen(noted, committed=11, end=14)
    assert (attempts.died, again.died, again.now(11)) == (1, 1, 2)


def test_after_a_record_that_was_given_up_its_neighbours_are_tried_as_ever() -> None:
    attempts = Attempts.seen(3, committed=10, end=30)
    assert attempts.pass_by(11) == 1
    assert not attempts.is_suspect(11)


def test_the_first_record_is_suspect_behind_any_markers_and_not_when_it_came_later() -> None:
    attempts = Attempts.seen(3, committed=10, end=90)
    attempts.reach(80)
    assert (attempts.now(80), attempts.now(81)) == (4, 1)
    attempts = Attempts.seen(3, committed=10, end=11)
    attempts.reach(11)
    assert attempts.now(11) == 1


def test_what_failed_is_tried_with_less_at_once() -> None:
    attempts = Attempts(1)
    attempts.suspect(40, tried=32)
    assert (attempts.at_once, attempts.is_suspect(39), attempts.died) == (5, True, 0)
    attempts.suspect(12, tried=5)
    assert attempts.at_once == 1
