"""What keeping results in Redis costs: results/s through `RedisStore.put` against a bare pipeline of redis-py.

64 streams have annotations as a scene list and 20 rules make them, every tenth one with an event that starts and one
that ends. The store takes them in batches of 32, as the projector does: it orders, bounds, flattens, tells the channel
and renews TTLs. The bare pipeline writes the same JSON and the same flat fields with HSET and ZADD, 32 results at once,
and checks nothing. A real Redis of its own, on this machine; wall time, so its work counts on both sides.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import redis

from framecue.schemas.annotation import Annotation, FrameRef, JoinedCue, JoinedText, LabelScore, RuleScore, Scene
from framecue.schemas.event import Event, Evidence
from framecue.schemas.results import PublishedResult, to_json
from framecue.store.flat import annotation_fields
from framecue.store.redis import RedisStore
from tests.benchmarks.report import Row
from tests.support.servers import new_redis, running

STREAMS, WINDOWS, BATCH, ROUNDS = 64, 60, 32, 5


def run() -> list[Row]:
    """The median over pairs run back to back."""
    results = [one for window in range(WINDOWS) for n in range(STREAMS) for one in results_of(f"cam{n}", window)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(new_redis(Path(folder))) as server,
        closing(RedisStore(server.url)) as store,
        closing(redis.Redis.from_url(server.url, protocol=2)) as client,
    ):
        ratios = []
        for _ in range(ROUNDS):
            client.flushall()
            bare = _seconds(results, lambda batch: _bare(client, batch))
            client.flushall()
            ratios.append(bare / _seconds(results, store.put))
    against = f"HSET and ZADD of the same through redis-py, {BATCH} results at once"
    return [Row("results into Redis", median(ratios), "x", ">= 0.5", against)]


def _seconds(results: Sequence[PublishedResult], put: Callable[[Sequence[PublishedResult]], object]) -> float:
    began = time.perf_counter()
    for first in range(0, len(results), BATCH):
        put(results[first : first + BATCH])
    return time.perf_counter() - began


def _bare(client: redis.Redis, batch: Sequence[PublishedResult]) -> None:
    pipe = client.pipeline(transaction=False)
    for result in batch:
        if isinstance(result, Annotation):
            pipe.hset(f"bare:latest:{result.stream}", mapping=dict(annotation_fields(result)))
            pipe.zadd(f"bare:timeline:{result.stream}", {to_json(result): result.start_ms})
        else:
            pipe.zadd(f"bare:events:{result.stream}", {to_json(result): result.start_ms})
    pipe.execute()


def results_of(stream: str, window: int) -> list[PublishedResult]:
    start_ms, frames = 2000 * window, tuple(FrameRef(partition=0, offset=window, index=i, at_ms=0) for i in range(4))
    words = (JoinedCue(start_ms=start_ms, end_ms=start_ms + 1800, text="Mind the bicycle over there!", source="text"),)
    annotation = Annotation(
        id=f"{stream}/0/{start_ms}+2000",
        revision=1,
        stream=stream,
        epoch=0,
        start_ms=start_ms,
        end_ms=start_ms + 2000,
        settled_until_ms=start_ms,
        scene=Scene(
            label="city traffic",
            score=0.7,
            runners_up=tuple(LabelScore(label=f"label {i}", score=0.05) for i in range(5)),
        ),
        rules=tuple(RuleScore(rule=f"rule {i}", picture=0.5, text=0.4, score=0.45) for i in range(20)),
        text=JoinedText(state="present", cues=words, lag_ms=0),
        frames=frames,
        model="default",
        space="default-1",
    )
    if window % 10:
        return [annotation]
    started = Event(
        id=f"{stream}/0/rule 1/{start_ms}",
        sequence=1,
        phase="started",
        stream=stream,
        epoch=0,
        rule="rule 1",
        start_ms=start_ms,
        peak=0.9,
        evidence=Evidence(frames=frames, cues=words, picture=0.9, text=0.4),
        model="default",
        space="default-1",
    )
    ended = started.model_copy(update={"sequence": 2, "phase": "ended", "end_ms": start_ms + 2000, "reason": "score"})
    return [annotation, started, ended]


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
