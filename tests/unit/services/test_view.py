"""The view made again from the result topics, and compared with them: memory broker, real Redis."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from itertools import count
from random import Random
from typing import Any

import pytest
import redis

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.broker.publishing import result_message
from framecue.clock import FixedClock
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.event import Event, Evidence
from framecue.schemas.results import RESULT_TOPICS, PublishedResult
from framecue.store.protocol import TIMELINE_MAX, TTL_MS
from framecue.store.redis import RedisStore
from framecue_services.projector.view import Rebuilt, differences, rebuild
from framecue_services.projector.worker import ProjectorWorker
from tests.contract.test_store import START_MS, annotation, caption, event
from tests.support.films import media_log, segment

_prefixes = (f"view{n}:" for n in count())


class Shown:
    """Topics in memory, a projector, and the Redis that it fills."""

    def __init__(self, url: str, client: redis.Redis) -> None:
        self.clock = FixedClock(START_MS)
        self.broker = MemoryBroker(partitions=3, clock=self.clock)
        self.url, self.client = url, client
        self.store = self.another()
        self.results = self.broker.consumer("projector", RESULT_TOPICS)

    def another(self) -> RedisStore:
        """An empty store on the same Redis."""
        return RedisStore(self.url, prefix=next(_prefixes), clock=self.clock)

    def publish(self, *results: PublishedResult) -> None:
        """Each a second after the one before."""
        for result in results:
            self.clock.advance(1_000)
            self.broker.commit([result_message(result, self.clock)])

    def project(self) -> None:
        worker = ProjectorWorker(self.store, self.broker)
        while batch := self.results.poll(32):
            worker.handle(batch)

    def keys(self, store: RedisStore) -> Mapping[str, Any]:
        """Everything that Redis holds for `store`, but for the time that orders open events."""
        found: dict[str, Any] = {}
        for name in self.client.scan_iter(match=f"{store.prefix}*"):
            match self.client.type(name):
                case b"hash":
                    held: Any = {k: v for k, v in self.client.hgetall(name).items() if k != b"open_events_at_us"}
                case b"zset":
                    held = self.client.zrange(name, 0, -1, withscores=True)
                case _:
                    held = self.client.get(name)
            found[name.decode().removeprefix(store.prefix)] = held
        return found


@pytest.fixture
def shown(redis_url: str) -> Generator[Shown]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield Shown(redis_url, client)


def a_day_of_results(seed: int) -> list[PublishedResult]:
    """Of four streams: more windows than stay, revisions, events that go on, end and are retracted, captions."""
    random, results = Random(seed), list[PublishedResult]()
    for i in range(TIMELINE_MAX + 20):
        results += [annotation(2000 * i, revision=r) for r in range(1, random.choice((1, 1, 3)) + 1)]
    for name in ("cam2", "cam3", "cam4"):
        for i in range(random.randrange(1, 12)):
            results.append(annotation(2000 * i, stream=name, epoch=random.choice((7, 8))))
            first = event(2000 * i, stream=name)
            last = random.choice(("started", "updated", "ended", "retracted"))
            results += [first, event(2000 * i, stream=name, sequence=2, phase=last, peak=0.9)]
    return [*results, caption(0), caption(4000)]


def pictured(index: int, **more: Any) -> Event:
    ref = FrameRef(partition=0, offset=index, index=0, at_ms=0)
    return event(stream="cam5", **more).model_copy(update={"evidence": Evidence(frames=(ref,))})


def test_what_is_rebuilt_equals_what_the_projector_wrote(shown: Shown) -> None:
    media_log(segment(0, ["red"]), segment(1, ["blue"]), broker=shown.broker)
    shown.publish(
        *a_day_of_results(1), pictured(0), pictured(1, sequence=2, phase="updated"), pictured(0, first_ms=8000)
    )
    shown.project()
    again = shown.another()
    rebuilt = rebuild(shown.broker, again, clock=shown.clock)
    assert shown.keys(again) == shown.keys(shown.store)
    assert again.streams() == shown.store.streams()
    assert (rebuilt.streams, rebuilt.captions, rebuilt.pictures, rebuilt.expired) == (5, 1, 2, 0)
    assert differences(shown.broker, again, clock=shown.clock) == []
    assert differences(shown.broker, shown.store, clock=shown.clock) == []


def test_rebuilding_beside_what_is_there_changes_nothing(shown: Shown) -> None:
    shown.publish(*a_day_of_results(2))
    shown.project()
    before = shown.keys(shown.store)
    rebuild(shown.broker, shown.store, clock=shown.clock)
    assert shown.keys(shown.store) == before
    shown.store.clear()
    assert shown.keys(shown.store) == {}
    rebuild(shown.broker, shown.store, clock=shown.clock)
    assert shown.keys(shown.store) == before


def test_pictures_that_expired_and_records_without_a_result_are_counted(shown: Shown) -> None:
    shown.publish(pictured(5), pictured(6, first_ms=2000), caption())
    shown.broker.commit([Message("events", b"cam5", b"{}"), Message("captions", b"cam5", None)])
    done: list[tuple[int, int]] = []
    rebuilt = rebuild(shown.broker, shown.store, clock=shown.clock, progress=lambda n, of: done.append((n, of)))
    assert rebuilt == Rebuilt(streams=2, events=2, captions=1, expired=2, unreadable=2)
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_what_expired_stays_away(shown: Shown) -> None:
    shown.publish(annotation(), event(stream="cam2"))
    shown.clock.advance(TTL_MS // 2)
    shown.publish(annotation(2000, stream="cam2"))
    shown.clock.advance(TTL_MS // 2 + 1_000)
    shown.publish(annotation(2000))  # the stream had been gone by then, its first window with it
    rebuild(shown.broker, shown.store, clock=shown.clock)
    assert shown.store.timeline("cam1") == tuple(_published(shown, "cam1")[-1:])
    assert len(shown.store.events("cam2")) == 1  # its stream went on
    shown.clock.advance(TTL_MS)
    again = shown.another()
    assert rebuild(shown.broker, again, clock=shown.clock) == Rebuilt()


def _published(shown: Shown, stream: str) -> list[Annotation]:
    def of(record: Record) -> Annotation:
        return Annotation.model_validate_json(record.value or b"")

    read = (of(r) for p in range(3) for r in shown.broker.read("annotations", partition=p))
    return [one for one in read if one.stream == stream]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c, p: c.delete(p + "timeline:cam1"), "cam1: timeline: cam1/0/0+2000#2, cam1/0/2000+2000#1 missing"),
        (lambda c, p: c.zremrangebyrank(p + "events:cam1", 0, 0), "cam1: events: cam1/0/goal/0#1 missing"),
        (lambda c, p: c.hset(p + "latest:cam1", "scene", "x"), "cam1: the field scene is 'x', not None"),
        (lambda c, p: c.hdel(p + "latest:cam1", "open_events"), "cam1: the field open_events is '', not '[{"),
        (lambda c, p: c.hdel(p + "latest:cam1", "caption_json"), "cam1: caption: cam1/0/0+2000#1 missing"),
        (lambda c, p: c.zrem(p + "streams", "cam1"), "cam1: not among the streams of the store"),
        (lambda c, p: c.zadd(p + "streams", {"cam9": 2e12}), "cam9: in the store, but not in the topics"),
    ],
    ids=["timeline", "event", "field", "open events", "caption", "stream", "stranger"],
)
def test_a_difference_is_named(shown: Shown, spoil: Callable[[redis.Redis, str], object], said: str) -> None:
    shown.publish(annotation(), annotation(revision=2), annotation(2000), event(), caption())
    shown.project()
    assert differences(shown.broker, shown.store, clock=shown.clock) == []
    spoil(shown.client, shown.store.prefix)
    assert any(one.startswith(said) for one in differences(shown.broker, shown.store, clock=shown.clock))


def test_results_that_the_projector_has_not_met_are_differences(shown: Shown) -> None:
    shown.publish(annotation())
    shown.project()
    shown.publish(annotation(revision=2))
    assert differences(shown.broker, shown.store, clock=shown.clock)[:2] == [
        "cam1: timeline: cam1/0/0+2000#2 missing",
        "cam1: timeline: cam1/0/0+2000#1 in the store only",
    ]
