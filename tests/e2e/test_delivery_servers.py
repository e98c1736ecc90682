"""Kafka and Redis that go away and come back, and a projector that dies between them: what is there is complete.

With the light model. Servers of a test's own where it stops them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from framecue.broker.protocol import Message
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.schemas.annotation import Annotation, JoinedText
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer
from framecue_services.projector.view import differences
from tests.support.fleet import PARTITIONS, Fleet, read_all
from tests.support.light_service import Fault
from tests.support.watching import Watch, streams_on

BACK_S = 14.0
"""How soon everything goes on once Kafka is back: sooner than a commit gives up that nobody answers, after 15 s."""
ROUNDS = 2
"""The first finds Redis empty, the second finds results of the stream in it; another one would find what that did."""


def test_results_wait_in_kafka_while_redis_is_away(
    tmp_path: Path, kafka: str, own_redis: Callable[[], RedisServer]
) -> None:
    redis = own_redis()
    streams = streams_on(PARTITIONS)
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis.url) as fleet, Watch(fleet) as watch:
        for service in ("ingest", "fusion", "projector"):
            fleet.start(service)
        fleet.until(fleet.ready)
        watch.push(streams, 0, 1)
        watch.wait_for(streams, 1)
        redis.stop()
        watch.push(streams, 2, 3)
        watch.wait_for(streams, 3)  # in Kafka as ever
        fleet.until(lambda: "trying again" in fleet.worker("projector").last_lines())
        redis.start()
        fleet.until(lambda: not differences(fleet.broker, fleet.store), what="Redis as the topics")
        watch.check(streams, 4)
        assert not watch.letters
        assert all(worker.starts == 1 for worker in fleet.workers.values())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_nothing_is_lost_while_kafka_is_away(
    tmp_path: Path, own_kafka: KafkaServer, redis_url: str, how: Literal["stopped", "killed"]
) -> None:
    streams = streams_on(PARTITIONS)
    with Fleet(tmp_path, bootstrap=own_kafka.bootstrap, redis_url=redis_url) as fleet, Watch(fleet) as watch:
        for service in ("ingest", "fusion", "projector"):
            fleet.start(service)
        fleet.until(fleet.ready)
        watch.push(streams, 0, 1)
        watch.wait_for(streams, 1)
        watch.push(streams, 2)  # under way
        own_kafka.stop() if how == "stopped" else own_kafka.kill()
        fleet.until(lambda: all("ECONNREFUSED" in w.last_lines() for w in fleet.workers.values()))
        own_kafka.start()
        watch.push(streams, 3)  # written as soon as it serves
        back_s = time.monotonic()
        watch.wait_for(streams, 3)
        took_s = time.monotonic() - back_s
        fleet.until(lambda: not differences(fleet.broker, fleet.store), what="Redis as the topics")
        watch.check(streams, 4)
        assert not watch.letters
        assert all(worker.starts == 1 for worker in fleet.workers.values()), "a worker died"
        assert took_s < BACK_S
    gc.collect()  # the client forgets the sockets that were refused


def test_redis_equals_the_topics_when_the_projector_dies_between_them(
    tmp_path: Path, kafka: str, redis_url: str
) -> None:
    faults = (Fault(on_mark="die_done"), Fault(die_at="before commit"), Fault(die_at="after commit"))
    streams = streams_on(PARTITIONS)
    with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, restart="never") as fleet:
        for window in range(ROUNDS):
            fleet.broker.commit([_annotated(stream, window * 2_000) for stream in streams])
            for fault in faults:
                projector = fleet.start("projector", fault=fault)
                fleet.until(lambda: not fleet.worker("projector").alive)
                assert projector.died_on_purpose, fleet.logs()
            projector = fleet.start("projector")
            fleet.until(lambda: not differences(fleet.broker, fleet.store), what="Redis as the topics")
            projector.terminate()
        assert not read_all(fleet.broker, "deadletter")
        assert [len(fleet.store.timeline(stream)) for stream in streams] == [ROUNDS] * PARTITIONS


def _annotated(stream: str, start_ms: int) -> Message:
    """The first annotation of a window, as fusion writes it."""
    annotation = Annotation(
        id=f"{stream}/0/{start_ms}+2000",
        revision=1,
        stream=stream,
        epoch=0,
        start_ms=start_ms,
        end_ms=start_ms + 2_000,
        settled_until_ms=0,
        text=JoinedText(state="none"),
        model="light",
        space="light-1",
    )
    return result_message(annotation, SystemClock())
