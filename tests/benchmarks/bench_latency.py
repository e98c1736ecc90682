"""How long a result takes: from "segment in Kafka" to "revision 1 in Redis", and where the time goes.

Real servers and the real services with the preset `default`, each a process. First all streams are pushed flat out:
what the machine takes is what it is then given half of, by streams of 2 s segments that begin at different moments, as
in life. The begin is the broker's append time of the segment that completes the window, the end is when its first
annotation is heard on Redis' channel. Between them the records tell when ingest wrote (`media`, append time), when
fusion had folded (`published_at`) and when it began to write (the annotation's own time).

All clocks are this machine's. A machine that does other things measures those.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import redis

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.sending import KafkaSender
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Message, Record
from framecue.clock import SystemClock
from framecue.schemas.annotation import Annotation
from framecue.schemas.codec import unpack_media
from framecue.schemas.media import SegmentMedia
from framecue.schemas.segment import SegmentHeaders, segment_headers
from framecue.timeline import parse_rfc3339
from framecue_services.cli.local.server import await_ready
from framecue_services.cli.local.service import Service
from tests.benchmarks.report import Row
from tests.support.clips import make_clip
from tests.support.servers import new_kafka, new_redis, running

SEGMENT_S = 2
FLAT_OUT_STREAMS, FLAT_OUT_SEGMENTS = 8, 8
MEASURED_S = 40
SETTLE_S = 6
"""What is pushed first is cold, and not counted."""
PARTITIONS = 8
PARTS = ("ingest", "fusion", "waiting for its commit", "commit and projector")


@dataclass(frozen=True)
class Passage:
    """When one window passed each station, in ms since 1970."""

    segment: int
    media: int
    folded: int
    written: int
    kept: int

    @property
    def parts(self) -> tuple[int, ...]:
        """How long it was between them."""
        stations = (self.segment, self.media, self.folded, self.written, self.kept)
        return tuple(b - a for a, b in itertools.pairwise(stations))


def run() -> list[Row]:
    """p50, p95 and p99 of the whole way, and the median of each of its parts."""
    with TemporaryDirectory() as folder, deployed(Path(folder)) as (connection, heard):
        rate = _flat_out(connection, heard)
        streams = max(1, round(rate / 2 * SEGMENT_S))
        _paced(connection, streams)
        passages = _passages(connection, heard)
    whole = [passage.kept - passage.segment for passage in passages]
    against = f"{streams} streams, half of what the machine takes, {len(passages)} windows"
    goals = {50: 500, 95: 1_000, 99: 1_000}
    rows = [Row(f"in Redis, p{p}", percentile(whole, p), "ms", f"<= {goal}", against) for p, goal in goals.items()]
    for name, times in zip(PARTS, zip(*(passage.parts for passage in passages), strict=True), strict=True):
        rows.append(Row(f"  {name}, p50", percentile(times, 50), "ms", "<= 500", "of that"))
    return rows


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of `values` do not exceed."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


class Heard:
    """When each first annotation came to Redis' channel, by stream and window."""

    def __init__(self, url: str, channel: str) -> None:
        self.at_ms: dict[tuple[str, int], int] = {}
        self._url, self._channel = url, channel
        self._stop, self._subscribed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._subscribed.wait(10)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        client, clock = redis.Redis.from_url(self._url), SystemClock()
        with client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(self._channel)
            while not self._stop.is_set():
                message = channel.get_message(timeout=0.2)
                self._subscribed.set()
                if message is not None:
                    result = json.loads(message["data"])
                    if result["type"] == "annotation" and result["revision"] == 1:
                        self.at_ms.setdefault((result["stream"], result["start_ms"]), clock.now_ms())
        client.close()


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[KafkaConnection, Heard]]:
    """Servers, topics and services, ready; and who listens to the results."""
    with ExitStack() as stack:
        kafka = stack.enter_context(running(new_kafka(folder / "kafka")))
        store = stack.enter_context(running(new_redis(folder / "redis")))
        connection = KafkaConnection(kafka.bootstrap)
        create_topics(connection, partitions=PARTITIONS, replication=1)
        variables = {"FRAMECUE_KAFKA__BOOTSTRAP": kafka.bootstrap, "FRAMECUE_REDIS__URL": store.url}
        services = [_service(name, folder, variables) for name in ("ingest", "fusion", "projector")]
        for service in services:
            service.launch()
            stack.callback(service.kill)
            stack.callback(service.stop)
        await_ready(services)
        heard = Heard(store.url, "framecue:live")
        stack.callback(heard.close)
        yield connection, heard


