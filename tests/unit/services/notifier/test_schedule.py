"""When an event is tried again."""

from __future__ import annotations

import pytest

from framecue_services.notifier.schedule import Schedule


@pytest.mark.parametrize(
    ("attempts", "chance", "asked_s", "pause_s", "reason"),
    [
        (1, 0.0, None, 0.5, "half of the first at least"),
        (1, 0.999, None, 0.9995, "the whole of it at most"),
        (2, 0.0, None, 1.0, "twice as long"),
        (5, 0.0, None, 8.0, "and again"),
        (7, 0.0, None, 30.0, "up to the longest"),
        (10_000, 0.0, None, 30.0, "however often"),
        (1, 0.0, 7.0, 7.0, "what the receiver asks for"),
        (7, 0.0, 7.0, 30.0, "but no sooner than it would be"),
        (1, 0.0, 86_400.0, 600.0, "nor for days"),
    ],
)
def test_pause(attempts: int, chance: float, asked_s: float | None, pause_s: float, reason: str) -> None:
    assert Schedule().pause_s(attempts, chance=chance, asked_s=asked_s) == pytest.approx(pause_s), reason
