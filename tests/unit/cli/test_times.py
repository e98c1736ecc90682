"""Times as people write and read them."""

from __future__ import annotations

import pytest

from framecue.errors import SetupError
from framecue_services.cli.times import ago, instant, later

NOW = 1_769_860_800_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "now"),
        ("oldest", "oldest"),
        ("90s", NOW - 90_000),
        ("15 min", NOW - 900_000),
        ("15m", NOW - 900_000),
        ("1.5h", NOW - 5_400_000),
        ("2D", NOW - 172_800_000),
        ("99999d", 0),  # before 1970: the oldest there can be
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
    ],
)
def test_an_instant_as_people_write_it(text: str, expected: int | str) -> None:
    assert instant(text, now_ms=NOW) == expected


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1y", "yesterday", "2026-01-31", "1h2", "1e9d"])
def test_anything_else_is_a_sentence_with_examples(text: str) -> None:
    with pytest.raises(SetupError, match="is no time; write 90s, 15m"):
        instant(text, now_ms=NOW)


@pytest.mark.parametrize(
    ("before_ms", "expected"),
    [
        (-5_000, "just now"),  # their clock is ahead of ours
        (0, "just now"),
        (2_000, "2 s ago"),
        (119_000, "119 s ago"),
        (120_000, "2 min ago"),
        (7_200_000, "2 h ago"),
        (172_800_000, "2 d ago"),
    ],
)
def test_how_long_ago(before_ms: int, expected: str) -> None:
    assert ago(NOW - before_ms, now_ms=NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW + 90_000),
        (" 30D ", NOW + 30 * 86_400_000),
        ("2026-02-01T12:00:00Z", NOW + 86_400_000),
    ],
)
def test_a_time_to_come_as_people_write_it(text: str, expected: int) -> None:
    assert later(text, now_ms=NOW) == expected


@pytest.mark.parametrize("text", ["", "now", "oldest", "0s", "2026-01-31T12:00:00Z", "2026-03-01", "999999d"])
def test_what_is_over_or_no_time_is_a_sentence(text: str) -> None:
    with pytest.raises(SetupError, match="write 12h, 30d or"):
        later(text, now_ms=NOW)
