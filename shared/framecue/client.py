"""What users import: push video and words, follow results, ask what is on now and what was.

    from framecue import Client

    with Client("127.0.0.1:9092", redis_url="redis://127.0.0.1:6379/0") as client:
        client.push_segment("cam1", Path("piece.ts").read_bytes())
        client.say("cam1", "And it is a goal!")
        print(client.latest("cam1"))
        for result in client.subscribe(["event"], streams="cam*"):
            print(result.stream, result.rule, result.phase)

Every server is met when it is first needed: who only pushes needs no Redis. It must not know the services, and reads no
settings unless it is handed them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pydantic import ValidationError

from framecue.broker.history import CLOCKS_APART_MS, published_ms, results_in
from framecue.clock import Clock, SystemClock
from framecue.errors import BrokerError, MessageError, SetupError, StoreError
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.base import Wire, stream_id
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult
from framecue.schemas.segment import (
    CUE_TEXT_MAX,
    CueIn,
    Headers,
    SegmentHeaders,
    SubtitleHeaders,
    first_error,
    segment_headers,
    subtitle_headers,
)
from framecue.schemas.topics import ANNOTATIONS, CAPTIONS, EVENTS, SEGMENTS, SUBTITLES, partition_of
from framecue.store.protocol import EVENTS_MAX, TIMELINE_MAX, TTL_MS, Latest, Store
from framecue.telemetry.traces import Here, span

if TYPE_CHECKING:
    from framecue.broker.kafka.broker import KafkaBroker
    from framecue.broker.kafka.connection import KafkaConnection
    from framecue.broker.kafka.sending import KafkaSender
    from framecue.broker.kafka.tail import KafkaTail
    from framecue.broker.protocol import Broker, Record
    from framecue.settings import Settings

Kind = Literal["annotation", "event", "caption"]
KINDS: tuple[Kind, ...] = ("annotation", "event", "caption")
Since: TypeAlias = int | Literal["now", "oldest"]
"""Where to begin: ms since 1970, from now on, or at the oldest that is kept."""

TOPIC_OF_KIND: dict[Kind, str] = {"annotation": ANNOTATIONS.name, "event": EVENTS.name, "caption": CAPTIONS.name}
HISTORY_MAX = 10_000
"""Results of one answer: five and a half hours of 2 s windows, some 20 MB."""
POLL_RECORDS = 500
WAIT_S = 1.0
T = TypeVar("T", bound=Wire)
_log = logging.getLogger(__name__)


class Client:
    """One application's way in and out. A context manager; used by one thread (a `Subscription` may have its own).

    `kafka` is an address (`host:port`, several with commas), or a `KafkaConnection`, which also has security and the
    prefix of topics, or gives one when Kafka is first needed. Methods block on the network. They raise BrokerError
    where Kafka does not answer or refuses, StoreError where Redis does, MessageError for what follows no contract, and
    SetupError for what a person must mend.
    """

    def __init__(
        self,
        kafka: str | KafkaConnection | Callable[[], KafkaConnection] = "127.0.0.1:9092",
        *,
        redis_url: str = "redis://127.0.0.1:6379/0",
        redis_prefix: str = "framecue:",
        clock: Clock | None = None,
    ) -> None:
        self._kafka, self._redis_url, self._redis_prefix = kafka, redis_url, redis_prefix
        self._clock = clock or SystemClock()
        self._sender: KafkaSender | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Client:
        """A client of the deployment that `settings` describe."""
        redis = settings.redis
        return cls(settings.kafka.connection, redis_url=redis.url.get_secret_value(), redis_prefix=redis.prefix)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sends what still waits, then ends. Raises BrokerError where not everything was written."""
        for name in ("_broker", "_store"):
            if (made := self.__dict__.pop(name, None)) is not None:
                made.close()
        try:
            self.flush()
        finally:
            self._forget_sender()

    def push_segment(
        self,
        stream: str,
        data: bytes,
        *,
        session: str | None = None,
        seq: int | None = None,
        start: Fraction | int | str | None = None,
        cues: Iterable[CueIn] = (),
        warnings: Iterable[str] = (),
        lag_ms: int | None = None,
        captured_at_ms: int | None = None,
        program: int | None = None,
        end: bool = False,
        traceparent: str | None = None,
    ) -> None:
        """Sends one self-contained media segment (MPEG-TS, MP4, Matroska); `flush` says whether it arrived.

        Without the rest the container's own clock counts. `session` names one run, `seq` counts its segments from 0,
        so that one sent twice counts once; `start` is the media time of its first picture in exact seconds
        (`1001/24000`); `cues` are the words that begin in it, and appear `lag_ms` after they are said; `captured_at_ms`
        is the wall time of its first picture, `end` closes the run.

            client.push_segment("cam1", data, session="2026-02-03", seq=0, start=0,
                                cues=[CueIn(start_ms=500, end_ms=1500, text="Good morning!")])
        """
        with span("push", traceparent, how="link", about={"framecue.stream": stream}) as here:
            headers = _checked(
                SegmentHeaders,
                session=session,
                seq=seq,
                start=start,
                cues=tuple(cues),
                warnings=tuple(warnings),
                lag_ms=lag_ms,
                captured_at_ms=captured_at_ms,
                program=program,
                end=end,
                traceparent=here.traceparent,
            )
            self._send(SEGMENTS.name, stream, data, headers=(*segment_headers(headers), *here.mark))

    def push_text(
        self,
        stream: str,
        text: str | bytes | Sequence[CueIn],
        *,
        content_type: str | None = None,
        session: str | None = None,
        language: str | None = None,
        clock: Literal["start", "wall"] | None = None,
        lag_ms: int | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Sends a subtitle document or a piece of one (SRT, WebVTT, ASS, TTML), cues, or a live line.

        `lag_ms` is how much later than said the words appear, `clock` whose time they count in: the stream's (`start`)
        or the wall's. `session` binds them to the run of that name.

            client.push_text("cam1", Path("talk.vtt").read_bytes(), language="en", lag_ms=3000)
            client.push_text("cam1", [CueIn(at="2026-02-03T10:00:00Z", text="Doors open")])
        """
        with span("push", traceparent, how="link", about={"framecue.stream": stream}) as here:
            self._send_text(
                stream,
                text,
                content_type=content_type,
                session=session,
                language=language,
                clock=clock,
                lag_ms=lag_ms,
                here=here,
            )

    def say(self, stream: str, text: str, *, language: str | None = None) -> None:
        """Sends a live line, as said now, and waits until it arrived."""
        if len(text) > CUE_TEXT_MAX:
            raise MessageError(f"{len(text)} characters are longer than a live line may be, which is {CUE_TEXT_MAX}")
        with span("say", about={"framecue.stream": stream}) as here:
            self._send_text(stream, text, content_type="text/plain; charset=utf-8", language=language, here=here)
            self.flush()

    def flush(self) -> None:
        """Waits until everything that was pushed stands in Kafka.

        Raises BrokerError where something may not: then push again what was pushed since the last `flush`.
        """
        if self._sender is None:
            return
        try:
            self._sender.flush()
        except BrokerError:
            self._forget_sender()
            raise

    def subscribe(self, kinds: Iterable[Kind] = KINDS, streams: str = "*", *, since: Since = "now") -> Subscription:
        """Results as they are committed, from `since` on; of the streams whose id fits `streams` (`cam*`).

        for result in client.subscribe(["event"], streams="cam*"):
            if result.phase == "started":
                ring(result.rule, result.stream)
        """
        from framecue.broker.kafka.tail import KafkaTail

        tail = KafkaTail(self._connection, [_topic_of(kind) for kind in kinds], start=since)
        return Subscription(tail, streams)

    def latest(self, stream: str) -> Latest | None:
        """What is on now: the newest annotation, open events, and caption; None where nothing is known of `stream`."""
        return self._store.latest(stream)

    def streams(self) -> tuple[str, ...]:
        """The streams with results within the last day, the most recently active first."""
        return self._store.streams()

    def history(
        self,
        stream: str,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        kinds: Iterable[Kind] = KINDS,
        limit: int = HISTORY_MAX,
    ) -> tuple[PublishedResult, ...]:
        """What was published of `stream` from `since_ms` to `until_ms` (wall time), each result as it stood last.

        In the order of media time; of more than `limit` the last. Retracted events are left out. Comes from Redis where
        that reaches back far enough, else from Kafka.

            client.history("cam1", since_ms=now - 3_600_000, kinds=["event"])
        """
        wanted = tuple({kind: _topic_of(kind) for kind in kinds})
        if since_ms is not None and until_ms is None and "caption" not in wanted:
            with suppress(StoreError):  # then Kafka answers, or says why not
                found = _kept(self._store, stream, wanted, since_ms=since_ms, now_ms=self._clock.now_ms())
                if found is not None:
                    return _ordered(found, limit)
        read = _published(self._broker, stream, wanted, since_ms=since_ms, until_ms=until_ms, limit=limit)
        return _ordered(read, limit)

    def picture(self, ref: FrameRef) -> bytes | None:
        """The JPEG of a frame that a result names; None where it has expired."""
        from framecue.broker.pictures import fetch_picture

        return fetch_picture(self._broker, ref)

    def _send_text(
        self,
        stream: str,
        text: str | bytes | Sequence[CueIn],
        *,
        content_type: str | None = None,
        session: str | None = None,
        language: str | None = None,
        clock: Literal["start", "wall"] | None = None,
        lag_ms: int | None = None,
        here: Here,
    ) -> None:
        if not isinstance(text, str | bytes):
            content_type = content_type or "application/json"
            text = json.dumps([cue.model_dump(exclude_none=True) for cue in text], ensure_ascii=False)
        try:
            data = text if isinstance(text, bytes) else text.encode()
        except UnicodeEncodeError as e:
            raise MessageError("that cannot be sent: text holds half a character (a lone surrogate)") from e
        headers = _checked(
            SubtitleHeaders,
            content_type=content_type,
            session=session,
            language=language,
            clock=clock,
            lag_ms=lag_ms,
            traceparent=here.traceparent,
        )
        self._send(SUBTITLES.name, stream, data, headers=(*subtitle_headers(headers), *here.mark))

    def _send(self, topic: str, stream: str, value: bytes, *, headers: Headers) -> None:
        from framecue.broker.kafka.sending import KafkaSender
        from framecue.broker.protocol import Message, check_size

        message = Message(topic, stream_id(stream.encode()).encode(), value, headers)
        check_size(message)
        if self._sender is None:
            self._sender = KafkaSender(self._connection)
        try:
            self._sender.send(message)
        except BrokerError:
            self._forget_sender()
            raise

    def _forget_sender(self) -> None:
        """What it has not written is told; the next push connects anew."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    @cached_property
    def _connection(self) -> KafkaConnection:
        from framecue.broker.kafka.connection import KafkaConnection

        match self._kafka:
            case str() as bootstrap:
                return KafkaConnection(bootstrap)
            case KafkaConnection() as connection:
                return connection
            case make:
                return make()

    @cached_property
    def _broker(self) -> KafkaBroker:
        from framecue.broker.kafka.broker import KafkaBroker

        return KafkaBroker(self._connection)

    @cached_property
    def _store(self) -> Store:
        from framecue.store.redis import RedisStore

        return RedisStore(self._redis_url, prefix=self._redis_prefix)


class Subscription:
    """Results as they come, without end. Used by one thread; `close` it, or leave its `with`."""

    def __init__(self, tail: KafkaTail, streams: str) -> None:
        self._tail, self._streams = tail, streams

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[PublishedResult]:
        """One result after the other; waits for the next."""
        while True:
            yield from self.poll(timeout_s=WAIT_S)

    def poll(self, *, timeout_s: float = 0.0) -> tuple[PublishedResult, ...]:
        """What has come, after at most `timeout_s`; raises BrokerError."""
        records = self._tail.poll(POLL_RECORDS, timeout_s=timeout_s)
        fitting = (r for r in records if fnmatchcase((r.key or b"").decode("utf-8", "replace"), self._streams))
        return tuple(results_in(fitting))

    def check(self) -> None:
        """Raises BrokerError where Kafka does not answer: `poll` only waits, and misses nothing once it is back."""
        self._tail.check()

    def close(self) -> None:
        """Ends it."""
        self._tail.close()


def _topic_of(kind: Kind) -> str:
    if kind not in TOPIC_OF_KIND:
        raise SetupError(f"there is no kind of result {kind!r}; name some of {', '.join(KINDS)}, in a list")
    return TOPIC_OF_KIND[kind]


def _checked(model: type[T], **given: Any) -> T:
    try:
        return model.model_validate(given)
    except ValidationError as e:
        raise MessageError(f"that cannot be sent: {first_error(e)}") from e


def _published(
    broker: Broker, stream: str, kinds: Sequence[Kind], *, since_ms: int | None, until_ms: int | None, limit: int
) -> list[PublishedResult]:
    """From the result topics, each result as it stood last; of each kind at least the last `limit`."""
    out: list[PublishedResult] = []
    for kind in kinds:
        topic = _topic_of(kind)
        partition = partition_of(stream, broker.partitions(topic))
        start = 0 if since_ms is None else broker.offset_at(topic, partition=partition, at_ms=since_ms)
        newest: dict[str, PublishedResult] = {}
        for result in results_in(
            _between(broker.read(topic, partition=partition, start=start), stream, since_ms, until_ms)
        ):
            newest[result.id] = result
            if isinstance(result, Event) and result.phase == "retracted":
                del newest[result.id]
            if len(newest) >= 2 * limit:
                newest = {kept.id: kept for kept in _ordered(newest.values(), limit)}
        out += newest.values()
    return out


def _between(records: Iterable[Record], stream: str, since_ms: int | None, until_ms: int | None) -> Iterator[Record]:
    """The records of `stream` in a span of wall time."""
    key = stream.encode()
    for record in records:
        at_ms = record.timestamp_ms or 0
        if until_ms is not None and at_ms >= until_ms + CLOCKS_APART_MS:
            return
        inside = (since_ms is None or at_ms >= since_ms) and (until_ms is None or at_ms < until_ms)
        if inside and record.key == key:
            yield record


def _kept(
    store: Store, stream: str, kinds: Sequence[Kind], *, since_ms: int, now_ms: int
) -> list[PublishedResult] | None:
    """From the store; None where it does not reach back to `since_ms`: it holds a day at most, and the last few."""
    if since_ms < now_ms - TTL_MS:
        return None
    out: list[PublishedResult] = []
    for kind in kinds:
        found: Sequence[Annotation | Event]
        found, most = (
            (store.timeline(stream), TIMELINE_MAX) if kind == "annotation" else (store.events(stream), EVENTS_MAX)
        )
        if not found or (len(found) >= most and published_ms(found[0]) >= since_ms):
            return None
        out += [result for result in found if published_ms(result) >= since_ms]
    return out


def _ordered(results: Iterable[PublishedResult], limit: int) -> tuple[PublishedResult, ...]:
    """`results` by media time; the last `limit`."""
    rank: dict[type, int] = {Annotation: 0, Event: 1, Caption: 2}
    ordered = sorted(results, key=lambda r: (r.epoch, r.start_ms, rank[type(r)], r.id))
    return tuple(ordered[max(0, len(ordered) - limit) :])
