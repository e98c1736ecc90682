"""Whether the wall stays smooth and its memory flat with 200 streams: one Chromium, one gateway, real Kafka and Redis.

    python -m tests.benchmarks.bench_wall [MINUTES]      10 by default; needs Chromium

Each stream has a window each 2 s and now and then an event, written to Kafka and Redis as fusion and the projector do:
100 results/s, each with a scene, 20 rules, words and frames, whose pictures lie in `media` (12 different ones of each
stream, so that a browser keeps some). Somebody scrolls up and down meanwhile. What blocks the page is what the browser
itself calls a long task; of each second the longest one counts, and none counts as 0. The heap is measured after a
collection, which blocks the page itself: what is long beside one does not count. Whether it grows is a line through the
second half of the run, when all that is bounded has reached its bound.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import simplejpeg
from playwright.sync_api import Page, expect

from framecue.broker.protocol import Message
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.codec import pack, unpack_media
from framecue.schemas.event import Event
from framecue.schemas.media import SegmentMedia
from framecue.schemas.results import PublishedResult
from framecue.schemas.topics import MEDIA
from tests.benchmarks.bench_store import results_of
from tests.benchmarks.report import Row, show
from tests.support.browser import PATIENCE_MS, browsing, visiting
from tests.support.films import segment
from tests.support.fleet import Fleet, read_all
from tests.support.servers import HOST, free_port, new_kafka, new_redis, running

STREAMS, WINDOW_S, MINUTES = 200, 2.0, 10.0
PICTURES, SIZE = 3, (216, 384)
"""Segments of each stream, of four pictures each."""
WARM_S = 20.0
"""Then every tile was drawn once, and what is compiled is compiled."""
SCROLL_EVERY_S = 1.0
HEAP_EVERY_S = 15.0
MIB = 1 << 20
LONGEST = "longest task of a second, p95"
WATCH = """
window.tasks = []; window.frames = [];
new PerformanceObserver(list => {
  for (const one of list.getEntries()) window.tasks.push([one.startTime, one.duration]);
}).observe({ type: 'longtask', buffered: true });
let last = 0;
const frame = now => { if (last) window.frames.push(now - last); last = now; requestAnimationFrame(frame) };
requestAnimationFrame(frame);
"""


def run(minutes: float = MINUTES) -> list[Row]:
    """The figures of one run of that many minutes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(running(new_kafka(folder / "kafka")))
        redis = stack.enter_context(running(new_redis(folder / "redis")))
        port = free_port()
        settings = {
            "FRAMECUE_GATEWAY__AUTH": "off",
            "FRAMECUE_GATEWAY__PORT": str(port),
            "FRAMECUE_PRIVACY__FACES": "off",
            "FRAMECUE_GATEWAY__REQUESTS_PER_SECOND": "10000",
        }
        fleet = stack.enter_context(
            Fleet(folder / "fleet", bootstrap=kafka.bootstrap, redis_url=redis.url, settings=settings)
        )
        fleet.start("gateway")
        refs = _pictures(fleet)
        fleet.until(fleet.ready, what="the gateway ready")
        browser = stack.enter_context(browsing())
        visit = stack.enter_context(visiting(browser, f"http://{HOST}:{port}", size=(1920, 1080)))
        visit.page.add_init_script(WATCH)
        with _streaming(fleet, refs) as written:
            figures = _watched(visit.page, minutes * 60)
        visit.assert_clean()
        figures["results/s"] = len(written) / (minutes * 60 + WARM_S)
    return _rows(figures)


