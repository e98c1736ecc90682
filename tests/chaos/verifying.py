"""What must be true of the topics and the store once everything has been read, whatever happened meanwhile.

It reads what is committed, from the oldest record to the end of each topic, and asks no service: each check is a
function that gives sentences, one for each thing that is wrong. It must not know what was done to the workers.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from framecue.analysis.machine import Refused
from framecue.analysis.settings import MachineSettings
from framecue.broker.protocol import Broker, Record
from framecue.clock import Clock
from framecue.errors import InputError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import CaptionRequest
from framecue.schemas.codec import pack, unpack_features, unpack_media
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.event import SIGNAL_LOST, Event
from framecue.schemas.features import MEDIA_OFFSET_HEADER
from framecue.schemas.media import Origin, SegmentMedia, TextMedia
from framecue.schemas.results import PublishedResult, read_result, to_json, version
from framecue.schemas.topics import (
    ANNOTATIONS,
    CAPTION_REQUESTS,
    DEADLETTER,
    EVENTS,
    FEATURES,
    MEDIA,
    SEGMENTS,
    SUBTITLES,
)
from framecue.store.protocol import Store
from framecue_services.fusion.folding import Folder
from framecue_services.fusion.worker import refused_letters
from framecue_services.projector.view import differences
from framecue_services.projector.worker import has_picture
from tests.support.encoders import light_model

INPUT = (SEGMENTS.name, SUBTITLES.name)
READ = (*INPUT, *(t.name for t in (MEDIA, FEATURES, ANNOTATIONS, EVENTS, CAPTION_REQUESTS, DEADLETTER)))
Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(frozen=True)
class Session:
    """What one run of a stream must come to: `windows` of `window_ms` from its start on, without a hole."""

    stream: str
    windows: int


@dataclass
class Verdict:
    """What was counted, and what is wrong."""

    counts: Counter[str]
    wrong: list[str]


@dataclass(frozen=True)
class Topics:
    """All that is committed, read once, by topic and partition."""

    records: Mapping[tuple[str, int], Sequence[Record]]

    @classmethod
    def read(cls, broker: Broker) -> Topics:
        places = [(topic, p) for topic in READ for p in range(broker.partitions(topic))]
        return cls({(topic, p): list(broker.read(topic, partition=p)) for topic, p in places})

    @property
    def partitions(self) -> list[int]:
        return sorted({p for _, p in self.records})

    def of(self, topic: str, partition: int) -> Sequence[Record]:
        return self.records[topic, partition]

    def all(self, topic: str) -> Iterator[Record]:
        return (record for p in self.partitions for record in self.records[topic, p])


def verify(
    broker: Broker, store: Store, *, settings: MachineSettings, sessions: Sequence[Session], clock: Clock | None = None
) -> Verdict:
    """Every check over what is there now; nothing may be written meanwhile. `clock` is what the store goes by."""
    topics = Topics.read(broker)
    wrong = [
        *faults(topics, settings, sessions),
        *(f"store: {what}" for what in differences(broker, store, clock=clock)),
    ]
    wrong += wrong_pictures(topics, store)
    return Verdict(counted(topics), wrong)


def faults(topics: Topics, settings: MachineSettings, sessions: Sequence[Session]) -> Iterator[str]:
    """What is wrong with the topics alone."""
    yield from repeated_or_missing(topics)
    yield from unaccounted_input(topics)
    yield from unaccounted_media(topics)
    yield from given_up(topics)
    yield from unlike_the_fold(topics, settings)
    yield from incomplete(topics, sessions, window_ms=settings.window_ms)
    yield from false_alarms(topics, settings)


def counted(topics: Topics) -> Counter[str]:
    """How much there is of everything."""
    out: Counter[str] = Counter()
    for topic in (*INPUT, MEDIA.name, FEATURES.name, ANNOTATIONS.name, EVENTS.name, CAPTION_REQUESTS.name):
        out[topic] = sum(1 for _ in topics.all(topic))
    out["revisions above 1"] = sum(r.revision > 1 for r in _results(topics, ANNOTATIONS.name))
    out["epochs"] = len({(r.stream, r.epoch) for r in _results(topics, ANNOTATIONS.name)})
    for letter in _letters(topics):
        out[f"dead letters of {letter.stage}: {letter.error}"] += 1
    return out


def repeated_or_missing(topics: Topics) -> Iterator[str]:
    """(id, revision) and (id, sequence): each once, from 1 on, in order, without a gap."""
    for topic in (ANNOTATIONS.name, EVENTS.name):
        seen: defaultdict[str, list[int]] = defaultdict(list)
        for result in _results(topics, topic):
            seen[result.id].append(version(result))
        for name, versions in seen.items():
            if versions != list(range(1, len(versions) + 1)):
                yield f"{topic}: {name} has {versions}, and must have 1 to {len(versions)}, each once"


def unaccounted_input(topics: Topics) -> Iterator[str]:
    """Each input record has one media record or one dead letter, and nothing else has any."""
    there = {_place(record) for topic in INPUT for record in topics.all(topic)}
    became = Counter(
        _origin(media.origin) for _, media in _media(topics) if isinstance(media, SegmentMedia | TextMedia)
    )
    became += Counter(_origin(letter.origin) for letter in _letters(topics) if letter.stage == "ingest")
    for place in sorted(there | became.keys()):
        if became[place] != 1:
            yield f"{_said(place)} became {became[place]} records" + ("" if place in there else ", and is not there")
        elif place not in there:
            yield f"{_said(place)} became a record, and is not there"


def unaccounted_media(topics: Topics) -> Iterator[str]:
    """Each media record has its features, in the order of its partition, or one dead letter."""
    refused = Counter(_origin(letter.origin) for letter in _letters(topics) if letter.origin.topic == MEDIA.name)
    for p in topics.partitions:
        offsets = [int(dict(record.headers)[MEDIA_OFFSET_HEADER]) for record in topics.of(FEATURES.name, p)]
        if offsets != sorted(offsets):
            yield f"{FEATURES.name} {p}: not in the order of {MEDIA.name}"
        made = Counter(offsets)
        there = {record.offset for record in topics.of(MEDIA.name, p)}
        for offset in sorted(there | made.keys()):
            count = made[offset] + refused[MEDIA.name, p, offset]
            if count != 1 or offset not in there:
                letters = count - made[offset]
                yield f"{MEDIA.name} {p}/{offset} became {made[offset]} features and {letters} dead letters"


def given_up(topics: Topics) -> Iterator[str]:
    """No record is given up by a fault that is not its own."""
    blamed = _names(InputError)
    for letter in _letters(topics):
        if letter.error not in blamed:
            yield f"{_said(_origin(letter.origin))} was given up by {letter.stage}: {letter.error}: {letter.reason}"


def unlike_the_fold(topics: Topics, settings: MachineSettings) -> Iterator[str]:
    """The features, folded again, give what was published, in its order, to the byte but for when that was."""
    model = light_model()
    for p in topics.partitions:
        folder = Folder(model.space, model=model.name, settings=settings)
        again: defaultdict[str, list[bytes]] = defaultdict(list)
        for record in topics.of(FEATURES.name, p):
            offset = int(dict(record.headers)[MEDIA_OFFSET_HEADER])
            for result in folder.fold(p, unpack_features(record.value or b""), offset=offset):
                match result:
                    case Refused():
                        again[DEADLETTER.name] += [_refusal(letter) for letter in refused_letters(result)]
                    case CaptionRequest():
                        again[CAPTION_REQUESTS.name].append(pack(result))
                    case Annotation():
                        again[ANNOTATIONS.name].append(to_json(result))
                    case Event():
                        again[EVENTS.name].append(to_json(result))
        written = {
            ANNOTATIONS.name: [_timeless(r) for r in topics.of(ANNOTATIONS.name, p)],
            EVENTS.name: [_timeless(r) for r in topics.of(EVENTS.name, p)],
            CAPTION_REQUESTS.name: [r.value or b"" for r in topics.of(CAPTION_REQUESTS.name, p)],
            DEADLETTER.name: [
                _refusal(letter)
                for letter in _parsed(topics.of(DEADLETTER.name, p))
                if letter.origin.topic in INPUT and letter.stage == "fusion"
            ],
        }
        for topic, values in written.items():
            if values != again[topic]:
                yield f"{topic} {p}: {_first_difference(values, again[topic])}"


def incomplete(topics: Topics, sessions: Sequence[Session], *, window_ms: int) -> Iterator[str]:
    """Each run of a stream has all of its windows, and there are no other runs."""
    wanted: defaultdict[str, list[int]] = defaultdict(list)
    for session in sessions:
        wanted[session.stream].append(session.windows)
    starts: defaultdict[str, dict[int, set[int]]] = defaultdict(dict)
    for result in _results(topics, ANNOTATIONS.name):
        if isinstance(result, Annotation):
            starts[result.stream].setdefault(result.epoch, set()).add(result.start_ms)
    for stream in sorted(wanted.keys() | starts.keys()):
        got = [starts[stream][epoch] for epoch in sorted(starts[stream])]
        if [len(s) for s in got] != wanted[stream]:
            yield f"{stream}: its runs have {[len(s) for s in got]} windows, and must have {wanted[stream]}"
        for run in got:
            if run != set(range(min(run), min(run) + len(run) * window_ms, window_ms)):
                yield f"{stream}: a run with a hole: {sorted(run)}"


def wrong_pictures(topics: Topics, store: Store) -> Iterator[str]:
    """The picture of each event that the store shows is the one its newest state names."""
    media = {(record.partition, record.offset): record for record in topics.all(MEDIA.name)}
    for event in (event for stream in store.streams() for event in store.events(stream)):
        if has_picture(event):
            ref = event.evidence.frames[0]
            named = unpack_media(media[ref.partition, ref.offset].value or b"")
            if not isinstance(named, SegmentMedia) or store.evidence(event.id) != named.frames[ref.index].jpeg:
                yield f"store: the picture of {event.id} is not the one that sequence {event.sequence} names"


def false_alarms(topics: Topics, settings: MachineSettings) -> Iterator[str]:
    """A signal is lost only where no segment of the stream arrived for so long."""
    arrived: defaultdict[str, list[int]] = defaultdict(list)
    for record in topics.all(SEGMENTS.name):
        arrived[(record.key or b"").decode("utf-8", "replace")].append(record.timestamp_ms or 0)
    last_ms = max((record.timestamp_ms or 0 for record in topics.all(MEDIA.name)), default=0)
    for event in _results(topics, EVENTS.name):
        if isinstance(event, Event) and event.rule == SIGNAL_LOST and event.sequence == 1:
            longest = max((b - a for a, b in pairwise([*sorted(arrived[event.stream]), last_ms])), default=0)
            if longest < settings.signal_lost_ms:
                yield f"{event.id}: the signal was never away for longer than {longest} ms"


def _names(error: type[Exception]) -> set[str]:
    """Of an error and all that derive from it."""
    return {error.__name__}.union(*(_names(kind) for kind in error.__subclasses__()))


def _results(topics: Topics, topic: str) -> Iterator[PublishedResult]:
    return (read_result(topic, record.value) for record in topics.all(topic))


def _media(topics: Topics) -> Iterator[tuple[Record, object]]:
    return ((record, unpack_media(record.value or b"")) for record in topics.all(MEDIA.name))


def _letters(topics: Topics) -> Iterator[DeadLetter]:
    return _parsed(topics.all(DEADLETTER.name))


def _parsed(records: Iterable[Record]) -> Iterator[DeadLetter]:
    return (parse_dead_letter(record.value or b"", record.headers) for record in records)


def _timeless(record: Record) -> bytes:
    return to_json(read_result(record.topic, record.value).model_copy(update={"published_at": None}))


def _refusal(letter: DeadLetter) -> bytes:
    return json.dumps([letter.reason, letter.value.decode(), str(letter.origin)]).encode()


def _first_difference(written: Sequence[bytes], again: Sequence[bytes]) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(written, again, strict=False)) if a != b), min(len(written), len(again))
    )
    got = [
        values[at].decode("utf-8", "replace")[:600] if at < len(values) else "nothing" for values in (written, again)
    ]
    return f"{len(written)} written, {len(again)} folded again; number {at} is {got[0]}, folded again {got[1]}"


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def _origin(origin: Origin) -> Place:
    return origin.topic, origin.partition, origin.offset


def _said(place: Place) -> str:
    return f"{place[0]} {place[1]}/{place[2]}"


def summary(counts: Mapping[str, int]) -> str:
    """The counts, one a line."""
    return "\n".join(f"{count:>8}  {what}" for what, count in counts.items())
