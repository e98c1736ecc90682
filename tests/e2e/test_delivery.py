"""Workers that stop, die, join and fail, each a process on a real broker: nothing is lost, doubled or long in coming.

With the light model, and the shortest session time-out that Kafka has: 6 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from framecue.clock import SystemClock
from framecue.schemas.topics import partition_of
from tests.support.fleet import PARTITIONS, Fleet
from tests.support.light_service import Fault
from tests.support.watching import Watch, streams_on

SESSION_S = 6.0
TRANSACTION_S = 4.0
MARGIN_S = 12.0
"""For the broker to notice, the others to rejoin and restore, on a machine that does other things. Who waits for what
never comes waits for a minute."""
SLOW_S = 10.0
"""A model call that is longer than anything else here."""
JOIN_S = SLOW_S / 2
"""Who waits for the slow call waits for longer: it is hardly begun when the newcomer starts."""


@pytest.fixture
def fleet(tmp_path: Path, kafka: str, redis_url: str) -> Iterator[Fleet]:
    """Workers that nobody restarts."""
    settings = {"FRAMECUE_KAFKA__TRANSACTION_TIMEOUT_MS": f"{1_000 * TRANSACTION_S:.0f}"}
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, settings=settings, restart="never") as fleet:
        yield fleet


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_streams_go_on_when_their_worker_is_gone(fleet: Fleet, how: Literal["killed", "stopped"]) -> None:
    streams = streams_on(PARTITIONS)
    fleet.start("ingest"), fleet.start("fusion", "0"), fleet.start("fusion", "1")
    with Watch(fleet) as watch:
        fleet.until(fleet.ready)
        fleet.until(lambda: set(watch.owners("fusion").values()) == {"0", "1"})
        watch.push(streams, 0, 1)
        watch.wait_for(streams, 1)
        gone = fleet.worker("fusion", "0")
        watch.push(streams, 2)
        gone.kill() if how == "killed" else gone.stop()
        gone_s = time.monotonic()
        watch.push(streams, 3)
        watch.wait_for(streams, 3)
        assert time.monotonic() - gone_s < SESSION_S + MARGIN_S
        segments = 4
        if how == "stopped":
            assert time.monotonic() - gone_s > TRANSACTION_S, "others have its place, and what it began is given up"
            gone.cont()
            watch.push(streams, 4)
            fleet.until(lambda: set(watch.owners("fusion").values()) == {"0", "1"})
            watch.push(streams, 5)
            watch.wait_for(streams, 5)
            segments = 6
        watch.check(streams, segments)
        assert not watch.letters


def test_streams_wait_only_shortly_when_a_newcomer_joins_beside_a_slow_call(fleet: Fleet) -> None:
    streams = streams_on(PARTITIONS)
    slow = Fault(on_mark="wait", mark="slow", seconds=SLOW_S)
    fleet.start("ingest"), fleet.start("fusion", "0", fault=slow), fleet.start("fusion", "1", fault=slow)
    with Watch(fleet) as watch:
        fleet.until(fleet.ready)
        fleet.until(lambda: len(watch.owners("fusion")) == PARTITIONS)
        watch.push(streams, 0)
        watch.wait_for(streams, 0)
        before = watch.owners("fusion")
        watch.push(["slow"], 0)
        fleet.until(lambda: b"slow" in watch.read().media)
        newcomer = fleet.start("fusion", "2")
        joined_ms: list[int] = []

        def is_slow_over() -> bool:
            if not joined_ms and "runs as slot" in newcomer.last_lines():
                joined_ms.append(SystemClock().now_ms())
            return watch.has(["slow"], 0)

        last = _push_until(watch, streams, is_slow_over)
        watch.wait_for(streams, last)
        assert "2" in watch.owners("fusion").values()
        waits = _waits(watch, before, since_ms=joined_ms[0])
        assert waits
        assert max(waits.values()) < JOIN_S * 1_000
        watch.check([*streams, "slow"], 1)
        watch.check(streams, last + 1)
        assert not watch.letters


def test_a_worker_stops_unready_when_its_handler_always_raises(fleet: Fleet) -> None:
    streams = streams_on(PARTITIONS, each=2)
    fleet.start("ingest")
    broken = fleet.start("fusion", fault=Fault(on_mark="raise"))
    with Watch(fleet) as watch:
        watch.push(streams, *range(8))
        fleet.until(lambda: "it stays, unready" in broken.last_lines(400), within_s=120)
        fleet.until(lambda: not broken.ready_file.exists())
        assert broken.alive
        assert broken.terminate() == 1
        watch.read()
        assert 1 <= len(watch.letters) <= 10
        assert not watch.annotations
        fleet.start("fusion")  # a good deploy goes on with all the rest
        fleet.until(lambda: len({(a.stream, a.start_ms) for a in watch.read().annotations}) >= 64 - 10 - len(streams))


def test_only_the_record_that_kills_the_process_is_given_up(tmp_path: Path, kafka: str, redis_url: str) -> None:
    streams = streams_on(PARTITIONS, each=2)
    deadly = Fault(on_mark="die", mark="killer")
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, restart="never") as fleet, Watch(fleet) as watch:
        fleet.start("ingest")
        victim = fleet.start("fusion", fault=deadly)
        watch.push(streams, 0)
        watch.push(["killer"], 0)
        watch.push(streams, 1, 2)

        def given_up() -> bool:
            if not victim.alive:
                fleet.start("fusion", fault=deadly)
            return bool(watch.read().letters)

        fleet.until(given_up, within_s=120)
        watch.wait_for(streams, 2)
        watch.check(streams, 3)
        assert [letter.reason for letter in watch.letters] == ["3 attempts at it ended the process"]
        assert watch.letters[0].origin.topic == "media"
        assert victim.starts == 4


def _push_until(watch: Watch, streams: list[str], over: Callable[[], bool]) -> int:
    """A segment of each stream twice a second until that is so; the last number."""
    pushed_s: list[float] = []

    def pushing() -> bool:
        if not pushed_s or time.monotonic() - pushed_s[-1] > 0.5:
            pushed_s.append(time.monotonic())
            watch.push(streams, len(pushed_s))
        return over()

    watch.fleet.until(pushing, within_s=SLOW_S + 60)
    return len(pushed_s)


def _waits(watch: Watch, before: dict[int, str], *, since_ms: int) -> dict[tuple[str, int], int]:
    """How long each window took of streams that the slow worker does not have (any more); its own since the join."""
    after = watch.owners("fusion")
    held_up = before[partition_of("slow", PARTITIONS)]
    waits = {}
    for (stream, start_ms), pushed_ms in watch.pushed_ms.items():
        partition = partition_of(stream, PARTITIONS)
        if stream != "slow" and after[partition] != held_up and start_ms > 0:
            begin_ms = max(pushed_ms, since_ms) if before[partition] == held_up else pushed_ms
            waits[stream, start_ms] = watch.written_ms[stream, start_ms] - begin_ms
    return waits
