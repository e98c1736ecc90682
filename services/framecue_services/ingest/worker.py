"""Ingest: one input record becomes one media record, or one dead letter. A map; it only remembers whom it feeds.

Segments decode in child processes, in parallel; outputs keep the order of the input. What is wrong with a record is its
own affair: the neighbours go on. It must not know models, epochs or windows.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Protocol, get_args

from framecue.broker.protocol import Message, Record, TopicPartition, size
from framecue.broker.publishing import about, dead_letter, origin_of
from framecue.broker.stage import MapStage, Outputs, Position
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
from framecue.telemetry import metrics
from framecue.telemetry.metrics import add
from framecue.telemetry.names import CUES, DECODE_DURATION, FRAMES, SHED
from framecue.telemetry.traces import Here, arrival
from framecue.timeline import parse_rfc3339

STAGE = "ingest"
TOO_OLD = "too_old"
"""Why a segment is left out where operators ask."""
_log = logging.getLogger(__name__)


class Decoder(Protocol):
    """`framecue.media.pool.DecoderPool`, as far as ingest needs it."""

    @property
    def sampling(self) -> Sampling: ...

    def decode(self, data: bytes, *, start: Fraction | None, program: int | None) -> DecodedSegment:
        """Blocks while a child works; called from several threads. Raises the MediaError tree."""
        ...


class IngestWorker(MapStage):
    """`broker.stage.Stage` over `segments` and `subtitles`. `partitions` is how many `media` has.

    `threads` wait for decoders; more than the pool has children only queue. Segments that the broker appended longer
    than `skip_older_than_ms` before `now_ms` are not decoded; None decodes everything.
    """

    tick_every_s: float | None = 1.0

    def __init__(
        self,
        decoders: Decoder,
        *,
        partitions: int,
        threads: int = 4,
        skip_older_than_ms: int | None = None,
        now_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._decoders = decoders
        self._partitions = partitions
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=STAGE)
        self._skip_older_than_ms, self._now_ms = skip_older_than_ms, now_ms
        _show_zeros()
        self._skipped = 0
        """Segments of the burst that is being skipped."""
        self._feeds: dict[TopicPartition, frozenset[int]] = {}
        """For each input partition the media partitions that its streams have. One thread replaces sets, others read;
        what was learned stays true when a partition is left, or a commit fails."""

    def handle(self, batch: Sequence[Record]) -> Outputs:
        due_ms = self._due_ms()
        late = [due_ms is not None and _waited_too_long(record, due_ms) for record in batch]
        self._count_skipped(sum(late))
        results = list(self._threads.map(self._one, batch, late))
        for record, (message, _) in zip(batch, results, strict=True):
            if message.topic == MEDIA.name and message.partition is not None:
                self._learn(TopicPartition(record.topic, record.partition), {message.partition})
        return Outputs(tuple((message,) for message, _ in results), failed=sum(failed for _, failed in results))

    def take(self, at: TopicPartition, note: str) -> None:
        """Ticks go to where producers that hash as we do put their streams, and to what was learned of others."""
        self._learn(at, {at.partition} | fed(note))

    def note(self, at: TopicPartition) -> str:
        """The media partitions that `at` feeds."""
        return feeds_note(self._feeds.get(at, ()))

    def tick(self, positions: Mapping[TopicPartition, Position], *, now_ms: int) -> tuple[Message, ...]:
        """A tick of each input partition owned, into each media partition that it feeds."""
        return ticks(positions, self._feeds, now_ms=now_ms)

    def close(self) -> None:
        self._threads.shutdown()

    def _learn(self, at: TopicPartition, partitions: set[int]) -> None:
        known = self._feeds.get(at, frozenset())
        self._feeds[at] = known | {p for p in partitions if p < self._partitions}

    def _due_ms(self) -> int | None:
        """Segments that were appended before this are skipped; None skips none."""
        now_ms = self._now_ms()
        return None if now_ms is None or self._skip_older_than_ms is None else now_ms - self._skip_older_than_ms

    def _count_skipped(self, n: int) -> None:
        if n and not self._skipped:
            _log.warning("segments wait for longer than %s ms: skipping them", self._skip_older_than_ms)
        elif not n and self._skipped:
            _log.warning("caught up; %d segments were skipped", self._skipped)
        self._skipped = self._skipped + n if n else 0

    def _one(self, record: Record, late: bool) -> tuple[Message, bool]:
        """What `record` gives, and whether that is by a fault of our own."""
        with arrival("ingest", record.headers, about=about(record)) as here:
            try:
                return self._media(record, late, here), False
            except InputError as e:
                here.failed(e)
                return dead_letter(record, STAGE, e), False
            except SetupError:
                raise  # no record would fare better
            except Exception as e:
                # A record that trips a bug of ours must not stop its partition; the loop stops when there are many.
                here.failed(e)
                return dead_letter(record, STAGE, e), True

    def _media(self, record: Record, late: bool, here: Here) -> Message:
        stream = stream_id(record.key)
        headers, requeued_from = _original(record)
        media: SegmentMedia | TextMedia
        if record.topic != SEGMENTS.name:
            media = _text(stream, record, headers)
        else:
            said = parse_segment_headers(headers)
            # the last segment says that its run is over, and nothing else does
            if late and not said.end and requeued_from is None:
                media = self._left_out(stream, record, said)
            else:
                media = self._segment(stream, record, said=said, requeued_from=requeued_from)
        partition = partition_of(stream, self._partitions)
        message = Message(MEDIA.name, stream.encode(), pack(media), here.headers, partition)
        if (got := size(message)) > MEDIA.max_bytes:
            raise LimitExceededError("bytes of pictures and words in one record", MEDIA.max_bytes, got)
        for source, count in Counter(cue.source for cue in media.cues).items():
            add(CUES, count, source=source)
        return message

    def _left_out(self, stream: str, record: Record, said: SegmentHeaders) -> TextMedia:
        """What stands in the log for a segment that waited too long: its words, and that it was skipped."""
        add(SHED, group=STAGE, reason=TOO_OLD)
        return TextMedia(
            stream=stream,
            origin=origin_of(record),
            session=said.session,
            traceparent=said.traceparent,
            warnings=(f"segments that waited for longer than {self._skip_older_than_ms} ms were skipped",),
            cues=tuple(_header_cues(said)),
        )

    def _decode(self, data: bytes, said: SegmentHeaders) -> DecodedSegment:
        began_s = time.monotonic()
        try:
            decoded = self._decoders.decode(data, start=said.start, program=said.program)
        finally:
            metrics.record(DECODE_DURATION, time.monotonic() - began_s)
        add(FRAMES, len(decoded.frames))
        return decoded

    def _segment(
        self, stream: str, record: Record, *, said: SegmentHeaders, requeued_from: Origin | None
    ) -> SegmentMedia:
        data = record.value or b""
        decoded = self._decode(data, said)
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
            lag_ms=said.lag_ms,
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
    """One tick of each input partition for each media partition that it feeds; `now_ms` is the broker's time.

    Caught up is who has committed all that stood there when the end was measured: what came of it is in `media` then,
    ahead of the tick.
    """
    out = []
    for source, at in sorted(positions.items()):
        tick = Tick(topic=source.topic, partition=source.partition, caught_up=at.read >= at.end, at_ms=now_ms)
        out += [Message(MEDIA.name, None, pack(tick), partition=fed) for fed in sorted(feeds.get(source, ()))]
    return tuple(out)


def feeds_note(partitions: Collection[int]) -> str:
    """`partitions` in few characters: the bits of a hexadecimal number."""
    return f"{sum(1 << p for p in partitions):x}"


def fed(note: str) -> set[int]:
    """The partitions that `feeds_note` wrote down; none where a note is not ours."""
    try:
        bits = int(note or "0", 16)
    except ValueError:
        _log.warning("a note of ingest cannot be read: %.40r; ticks go to fewer partitions until it has learned", note)
        return set()
    return {p for p in range(bits.bit_length()) if bits >> p & 1}


def _show_zeros() -> None:
    """Shows what is to be counted before it is: no alert sees a step from nothing to one."""
    add(FRAMES, 0)
    add(SHED, 0, group=STAGE, reason=TOO_OLD)
    for source in get_args(Cue.model_fields["source"].annotation):
        add(CUES, 0, source=source)


def _waited_too_long(record: Record, due_ms: int) -> bool:
    return record.topic == SEGMENTS.name and record.timestamp_ms is not None and record.timestamp_ms < due_ms


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
