"""The client on a real Kafka and a real Redis: what it sends is what ingest reads, what it gives is what was published.

No service runs here: results are written as the stages write them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import Any, cast
from uuid import uuid4

import pytest

from framecue import Client
from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Broker, Message, Record
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.errors import BrokerError, MessageError, SetupError, StoreError
from framecue.schemas.annotation import FrameRef
from framecue.schemas.codec import pack
from framecue.schemas.media import Frame, Origin, SegmentMedia
from framecue.schemas.results import PublishedResult
from framecue.schemas.segment import (
    CueIn,
    SegmentHeaders,
    SubtitleHeaders,
    parse_cues,
    parse_segment_headers,
    parse_subtitle_headers,
)
from framecue.schemas.topics import partition_of
from framecue.store.redis import RedisStore
from framecue.timeline import rfc3339
from tests.support.servers import free_port
from tests.unit.cli.results import annotation, caption, event

CUES = (CueIn(start_ms=500, end_ms=900, text="hello", language="en"), CueIn(at="2026-01-31T12:00:00Z", text="now"))
PATIENCE = 100


@pytest.fixture(scope="module")
def connection(kafka: str) -> KafkaConnection:
    made = KafkaConnection(kafka, prefix=f"client-{uuid4().hex[:8]}.")
    create_topics(made, partitions=2, replication=1)
    return made


@pytest.fixture(scope="module")
def broker(connection: KafkaConnection) -> Generator[Broker]:
    made = KafkaBroker(connection)
    yield made
    made.close()


@pytest.fixture
def keys() -> str:
    return f"{uuid4().hex[:8]}:"


@pytest.fixture
def store(redis_url: str, keys: str) -> Generator[RedisStore]:
    made = RedisStore(redis_url, prefix=keys)
    yield made
    made.close()


@pytest.fixture
def client(connection: KafkaConnection, redis_url: str, keys: str) -> Generator[Client]:
    with Client(connection, redis_url=redis_url, redis_prefix=keys) as made:
        yield made


@pytest.fixture
def stream() -> str:
    """A stream that nobody else writes to."""
    return f"cam-{uuid4().hex[:8]}"


def written(broker: Broker, topic: str, stream: str) -> list[Record]:
    partition = partition_of(stream, broker.partitions(topic))
    return [r for r in broker.read(topic, partition=partition) if r.key == stream.encode()]


def publish(broker: Broker, *results: PublishedResult) -> None:
    broker.commit([result_message(result, None) for result in results])


def collect(poll: Callable[[], tuple[PublishedResult, ...]], count: int) -> Iterator[PublishedResult]:
    for _ in range(PATIENCE):
        for result in poll():
            yield result
            count -= 1
        if count <= 0:
            return


def test_a_segment_stands_where_ingest_reads_it_as_it_was_given(client: Client, broker: Broker, stream: str) -> None:
    given = {"session": "a", "seq": 3, "start": Fraction(1001, 24000), "captured_at_ms": 1_769_860_800_123}
    client.push_segment(stream, b"\x47\x00", cues=CUES, warnings=["no sound"], end=True, **given)
    client.push_segment(stream, b"bare")
    client.flush()
    first, second = written(broker, "segments", stream)
    expected = SegmentHeaders(cues=CUES, warnings=("no sound",), end=True, **given)
    assert (first.value, parse_segment_headers(first.headers)) == (b"\x47\x00", expected)
    assert (second.value, second.headers) == (b"bare", ())


def test_words_go_as_document_as_cues_and_as_a_line(client: Client, broker: Broker, stream: str) -> None:
    client.push_text(stream, b"WEBVTT\n", content_type="text/vtt", session="a", language="de", lag_ms=3000)
    client.push_text(stream, CUES, clock="wall")
    client.say(stream, "and it is a goal – „so“")
    document, cues, line = written(broker, "subtitles", stream)
    assert parse_subtitle_headers(document.headers) == SubtitleHeaders(
        content_type="text/vtt", session="a", language="de", lag_ms=3000
    )
    assert parse_cues(cues.value or b"") == CUES
    assert parse_subtitle_headers(cues.headers).clock == "wall"
    assert (line.value or b"").decode() == "and it is a goal – „so“"


@pytest.mark.parametrize(
    ("push", "says"),
    [
        (lambda c: c.push_segment("no id!", b""), "no stream id"),
        (lambda c: c.push_segment("cam1", b"", start="1e9"), "start: .*whole number, 12.5 or 1001/24000"),
        (lambda c: c.push_segment("cam1", b"", seq=-1), "seq: "),
        (lambda c: c.push_text("cam1", "x", lag_ms=-1), "lag_ms: "),
        (lambda c: c.push_text("cam1", "\udcff"), "text holds half a character"),
        (lambda c: c.say("cam1", "x" * 10_001), "longer than a live line may be"),
    ],
)
def test_what_follows_no_contract_is_refused_before_it_is_sent(
    client: Client, push: Callable[[Client], None], says: str
) -> None:
    with pytest.raises(MessageError, match=says):
        push(client)


def test_a_kind_that_there_is_not_is_named(client: Client) -> None:
    with pytest.raises(SetupError, match="there is no kind of result 'goals'"):
        client.history("cam1", kinds=cast(Any, ["goals"]))
    with pytest.raises(SetupError, match="name some of annotation, event, caption, in a list"):
        client.subscribe(cast(Any, "event"))


def test_a_segment_above_the_limit_is_refused_and_the_next_one_goes(
    client: Client, broker: Broker, stream: str
) -> None:
    with pytest.raises(BrokerError, match="bytes; the topic takes"):
        client.push_segment(stream, bytes(19 << 20))
    client.push_segment(stream, b"small")
    client.flush()
    assert [r.value for r in written(broker, "segments", stream)] == [b"small"]


def test_a_subscription_begins_where_it_was_made_and_keeps_to_its_streams_and_kinds(
    client: Client, broker: Broker, stream: str
) -> None:
    mine = [annotation(0, stream=stream), annotation(1, stream=stream)]
    publish(broker, mine[0])
    with client.subscribe(["annotation"], streams=f"{stream[:8]}*") as results:
        publish(broker, annotation(7, stream="other"), event("goal", 0, stream=stream), mine[1])
        assert list(collect(lambda: results.poll(timeout_s=0.1), 1)) == mine[1:]


def test_a_subscription_gives_everything_from_the_oldest_on(client: Client, broker: Broker, stream: str) -> None:
    results = [annotation(0, stream=stream), event("goal", 0, stream=stream), caption(0, "a")]
    results[2] = caption(0, "a").model_copy(update={"stream": stream})
    publish(broker, *results)
    with client.subscribe(streams=stream, since="oldest") as subscription:
        found = list(collect(lambda: subscription.poll(timeout_s=0.1), 3))
    assert sorted(r.id for r in found) == sorted(r.id for r in results)


def test_a_result_that_cannot_be_read_is_passed_over(
    client: Client, broker: Broker, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    with client.subscribe(streams=stream) as results:
        broker.commit([Message("events", stream.encode(), b'{"schema": "framecue.event/99"}')])
        publish(broker, event("goal", 0, stream=stream))
        assert [r.id for r in collect(lambda: results.poll(timeout_s=0.1), 1)] == ["film/0/goal/0"]
    assert "is left out" in caplog.text


def test_latest_and_streams_come_from_the_store(client: Client, store: RedisStore, stream: str) -> None:
    assert (client.latest(stream), client.streams()) == (None, ())
    at = rfc3339(SystemClock().now_ms())
    store.put([annotation(0, stream=stream, published_at=at), event("goal", 0, stream=stream)])
    latest = client.latest(stream)
    assert latest is not None
    assert latest.annotation is not None
    assert (latest.annotation.start_ms, [e.rule for e in latest.open_events]) == (0, ["goal"])
    assert client.streams() == (stream,)


def test_history_gives_each_result_as_it_stood_last_in_media_time(client: Client, broker: Broker, stream: str) -> None:
    said = caption(1, "a street").model_copy(update={"stream": stream})
    retracted = event("ghost", 0, stream=stream, sequence=2, phase="retracted")
    publish(broker, annotation(1, stream=stream), annotation(0, stream=stream), event("ghost", 0, stream=stream))
    publish(broker, annotation(0, stream=stream, revision=2), event("goal", 2000, stream=stream), said, retracted)
    publish(broker, annotation(0), event("goal", 0, stream="other"))
    assert [(type(r).__name__, r.start_ms, getattr(r, "revision", None)) for r in client.history(stream)] == [
        ("Annotation", 0, 2),
        ("Annotation", 2000, 1),
        ("Event", 2000, None),
        ("Caption", 2000, None),
    ]
    assert client.history(stream, kinds=["event"]) == client.history(stream, kinds=["event"], limit=1)
    assert [r.start_ms for r in client.history(stream, kinds=["annotation"], limit=1)] == [2000]


def test_history_keeps_to_a_span_of_time(client: Client, broker: Broker, stream: str) -> None:
    publish(broker, annotation(0, stream=stream))
    (early,) = written(broker, "annotations", stream)
    between = (early.timestamp_ms or 0) + 1
    while (broker.now_ms() or 0) <= between:
        pass
    publish(broker, annotation(1, stream=stream))
    assert [r.start_ms for r in client.history(stream, since_ms=between)] == [2000]
    assert [r.start_ms for r in client.history(stream, until_ms=between)] == [0]


def test_history_asks_the_store_where_that_reaches_back_and_kafka_where_it_does_not(
    client: Client, broker: Broker, store: RedisStore, stream: str
) -> None:
    """The two hold different things here, to tell who answered."""
    now_ms = SystemClock().now_ms()
    at = rfc3339(now_ms - 1_000)
    store.put([annotation(n, stream=stream, published_at=at) for n in range(3)])
    publish(broker, annotation(7, stream=stream))
    hour, week = now_ms - 3_600_000, now_ms - 7 * 86_400_000
    kinds = ["annotation"]
    assert [r.start_ms for r in client.history(stream, since_ms=hour, kinds=kinds)] == [0, 2000, 4000]
    for case, asked in {
        "older than the store keeps": {"since_ms": week},
        "a span that ends": {"since_ms": hour, "until_ms": now_ms + 3_600_000},
        "no beginning": {},
    }.items():
        assert [r.start_ms for r in client.history(stream, kinds=kinds, **asked)] == [14_000], case
    store.put([annotation(n, stream=stream, published_at=at) for n in range(3, 400)])
    assert [r.start_ms for r in client.history(stream, since_ms=hour, kinds=kinds)] == [14_000], "it was bounded"


def test_a_picture_comes_from_the_frames_that_a_result_names(client: Client, broker: Broker, stream: str) -> None:
    frame = Frame(at=Fraction(0), cell=0, width=1, height=1, jpeg=b"\xff\xd8")
    media = SegmentMedia(
        stream=stream,
        origin=Origin(topic="segments", partition=0, offset=0),
        digest=b"",
        container="mpegts",
        wraps=True,
        first=0,
        last=0,
        last_duration=0,
        sampling_per_second=2,
        frames=(frame,),
    )
    broker.commit([Message("media", stream.encode(), pack(media))])
    (record,) = written(broker, "media", stream)
    named = FrameRef(partition=record.partition, offset=record.offset, index=0, at_ms=0)
    assert client.picture(named) == b"\xff\xd8"
    assert client.picture(named.model_copy(update={"offset": record.offset + 1000})) is None


def test_a_store_that_is_away_is_one_sentence_with_the_cure_and_kafka_answers_for_it(
    client: Client, connection: KafkaConnection, broker: Broker, stream: str
) -> None:
    away = Client(connection, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreError, match="framecue up"):
        away.latest(stream)
    publish(broker, annotation(0, stream=stream))
    assert len(away.history(stream, since_ms=SystemClock().now_ms() - 60_000, kinds=["annotation"])) == 1
    away.close()
