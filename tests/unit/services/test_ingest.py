"""Ingest as a stage, with real decoders on tiny clips: one record in, one media record or dead letter out."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Literal

import pytest

from framecue.broker.protocol import NOTE_MAX, Record, TopicPartition
from framecue.broker.publishing import dead_letter
from framecue.broker.stage import Outputs, Position
from framecue.clock import FixedClock
from framecue.errors import InternalError, SetupError, SubtitleError
from framecue.media.decoding import DecodedSegment
from framecue.media.pool import DecoderPool
from framecue.media.sampling import Sampling
from framecue.schemas.codec import unpack_media
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.media import Cue, Media, Origin, SegmentMedia, TextMedia, Tick
from framecue.schemas.segment import CUES_MAX, CueIn, Headers, SegmentHeaders, segment_headers
from framecue.schemas.topics import MEDIA, partition_of
from framecue_services.ingest.worker import IngestWorker, fed, feeds_note, ticks
from tests.support.clips import Line, TextTrack, make_clip
from tests.support.films import jpeg

PARTITIONS = 4
CLIP = make_clip(seconds=2, size=(160, 90))
INSTANT = b'{"at": "1970-01-01T00:00:10Z", "text": "hi"}'
SRT = b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"


@pytest.fixture(scope="module")
def ingest() -> Iterator[IngestWorker]:
    with DecoderPool(2) as pool:
        worker = IngestWorker(pool, partitions=PARTITIONS)
        yield worker
        worker.close()


def record(
    value: bytes = CLIP,
    headers: Headers = (),
    *,
    key: bytes | None = b"cam1",
    topic: Literal["segments", "subtitles"] = "segments",
    offset: int = 0,
) -> Record:
    return Record(topic, 1, offset, 1_700_000_000_000, key, value, headers)


def media(outputs: Outputs) -> list[Media]:
    return [unpack_media(m.value or b"") for m in outputs.messages if m.topic == "media"]


def segment_of(worker: IngestWorker, value: bytes = CLIP, headers: Headers = ()) -> SegmentMedia:
    (one,) = media(worker.handle([record(value, headers)]))
    assert isinstance(one, SegmentMedia)
    return one


def text_of(worker: IngestWorker, value: bytes, headers: Headers = ()) -> TextMedia:
    (one,) = media(worker.handle([record(value, headers, topic="subtitles")]))
    assert isinstance(one, TextMedia)
    return one


def letters(outputs: Outputs) -> list[DeadLetter]:
    return [parse_dead_letter(m.value or b"", m.headers) for m in outputs.messages if m.topic == "deadletter"]


def test_a_segment_becomes_pictures_and_exact_times(ingest: IngestWorker) -> None:
    one = segment_of(ingest)
    assert (one.stream, one.container, one.wraps, one.damaged) == ("cam1", "mpegts", True, None)
    assert one.last + one.last_duration - one.first == 2
    assert [f.at - one.first for f in one.frames] == [0, Fraction(13, 25), 1, Fraction(38, 25)]
    assert one.sampling_per_second == 2
    assert one.digest == hashlib.sha256(CLIP).digest()[:16]
    assert one.origin == Origin(topic="segments", partition=1, offset=0, at_ms=1_700_000_000_000)


def test_the_headers_of_a_segment_are_kept(ingest: IngestWorker) -> None:
    said = SegmentHeaders(
        session="run", seq=7, start=Fraction(1001, 24), captured_at_ms=5, end=True, traceparent="00-aa-bb-01"
    )
    (message,) = ingest.handle([record(headers=segment_headers(said))]).messages
    one = unpack_media(message.value or b"")
    assert isinstance(one, SegmentMedia)
    assert (one.session, one.seq, one.start, one.captured_at_ms, one.end) == ("run", 7, said.start, 5, True)
    assert message.headers == (("traceparent", b"00-aa-bb-01"),)
    # The grid lies on media time where the header says it: 41.708 s is in cell 83, 0.292 s before the next.
    assert one.frames[0].cell == 83


def test_what_a_stream_sends_lands_on_its_own_partition(ingest: IngestWorker) -> None:
    streams = [f"cam{i}" for i in range(6)]
    outputs = ingest.handle([record(SRT, key=s.encode(), topic="subtitles") for s in streams])
    assert [(m.key, m.partition) for m in outputs.messages] == [
        (s.encode(), partition_of(s, PARTITIONS)) for s in streams
    ]


def test_cues_keep_the_clock_they_are_timed_by(ingest: IngestWorker) -> None:
    clip = make_clip(
        seconds=1, size=(160, 90), container="matroska", texts=(TextTrack((Line(100, 900, "in the file"),)),)
    )
    said = SegmentHeaders(
        cues=(
            CueIn(start_ms=5000, end_ms=6000, text="beside it", language="en"),
            CueIn(at="1970-01-01T00:00:10Z", text="at an instant"),
        )
    )
    one = segment_of(ingest, clip, segment_headers(said))
    assert [(c.text, c.clock, c.source, c.start_ms, c.end_ms) for c in one.cues] == [
        ("in the file", "container", "container", 100, 900),
        ("beside it", "start", "header", 5000, 6000),
        ("at an instant", "wall", "header", 10_000, 10_000),
    ]


@pytest.mark.parametrize(
    ("value", "headers", "expected"),
    [
        (SRT, (), ("hello", "start", "document", 1000)),
        (SRT, (("framecue-clock", b"start"),), ("hello", "start", "document", 1000)),
        (SRT, (("framecue-clock", b"wall"),), ("hello", "wall", "document", 1000)),  # times are since 1970
        (INSTANT, (("framecue-clock", b"start"),), ("hi", "wall", "document", 10_000)),
        (b"a line typed live", (("framecue-clock", b"wall"),), ("a line typed live", "live", "live", 0)),
    ],
    ids=["documents are in media time", "as said", "unless the header says wall", "an instant is one", "so is a line"],
)
def test_the_clock_header_decides_for_documents(
    ingest: IngestWorker, value: bytes, headers: Headers, expected: tuple[str, str, str, int]
) -> None:
    (cue,) = text_of(ingest, value, headers).cues
    assert (cue.text, cue.clock, cue.source, cue.start_ms) == expected


def test_the_headers_of_a_text_message_are_kept(ingest: IngestWorker) -> None:
    said = (("framecue-session", b"run"), ("framecue-lag-ms", b"3000"), ("framecue-language", b"nl"))
    one = text_of(ingest, SRT, said)
    assert (one.session, one.lag_ms, one.cues[0].language) == ("run", 3000, "nl")


@pytest.mark.parametrize(
    ("bad", "key", "error", "reason"),
    [
        (record(key=b"two words"), b"unkeyed", "MessageError", "no stream id"),
        (record(key=None), b"unkeyed", "MessageError", "no stream id"),
        (record(b"#EXTM3U\nhttp://nowhere/a.ts\n"), b"cam1", "UnsupportedMediaError", "playlist"),
        (record(b""), b"cam1", "UnsupportedMediaError", ""),
        (record(headers=(("framecue-start", b"1/0"),)), b"cam1", "MessageError", "not exact seconds"),
        (record(headers=(("framecue-cues", b"[{}]"),)), b"cam1", "MessageError", "JSON cues"),
        (record(SRT, (("framecue-lag-ms", b"soon"),), topic="subtitles"), b"cam1", "MessageError", "lag_ms"),
        (record(jpeg("red"), topic="subtitles"), b"cam1", "SubtitleError", "a picture"),
    ],
    ids=["key", "no key", "playlist", "empty", "start", "cues", "lag", "no text"],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_and_its_neighbours_go_on(
    ingest: IngestWorker, bad: Record, key: bytes, error: str, reason: str
) -> None:
    outputs = ingest.handle([record(offset=1), bad, record(SRT, topic="subtitles", offset=2)])
    assert [m.topic for m in outputs.messages] == ["media", "deadletter", "media"]
    assert outputs.messages[1].key == key
    (letter,) = letters(outputs)
    assert (letter.stage, letter.error, letter.value, letter.headers) == ("ingest", error, bad.value, bad.headers)
    assert reason in letter.reason
    assert outputs.failed == 0


def test_outputs_keep_the_order_of_the_input(ingest: IngestWorker) -> None:
    long, short = make_clip(seconds=8, size=(320, 180)), make_clip(seconds=Fraction(1, 5), size=(160, 90))
    values = [long, short, SRT, long, b"garbage", short]
    batch = [record(v, topic="subtitles" if v is SRT else "segments", offset=i) for i, v in enumerate(values)]
    outputs = ingest.handle(batch)
    places = [m.origin.offset for m in media(outputs) if not isinstance(m, Tick) and hasattr(m, "origin")]
    assert places == [0, 1, 2, 3, 5]
    assert [x.origin.offset for x in letters(outputs)] == [4]


def test_a_dead_letter_put_back_carries_where_it_came_from(ingest: IngestWorker) -> None:
    first = record(headers=(("framecue-seq", b"3"),), offset=17)
    letter = dead_letter(first, "ingest", SubtitleError("for now"))
    again = record(letter.value or b"", letter.headers, offset=400)
    (one,) = media(ingest.handle([again]))
    assert isinstance(one, SegmentMedia)
    assert (one.seq, one.origin.offset) == (3, 400)
    assert one.requeued_from == Origin(topic="segments", partition=1, offset=17, at_ms=1_700_000_000_000)


def test_headers_that_only_look_like_a_dead_letter_are_refused(ingest: IngestWorker) -> None:
    (letter,) = letters(ingest.handle([record(headers=(("framecue-dead-topic", b"segments"),))]))
    assert "not a dead letter of ours" in letter.reason


class Given:
    """A decoder that answers what it was given: for what no small clip can hold."""

    sampling = Sampling()

    def __init__(self, answer: DecodedSegment | Exception) -> None:
        self._answer = answer

    def decode(self, data: bytes, *, start: Fraction | None, program: int | None) -> DecodedSegment:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def decoded(*cues: Cue) -> DecodedSegment:
    zero = Fraction(0)
    return DecodedSegment(
        container="matroska", wraps=False, first=zero, last=zero, last_duration=Fraction(1), cues=cues
    )


def cue(words: str) -> Cue:
    return Cue(start_ms=0, end_ms=1, text=words, clock="container", source="container")


def handled(answer: DecodedSegment | Exception) -> Outputs:
    worker = IngestWorker(Given(answer), partitions=PARTITIONS)
    try:
        return worker.handle([record()])
    finally:
        worker.close()


@pytest.mark.parametrize("error", [InternalError("decoding failed with KeyError"), KeyError("a bug")], ids=repr)
def test_a_fault_of_our_own_is_a_dead_letter_that_counts(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outputs = handled(error)
    assert (outputs.failed, [x.error for x in letters(outputs)]) == (1, [type(error).__name__])
    assert "segments 1/0" in caplog.text


def test_what_a_person_must_mend_stops_the_worker() -> None:
    with pytest.raises(SetupError):
        handled(SetupError("a decoder process does not start"))


def test_a_media_record_above_the_limit_is_a_dead_letter() -> None:
    outputs = handled(decoded(cue("x" * MEDIA.max_bytes)))
    (letter,) = letters(outputs)
    assert (letter.error, outputs.failed) == ("LimitExceededError", 0)
    assert "pictures and words" in letter.reason


def test_a_segment_holds_a_bounded_number_of_cues() -> None:
    (one,) = media(handled(decoded(*(cue(f"line {i}") for i in range(CUES_MAX + 3)))))
    assert isinstance(one, SegmentMedia)
    assert len(one.cues) == CUES_MAX
    assert one.warnings == (f"{CUES_MAX + 3} cues in one segment; the first {CUES_MAX} are read",)


def test_ticks_go_from_each_input_partition_to_what_it_feeds() -> None:
    positions = {
        TopicPartition("segments", 0): Position(read=5, end=5),
        TopicPartition("segments", 1): Position(read=4, end=5),
        TopicPartition("subtitles", 0): Position(read=0, end=0),  # feeds nothing that is known
    }
    feeds = {TopicPartition("segments", 0): {2, 0}, TopicPartition("segments", 1): {1}}
    written = ticks(positions, feeds, now_ms=9)
    assert [(m.topic, m.key, m.partition, unpack_media(m.value or b"")) for m in written] == [
        ("media", None, 0, Tick(topic="segments", partition=0, caught_up=True, at_ms=9)),
        ("media", None, 2, Tick(topic="segments", partition=0, caught_up=True, at_ms=9)),
        ("media", None, 1, Tick(topic="segments", partition=1, caught_up=False, at_ms=9)),
    ]


def test_a_worker_ticks_for_what_it_has_written() -> None:
    worker = IngestWorker(Given(decoded()), partitions=PARTITIONS)
    source = TopicPartition("segments", 1)
    positions = {source: Position(read=1, end=1)}
    before = worker.tick(positions, now_ms=0)
    worker.handle([record(key=b"cam1"), record(key=b"cam2"), record(key=b"no stream")])
    worker.close()
    fed = {partition_of("cam1", PARTITIONS), partition_of("cam2", PARTITIONS)}
    assert (before, {m.partition for m in worker.tick(positions, now_ms=0)}) == ((), fed)


def test_a_worker_ticks_for_its_own_number_from_the_moment_it_takes_a_partition() -> None:
    """Producers that hash as we do put a stream where its media lie; of others the worker before has noted it."""
    source, other = TopicPartition("segments", 1), TopicPartition("subtitles", 2)
    positions = {source: Position(read=1, end=1), other: Position(read=0, end=1)}
    first = IngestWorker(Given(decoded()), partitions=PARTITIONS)
    first.take(source, "")
    fresh = {m.partition for m in first.tick(positions, now_ms=0)}
    first.handle([record(key=f"cam{i}".encode()) for i in range(20)])
    note = first.note(source)
    first.close()
    second = IngestWorker(Given(decoded()), partitions=PARTITIONS)
    second.take(source, note)
    second.close()
    assert fresh == {1}
    assert note == "f"
    assert {m.partition for m in second.tick(positions, now_ms=0)} == set(range(PARTITIONS))


@pytest.mark.parametrize(
    ("partitions", "note"),
    [((), "0"), ((0,), "1"), ((3, 5), "28"), (range(1000), "f" * 250)],
    ids=["none", "one", "some", "a thousand fit"],
)
def test_a_note_tells_what_is_fed(partitions: Collection[int], note: str) -> None:
    assert (feeds_note(partitions), fed(note)) == (note, set(partitions))
    assert len(note) <= NOTE_MAX // 2  # the loop notes attempts beside it


@pytest.mark.parametrize("note", ["", "not ours"])
def test_a_note_that_says_nothing_is_no_obstacle(note: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fed(note) == set()
    assert ("cannot be read" in caplog.text) is (note != "")


ARRIVED_MS, PATIENCE_MS = 1_700_000_000_000, 60_000
LAST = (("framecue-end", b"1"),)
WORDS = (("framecue-cues", b'[{"start_ms": 0, "end_ms": 900, "text": "beside it"}]'),)


def catching_up(*batches: list[Record], late_ms: int = 1) -> list[Outputs]:
    clock = FixedClock(ARRIVED_MS + PATIENCE_MS + late_ms)
    worker = IngestWorker(Given(decoded()), partitions=PARTITIONS, skip_older_than_ms=PATIENCE_MS, now_ms=clock.now_ms)
    try:
        return [worker.handle(batch) for batch in batches]
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("asked", "late_ms", "kind"),
    [
        (record(), 1, "text"),  # skipped, and said
        (record(), 0, "segment"),
        (record(headers=LAST), 1, "segment"),  # it says that its run is over, and nothing else does
        (record(SRT, topic="subtitles"), 1, "text"),  # words are never skipped
        (record(key=b"two words"), 1, None),  # still a dead letter
    ],
    ids=["late", "in time", "the last", "words", "no stream"],
)
def test_segments_that_waited_too_long_are_skipped_in_the_open(asked: Record, late_ms: int, kind: str | None) -> None:
    (outputs,) = catching_up([asked], late_ms=late_ms)
    assert [m.kind for m in media(outputs)] == ([] if kind is None else [kind])
    assert len(outputs.messages) == 1  # each is accounted for


def test_a_skipped_segment_says_so_and_keeps_its_words() -> None:
    (outputs,) = catching_up([record(headers=(("framecue-session", b"run"), *WORDS), offset=7)])
    (one,) = media(outputs)
    assert isinstance(one, TextMedia)
    assert (one.session, one.origin.offset, [c.text for c in one.cues]) == ("run", 7, ["beside it"])
    assert one.warnings == ("segments that waited for longer than 60000 ms were skipped",)


def test_a_burst_of_skips_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    late = [record(offset=i) for i in range(3)]
    with caplog.at_level(logging.WARNING):
        catching_up(late, late, [record(SRT, topic="subtitles")], [record(SRT, topic="subtitles")])
    assert [r.getMessage() for r in caplog.records] == [
        "segments wait for longer than 60000 ms: skipping them",
        "caught up; 6 segments were skipped",
    ]


def test_everything_is_decoded_unless_asked_otherwise() -> None:
    (one,) = media(handled(decoded()))
    assert isinstance(one, SegmentMedia)


def test_json_cues_of_a_text_message_are_read(ingest: IngestWorker) -> None:
    cues = [{"start_ms": 1, "end_ms": 2, "text": "one"}, {"start_ms": 3, "end_ms": 4, "text": "two", "language": "fr"}]
    read = text_of(ingest, json.dumps(cues).encode()).cues
    assert [(c.start_ms, c.text, c.language) for c in read] == [(1, "one", None), (3, "two", "fr")]
