"""Ingest: one input record becomes one media record, or one dead letter. A map without state.

Segments decode in child processes, in parallel; outputs keep the order of the input. What is wrong with a record is its
own affair: the neighbours go on. It must not know models, epochs or windows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Protocol

from framecue.broker.loop import MapStage, Outputs, Position
from framecue.broker.protocol import Message, Record, TopicPartition, size
from framecue.broker.publishing import dead_letter, origin_of
from framecue.errors import InputError, LimitExceededError, MessageError, SetupError
from framecue.media.decoding import DecodedSegment
from framecue.media.documents import parse_document
from framecue.media.sampling import Sampling
from framecue.schemas.base import stream_id
from framecue.schemas.codec import pack
from framecue.schemas.deadletter import PREFIX, parse_dead_letter
from framecue.schemas.media import Cue, Origin, SegmentMedia, TextMedia, Tick
from framecue.schemas.segment import (
    CUES_MAX,
    CueIn,
    Headers,
    SegmentHeaders,
    parse_segment_headers,
    parse_subtitle_headers,
)
from framecue.schemas.topics import MEDIA, SEGMENTS, partition_of
from framecue.timeline import parse_rfc3339

STAGE = "ingest"


class Decoder(Protocol):
    """`framecue.media.pool.DecoderPool`, as far as ingest needs it."""

    @property
    def sampling(self) -> Sampling: ...

    def decode(self, data: bytes, *, start: Fraction | None, program: int | None) -> DecodedSegment:
        """Blocks while a child works; called from several threads. Raises the MediaError tree."""
        ...


class IngestWorker(MapStage):
    """`broker.loop.Stage` over `segments` and `subtitles`. `partitions` is how many `media` has.

    `threads` wait for decoders; more than the pool has children only queue.
    """

    def __init__(self, decoders: Decoder, *, partitions: int, threads: int = 4) -> None:
        self._decoders = decoders
        self._partitions = partitions
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=STAGE)
        self._feeds: defaultdict[TopicPartition, set[int]] = defaultdict(set)

    def handle(self, batch: Sequence[Record]) -> Outputs:
        results = list(self._threads.map(self._one, batch))
        for record, (message, _) in zip(batch, results, strict=True):
            if message.topic == MEDIA.name and message.partition is not None:
                self._feeds[TopicPartition(record.topic, record.partition)].add(message.partition)
        return Outputs(tuple((message,) for message, _ in results), failed=sum(failed for _, failed in results))

    def tick(self, positions: Mapping[TopicPartition, Position], *, now_ms: int) -> tuple[Message, ...]:
        """A tick of each input partition owned, into each media partition that it feeds."""
        return ticks(positions, self._feeds, now_ms=now_ms)

    def close(self) -> None:
        self._threads.shutdown()

    def _one(self, record: Record) -> tuple[Message, bool]:
        """What `record` gives, and whether that is by a fault of our own."""
        try:
            return self._media(record), False
        except InputError as e:
            return dead_letter(record, STAGE, e), False
        except SetupError:
            raise  # no record would fare better
        except Exception as e:
            # A record that trips a bug of ours must not stop its partition; the loop stops when there are many.
            return dead_letter(record, STAGE, e), True

    def _media(self, record: Record) -> Message:
        stream = stream_id(record.key)
        headers, requeued_from = _original(record)
        media: SegmentMedia | TextMedia
        if record.topic == SEGMENTS.name:
            media = self._segment(stream, record, headers=headers, requeued_from=requeued_from)
        else:
            media = _text(stream, record, headers)
        trace = () if media.traceparent is None else (("traceparent", media.traceparent.encode()),)
        partition = partition_of(stream, self._partitions)
        message = Message(MEDIA.name, stream.encode(), pack(media), trace, partition)
        if (got := size(message)) > MEDIA.max_bytes:
            raise LimitExceededError("bytes of pictures and words in one record", MEDIA.max_bytes, got)
        return message

    def _segment(self, stream: str, record: Record, *, headers: Headers, requeued_from: Origin | None) -> SegmentMedia:
        said = parse_segment_headers(headers)
        data = record.value or b""
        decoded = self._decoders.decode(data, start=said.start, program=said.program)
        cues, dropped = _bounded((*decoded.cues, *_header_cues(said)))
        return SegmentMedia(
            stream=stream,
            origin=origin_of(record),
            requeued_from=requeued_from,
            digest=hashlib.sha256(data).digest()[:16],
            session=said.session,
            seq=said.seq,
            start=said.start,
            end=said.end,
            captured_at_ms=said.captured_at_ms,
            traceparent=said.traceparent,
            container=decoded.container,
            wraps=decoded.wraps,
            first=decoded.first,
            last=decoded.last,
            last_duration=decoded.last_duration,
            sampling_per_second=self._decoders.sampling.per_second,
            damaged=decoded.damaged,
            warnings=(*said.warnings, *decoded.warnings, *dropped),
            frames=decoded.frames,
            cues=cues,
        )


def ticks(
    positions: Mapping[TopicPartition, Position], feeds: Mapping[TopicPartition, Collection[int]], *, now_ms: int
) -> tuple[Message, ...]:
    """One tick of each input partition for each media partition that it feeds; `now_ms` is the broker's time."""
    out = []
    for source, at in sorted(positions.items()):
        tick = Tick(topic=source.topic, partition=source.partition, caught_up=at.read >= at.end, at_ms=now_ms)
        out += [Message(MEDIA.name, None, pack(tick), partition=fed) for fed in sorted(feeds.get(source, ()))]
    return tuple(out)


def _original(record: Record) -> tuple[Headers, Origin | None]:
    """The headers as they were first sent, and where a dead letter that was put back in the queue came from."""
    if not any(name.startswith(PREFIX) for name, _ in record.headers):
        return record.headers, None
    letter = parse_dead_letter(b"", record.headers)
    return letter.headers, letter.origin


def _text(stream: str, record: Record, headers: Headers) -> TextMedia:
    said = parse_subtitle_headers(headers)
    document = parse_document(record.value or b"", content_type=said.content_type, language=said.language)
    cues = document.cues
    if said.clock == "wall":
        # What says itself how it is timed (`at`, a timestamp map, a live line) keeps its clock.
        cues = tuple(c.model_copy(update={"clock": "wall"}) if c.clock == "start" else c for c in cues)
    return TextMedia(
        stream=stream,
        origin=origin_of(record),
        session=said.session,
        lag_ms=said.lag_ms,
        traceparent=said.traceparent,
        warnings=document.warnings,
        cues=cues,
    )


def _header_cues(said: SegmentHeaders) -> Iterable[Cue]:
    for cue in said.cues:
        start_ms, end_ms = _span(cue)
        yield Cue(
            start_ms=start_ms,
            end_ms=end_ms,
            text=cue.text,
            language=cue.language,
            clock="start" if cue.at is None else "wall",
            source="header",
        )


def _span(cue: CueIn) -> tuple[int, int]:
    """In ms of media time, or since 1970 where the cue says `at`."""
    if cue.at is not None:
        at_ms = parse_rfc3339(cue.at)
        return at_ms, at_ms
    if cue.start_ms is None or cue.end_ms is None:
        raise MessageError("a cue needs start_ms and end_ms, or at")
    return cue.start_ms, cue.end_ms


def _bounded(cues: tuple[Cue, ...]) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """`cues` up to the limit, and a warning where there were more."""
    if len(cues) <= CUES_MAX:
        return cues, ()
    return cues[:CUES_MAX], (f"{len(cues)} cues in one segment; the first {CUES_MAX} are read",)
