"""Fusion: media records become features records, and these, folded, results. A batch is embedded first, then folded.

The features are written beside the results that rest on them, so the same fold can be done again from the log without
a model: that is how a partition is taken over. It must not know how vectors are made or what the machines decide.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Literal

from framecue.analysis.machine import Refused, Result
from framecue.analysis.settings import MachineSettings
from framecue.broker.protocol import Broker, Message, Record, TopicPartition
from framecue.broker.publishing import about, dead_letter, letter_message, result_message
from framecue.broker.stage import MapStage, Outputs
from framecue.clock import Clock
from framecue.errors import MessageError
from framecue.models.protocols import Model
from framecue.schemas.caption import CaptionRequest
from framecue.schemas.codec import pack, unpack_media
from framecue.schemas.deadletter import DeadLetter
from framecue.schemas.features import Features, SegmentFeatures, TextFeatures
from framecue.schemas.media import SegmentMedia, TextMedia
from framecue.schemas.results import PublishedResult
from framecue.schemas.topics import CAPTION_REQUESTS, FEATURES
from framecue.telemetry import metrics
from framecue.telemetry.calls import show_model_failures
from framecue.telemetry.metrics import level
from framecue.telemetry.names import FOLD_DURATION, STREAMS
from framecue.telemetry.traces import Here, span, traceparent_of
from framecue_services.fusion.adopting import Adoption
from framecue_services.fusion.checkpoints import Checkpoints, media_offset_header
from framecue_services.fusion.embedding import Embedder, Source
from framecue_services.fusion.folding import Folder
from framecue_services.fusion.telling import let_go, show_zeros, tell

STAGE = "fusion"
_log = logging.getLogger(__name__)


class FusionWorker(MapStage):
    """`broker.stage.Stage` over `media`. Keeps the state of its streams, by partition: made from the log when taken.

    `clock` stamps the time of publication; None leaves it open, so that output is a function of input. Without `broker`
    every partition starts afresh. `snapshot_every_ms` of the monotonic time `now_s` lie between two checkpoints of a
    partition; None makes none. What was folded in the space of another model is refused unless it is to be adopted.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: MachineSettings,
        clock: Clock | None = None,
        broker: Broker | None = None,
        snapshot_every_ms: int | None = None,
        now_s: Callable[[], float] = monotonic,
        other_space: Literal["refuse", "adopt"] = "refuse",
    ) -> None:
        self._embedder = Embedder(model)
        self._folder = Folder(model.space, model=model.name, settings=settings)
        self._clock = clock
        show_zeros()
        show_model_failures()
        adoption = Adoption(self._embedder.embed_again, self._published)
        self._checkpoints = (
            None
            if broker is None
            else Checkpoints(
                broker,
                space=model.space,
                model=model.name,
                settings=settings,
                every_ms=snapshot_every_ms,
                now_s=now_s,
                adoption=adoption if other_space == "adopt" else None,
            )
        )

    def handle(self, batch: Sequence[Record]) -> Outputs:
        read = [self._read(record) for record in batch]
        given = iter(self._embed(batch, read))
        out: list[tuple[Message, ...]] = []
        failed = 0
        for record, source in zip(batch, read, strict=True):
            if not isinstance(source, Source):
                out.append(source)
                continue
            features = next(given)
            failed += any(_failed(f) for f in features)
            out.append(tuple(message for one in features for message in self._fold(record, one)))
        level(STREAMS, self._folder.streams)
        for partition, last in {record.partition: i for i, record in enumerate(batch)}.items():
            out[last] += self._checkpoint(partition)
        return Outputs(tuple(out), failed)

    def _read(self, record: Record) -> Source | tuple[Message, ...]:
        """The media record that `record` holds, or what is to be written instead: a dead letter where it holds none.

        Nothing for one that was folded before: it comes again where the group's offsets were lost, after a week away.
        """
        if record.offset <= self._folder.partition(record.partition).folded:
            return ()
        try:
            return Source(record.partition, record.offset, unpack_media(record.value or b""))
        except MessageError as e:
            return (dead_letter(record, STAGE, e),)

    def take(self, at: TopicPartition, note: str) -> None:
        """Raises SetupError where the log holds what this worker cannot go on from."""
        if self._checkpoints is not None:
            self._checkpoints.take(at.partition, self._folder)
        level(STREAMS, self._folder.streams)

    def leave(self, at: TopicPartition) -> None:
        let_go(self._folder.partition(at.partition).machines)
        self._folder.leave(at.partition)
        level(STREAMS, self._folder.streams)
        if self._checkpoints is not None:
            self._checkpoints.leave(at.partition)

    def finish(self, stream: str) -> tuple[Message, ...]:
        """What closing the stream's epoch gives; for input that ends without saying so."""
        return tuple(self._messages(self._folder.finish(stream), key=stream.encode(), here=Here(None), said=None))

    def _checkpoint(self, partition: int) -> tuple[Message, ...]:
        if self._checkpoints is None:
            return ()
        return self._checkpoints.messages(partition, self._folder.partition(partition))

    def _embed(
        self, batch: Sequence[Record], read: Sequence[Source | tuple[Message, ...]]
    ) -> list[tuple[Features, ...]]:
        sources = [source for source in read if isinstance(source, Source)]
        asking = [
            traceparent_of(record.headers)
            for record, source in zip(batch, read, strict=True)
            if isinstance(source, Source) and isinstance(source.media, SegmentMedia | TextMedia)
        ]
        if not asking:  # a second of ticks is nothing to measure
            return self._embedder.embed(sources)
        with span("embed", links=asking, about={"framecue.records": len(asking)}):
            return self._embedder.embed(sources)

    def _fold(self, record: Record, features: Features) -> list[Message]:
        headers = (*record.headers, media_offset_header(record.offset))
        with self._folding(record, features) as here:
            began_s = monotonic()
            results = self._folder.fold(record.partition, features, offset=record.offset)
            metrics.record(FOLD_DURATION, monotonic() - began_s, kind=features.kind)
            made = self._messages(results, key=record.key, here=here, said=getattr(features, "traceparent", None))
            messages = [Message(FEATURES.name, record.key, pack(features), headers, record.partition), *made]
        tell(results, features, now_ms=None if self._clock is None else self._clock.now_ms())
        return messages

    def _folding(self, record: Record, features: Features) -> AbstractContextManager[Here]:
        """Around the fold of one record; what concerns no stream in particular belongs to no trace."""
        came = traceparent_of(record.headers)
        if isinstance(features, SegmentFeatures | TextFeatures):
            return span("fold", came, about=about(record))
        return nullcontext(Here(came))

    def _published(self, result: PublishedResult) -> Message:
        return result_message(result, self._clock)

    def _messages(
        self, results: Iterable[Result], *, key: bytes | None, here: Here, said: str | None
    ) -> Iterator[Message]:
        """What `results` are written as, made `here`; `said` is the traceparent that the log itself tells of.

        Values hold what the log says and headers what is measured, so the same log gives the same values anywhere.
        """
        for result in results:
            match result:
                case Refused():
                    _log.info("%r at %s: %s", key, result.origin, result.reason)
                    yield from (letter_message(letter, key) for letter in refused_letters(result))
                case CaptionRequest():
                    request = result.model_copy(update={"traceparent": result.traceparent or said})
                    yield Message(CAPTION_REQUESTS.name, request.stream.encode(), pack(request), here.headers)
                case _:
                    yield result_message(result, self._clock, traceparent=here.traceparent)


def _failed(features: Features) -> bool:
    return isinstance(features, SegmentFeatures | TextFeatures) and features.model_error is not None


def refused_letters(refused: Refused) -> Iterator[DeadLetter]:
    """The cues that the fold did not take, as JSON that can be sent again; a letter for each clock they are timed by.

    The clock stands in the header, so that times which only made sense where they were (live, a transport stream's)
    are refused again rather than misplaced.
    """
    for clock in sorted({cue.clock for cue in refused.cues}):
        cues = [
            c.model_dump(include={"start_ms", "end_ms", "text", "language"}) for c in refused.cues if c.clock == clock
        ]
        yield DeadLetter(
            origin=refused.origin,
            stage=STAGE,
            error=MessageError.__name__,
            reason=refused.reason,
            value=json.dumps(cues, ensure_ascii=False).encode(),
            headers=(("content-type", b"application/json"), ("framecue-clock", clock.encode())),
        )
