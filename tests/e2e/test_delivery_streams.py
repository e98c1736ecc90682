"""What streams look like after an outage of ours, and when one begins again: on real servers, with the light model."""

from __future__ import annotations

from pathlib import Path

from framecue.schemas.event import SIGNAL_LOST
from framecue_services.projector.view import differences
from tests.support.fleet import PARTITIONS, Fleet
from tests.support.watching import Watch, streams_on

TEN_MINUTES = 300
"""Segments."""
SIGNAL_LOST_MS = 2_000


def test_no_signal_is_lost_when_only_ingest_was_down(tmp_path: Path, kafka: str, redis_url: str) -> None:
    alive, dead, *_ = streams_on(PARTITIONS)
    settings = {"FRAMECUE_ANALYSIS__SIGNAL_LOST_MS": str(SIGNAL_LOST_MS)}
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, settings=settings) as fleet, Watch(fleet) as watch:
        fleet.start("ingest"), fleet.start("fusion")
        fleet.until(fleet.ready)
        watch.push([alive, dead], 0, 1)
        watch.wait_for([alive, dead], 1)
        fleet.worker("ingest").terminate()
        watch.push([alive], *range(2, TEN_MINUTES))
        watch.push([alive], TEN_MINUTES, end=True)
        fleet.start("ingest")
        watch.wait_for([alive], TEN_MINUTES, within_s=120)
        fleet.until(lambda: any(e.rule == SIGNAL_LOST for e in watch.read().events), what="the dead stream told")
        lost = [(e.stream, e.sequence, e.phase) for e in watch.events if e.rule == SIGNAL_LOST]
        assert lost == [(dead, 1, "started")]
        watch.check([alive], TEN_MINUTES + 1)
        assert not watch.letters


def test_the_second_run_is_shown_when_an_id_begins_again(tmp_path: Path, kafka: str, redis_url: str) -> None:
    (stream, *_) = streams_on(PARTITIONS)
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url) as fleet, Watch(fleet) as watch:
        for service in ("ingest", "fusion", "projector"):
            fleet.start(service)
        watch.push([stream], 0, 1, 2, session="first", end=True)
        watch.wait_for([stream], 2)
        watch.push([stream], 0, 1, session="second")
        fleet.until(lambda: len({a.id for a in watch.read().annotations}) == 5)
        fleet.until(lambda: not differences(fleet.broker, fleet.store), what="Redis as the topics")
        timeline = fleet.store.timeline(stream)
        first, second = sorted({a.epoch for a in timeline})
        assert [(a.epoch, a.start_ms) for a in timeline] == [
            *((first, 2_000 * i) for i in range(3)),
            *((second, 2_000 * i) for i in range(2)),
        ]
        latest = fleet.store.latest(stream)
        assert latest is not None
        assert latest.annotation is not None
        assert (latest.annotation.epoch, latest.annotation.start_ms) == (second, 2_000)
