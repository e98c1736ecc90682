"""`framecue redis rebuild` as a user types it, on a real Kafka and a real Redis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import redis

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.store.redis import RedisStore
from framecue_services.projector.view import differences
from tests.contract.test_store import annotation, caption, event
from tests.support.brokers import new_topics
from tests.support.servers import free_port

PREFIX = "rebuilt:"


def framecue(*arguments: str, settings: Sequence[tuple[str, str]], cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command with these settings, from a folder that has no others."""
    given = {f"FRAMECUE_{name}": value for name, value in settings}
    program = Path(sys.executable).with_name("framecue")
    return subprocess.run(
        [program, *arguments], env=os.environ | given, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_redis_that_was_emptied_shows_the_topics_again(kafka: str, redis_url: str, tmp_path: Path) -> None:
    connection = new_topics(kafka)
    results = [annotation(2000 * i, revision=r, stream=s) for s in ("cam1", "cam2") for i in range(40) for r in (1, 2)]
    results_and_more = (*results, event(), event(sequence=2, phase="ended", end_ms=4000), event(6000), caption())
    settings = (
        ("KAFKA__BOOTSTRAP", kafka),
        ("KAFKA__PREFIX", connection.prefix),
        ("REDIS__URL", redis_url),
        ("REDIS__PREFIX", PREFIX),
    )
    with (
        closing(KafkaBroker(connection)) as broker,
        closing(RedisStore(redis_url, prefix=PREFIX)) as store,
        closing(redis.Redis.from_url(redis_url)) as client,
    ):
        broker.commit([result_message(one, SystemClock()) for one in results_and_more])
        store.put([annotation(stream="gone")])
        client.set(f"{PREFIX}other", "stays", ex=600)
        ran = framecue("redis", "rebuild", "--flush", settings=settings, cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (0, "")
        deleted, shown = ran.stdout.splitlines()
        assert re.fullmatch(r"framecue: 3 keys under rebuilt: are deleted", deleted)
        assert shown == ("framecue: Redis shows 2 streams again: 80 annotations, 2 events, 1 captions and 0 pictures")
        assert differences(broker, store) == []
        assert client.get(f"{PREFIX}other") == b"stays"


def test_nothing_is_deleted_where_kafka_is_away(redis_url: str, tmp_path: Path) -> None:
    settings = (
        ("KAFKA__BOOTSTRAP", f"127.0.0.1:{free_port()}"),
        ("KAFKA__CONNECT_TIMEOUT_MS", "500"),
        ("REDIS__URL", redis_url),
        ("REDIS__PREFIX", "kept:"),
    )
    with closing(RedisStore(redis_url, prefix="kept:")) as store:
        store.put([annotation()])
        ran = framecue("redis", "rebuild", "--flush", settings=settings, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "no Kafka broker answers" in ran.stderr
        assert store.streams() != ()


def test_without_redis_it_says_so_in_one_sentence(kafka: str, tmp_path: Path) -> None:
    port = free_port()
    settings = (("REDIS__URL", f"redis://:secret@127.0.0.1:{port}/0"), ("KAFKA__BOOTSTRAP", kafka))
    ran = framecue("redis", "rebuild", "--flush", settings=settings, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"framecue: Redis at 127.0.0.1:{port} does not answer (Connection refused); start it with `framecue up`, or "
        "set FRAMECUE_REDIS__URL to where it is\n"
    )