def _pictures(fleet: Fleet) -> dict[str, list[tuple[FrameRef, ...]]]:
    """Pictures of every stream in `media`, and what names them."""
    random = np.random.default_rng(1)
    noise = random.integers(0, 255, (SIZE[0] // 12, SIZE[1] // 12, 3), dtype=np.uint8)
    for n in range(STREAMS):
        messages = []
        for index in range(PICTURES):
            film = segment(index, ("red", "green", "blue", "grey"), stream=f"cam{n}")
            frames = tuple(
                frame.model_copy(update={"jpeg": _jpeg(np.roll(noise, n + 7 * index + 3 * place, axis=1))})
                for place, frame in enumerate(film.frames)
            )
            messages.append(Message(MEDIA.name, f"cam{n}".encode(), pack(film.model_copy(update={"frames": frames}))))
        fleet.broker.commit(messages)
    found: dict[str, list[tuple[FrameRef, ...]]] = {}
    for record in read_all(fleet.broker, MEDIA.name):
        media = unpack_media(record.value or b"")
        assert isinstance(media, SegmentMedia)
        refs = (
            FrameRef(partition=record.partition, offset=record.offset, index=i, at_ms=500 * i)
            for i in range(len(media.frames))
        )
        found.setdefault(media.stream, []).append(tuple(refs))
    return found


def _jpeg(small: np.ndarray[Any, Any]) -> bytes:
    large = np.ascontiguousarray(small.repeat(12, axis=0).repeat(12, axis=1))
    return bytes(simplejpeg.encode_jpeg(large, quality=85, colorspace="RGB"))


@contextmanager
def _streaming(fleet: Fleet, refs: dict[str, list[tuple[FrameRef, ...]]]) -> Generator[list[PublishedResult]]:
    """All streams at work meanwhile, evenly spread over each window; what was written."""
    stop, written = threading.Event(), list[PublishedResult]()
    clock = SystemClock()

    def work() -> None:
        tick, share = 0, 20
        due = time.monotonic()
        while not stop.is_set():
            batch: list[PublishedResult] = []
            for n in range(tick % share, STREAMS, share):
                window, stream = tick // share, f"cam{n}"
                frames = refs[stream][window % PICTURES]
                batch += [_shown(one, frames) for one in results_of(stream, window + n)]
            fleet.broker.commit([result_message(one, clock) for one in batch])
            fleet.store.put(batch)
            written.extend(batch)
            tick += 1
            due += WINDOW_S / share
            stop.wait(max(0.0, due - time.monotonic()))

    worker = threading.Thread(target=work, name="streams", daemon=True)
    worker.start()
    try:
        yield written
    finally:
        stop.set()
        worker.join(30)


def _shown(result: PublishedResult, frames: tuple[FrameRef, ...]) -> PublishedResult:
    match result:
        case Annotation():
            return result.model_copy(update={"frames": frames})
        case Event():
            return result.model_copy(update={"evidence": result.evidence.model_copy(update={"frames": frames})})
    return result


def _watched(page: Page, seconds: float) -> dict[str, float]:
    """What the browser says of itself while the wall is looked at for so long."""
    page.goto("/")
    expect(page.locator(".tile[data-stream]")).to_have_count(STREAMS, timeout=PATIENCE_MS)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    page.wait_for_timeout(WARM_S * 1_000)
    page.evaluate("window.tasks.length = 0, window.frames.length = 0")
    began, heaps, down = time.monotonic(), list[tuple[float, float]](), 1
    began_ms = page.evaluate("performance.now()")
    while (passed := time.monotonic() - began) < seconds:
        if not heaps or passed - heaps[-1][0] >= HEAP_EVERY_S:
            heaps.append((passed, _heap(devtools)))
        page.mouse.wheel(0, 900 * down)
        down = -down if int(passed) % 6 == 5 else down
        page.wait_for_timeout(SCROLL_EVERY_S * 1_000)
    tasks: list[tuple[float, float]] = [(start - began_ms, length) for start, length in page.evaluate("window.tasks")]
    frames: list[float] = page.evaluate("window.frames")
    ours = [second for at, _ in heaps for second in (int(at), int(at) + 1)]
    longest = [
        max((length for at, length in tasks if int(at / 1_000) == second), default=0.0)
        for second in range(int(seconds))
        if second not in ours
    ]
    late = heaps[len(heaps) // 2 :]
    slope = float(np.polyfit([at / 60 for at, _ in late], [size for _, size in late], 1)[0]) if late[1:] else 0.0
    return {
        LONGEST: quantiles(longest, n=20)[-1],
        "frame, p95": quantiles(frames, n=20)[-1],
        "frames/s": 1_000 / median(frames),
        "long tasks": len(tasks),
        "heap at first": heaps[0][1],
        "heap at last": heaps[-1][1],
        "heap per minute": slope,
        "pictures shown": page.locator(".tile .picture.is-shown").count(),
    }


def _heap(devtools: Any) -> float:
    """MiB that scripts hold, after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"]) / MIB


def _rows(figures: dict[str, float]) -> list[Row]:
    """The figures with goals, and beside the first what else was seen."""
    rest = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
    return [
        Row(
            "wall of 200: longest task of a second, p95", figures["longest task of a second, p95"], "ms", "<= 50", rest
        ),
        Row("wall of 200: frame, p95", figures["frame, p95"], "ms", "<= 50", "requestAnimationFrame, scrolling"),
        Row("wall of 200: heap grows in a minute", figures["heap per minute"], "MiB", "<= 0.5", "a line through it"),
    ]


if __name__ == "__main__":
    show(run(*(float(given) for given in sys.argv[1:2])))