def _service(name: str, folder: Path, variables: Mapping[str, str]) -> Service:
    return Service(name, folder / "logs", folder / "ready", variables=variables)


def _flat_out(connection: KafkaConnection, heard: Heard) -> float:
    """Segments per second of everything together, once it is warm."""
    pushes = [(f"flat{n}", seq) for seq in range(FLAT_OUT_SEGMENTS) for n in range(FLAT_OUT_STREAMS)]
    _push(connection, pushes, pause=lambda _: None)
    _until(lambda: sum(stream.startswith("flat") for stream, _ in heard.at_ms) >= len(pushes))
    times = sorted(at for (stream, _), at in heard.at_ms.items() if stream.startswith("flat"))
    cold = len(times) // 4
    return (len(times) - 1 - cold) / ((times[-1] - times[cold]) / 1_000)


def _paced(connection: KafkaConnection, streams: int) -> None:
    """Each stream a segment every two seconds, the streams evenly apart."""
    step_s = SEGMENT_S / streams
    pushes = [(f"cam{i % streams}", i // streams) for i in range(int((SETTLE_S + MEASURED_S) / step_s))]
    began_s = time.monotonic()
    _push(connection, pushes, pause=lambda i: time.sleep(max(0.0, began_s + i * step_s - time.monotonic())))


def _push(connection: KafkaConnection, pushes: Sequence[tuple[str, int]], *, pause: Callable[[int], None]) -> None:
    data = make_clip(seconds=SEGMENT_S)
    sender = KafkaSender(connection)
    try:
        for i, (stream, seq) in enumerate(pushes):
            pause(i)
            headers = segment_headers(SegmentHeaders(session="bench", seq=seq, start=Fraction(SEGMENT_S * seq)))
            sender.send(Message("segments", stream.encode(), data, headers))
        sender.flush()
    finally:
        sender.close()


def _passages(connection: KafkaConnection, heard: Heard) -> list[Passage]:
    """Of every window that is counted, once all came."""
    broker = KafkaBroker(connection)
    try:
        segments = {(_key(r), _seq(r)): r.timestamp_ms or 0 for r in _all(broker, "segments")}
        wanted = [(stream, seq * SEGMENT_S * 1_000) for stream, seq in segments if stream.startswith("cam")]
        _until(lambda: all(one in heard.at_ms for one in wanted))
        media = {}
        for record in _all(broker, "media"):
            if isinstance(one := unpack_media(record.value or b""), SegmentMedia):
                media[one.stream, one.seq or 0] = record.timestamp_ms or 0
        passages = []
        for record in _all(broker, "annotations"):
            one = Annotation.model_validate_json(record.value or b"")
            seq = one.start_ms // (SEGMENT_S * 1_000)
            if one.revision == 1 and one.stream.startswith("cam") and one.start_ms >= SETTLE_S * 1_000:
                folded = parse_rfc3339(one.published_at or "")
                kept = heard.at_ms[one.stream, one.start_ms]
                at = one.stream, seq
                passages.append(Passage(segments[at], media[at], folded, record.timestamp_ms or 0, kept))
        return passages
    finally:
        broker.close()


def _all(broker: KafkaBroker, topic: str) -> Iterator[Record]:
    for partition in range(broker.partitions(topic)):
        yield from broker.read(topic, partition=partition)


def _key(record: Record) -> str:
    return (record.key or b"").decode()


def _seq(record: Record) -> int:
    return int(dict(record.headers)["framecue-seq"])


def _until(condition: Callable[[], bool], *, within_s: float = 180) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError("results did not come")
        time.sleep(0.05)


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
