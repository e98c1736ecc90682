"""The kill test, small: `make chaos` does the same for minutes, and restarts the servers as well."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.running import run
from tests.chaos.verifying import summary
from tests.support.fleet import Fleet

SECONDS, KILLS, SPEED = 10, 7, 2.0
"""As much media as 20 seconds have: streams of several runs, clocks that wrap and restart, two changes of rules."""


def test_nothing_is_lost_or_doubled_when_workers_are_killed(kafka: str, redis_url: str, tmp_path: Path) -> None:
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url) as fleet:
        verdict, killer = run(
            fleet, seed=7, seconds=SECONDS, kills=KILLS, streams=5, kafka=None, redis=None, speed=SPEED
        )
        assert not verdict.wrong, "\n".join([*verdict.wrong, summary(verdict.counts), fleet.logs()])
    assert killer.total >= KILLS
    assert len({point for _, point in killer.deaths}) > 2
