"""Every stage in one process over the memory broker: what `analyze` and `demo --embedded` run.

The stages are the ones that run against real servers, each with its own consumer and its own commits; only the wiring
is here. It must not know how results are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from framecue.analysis.machine import MachineSettings
from framecue.broker.loop import Loop, Outputs
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.clock import Clock, FixedClock
from framecue.models.protocols import Model
from framecue.schemas import topics
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.caption import Caption
from framecue.schemas.codec import pack, unpack_media
from framecue.schemas.event import Event
from framecue.schemas.media import RulesMedia, SegmentMedia
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import Headers
from framecue.store.memory import MemoryStore
from framecue_services.captioner.worker import CaptionWorker
from framecue_services.fusion.worker import FusionWorker
from framecue_services.ingest.worker import Decoder, IngestWorker
from framecue_services.projector.worker import ProjectorWorker

MEDIA_BYTES = 512 << 20
"""How much of the `media` topic is kept in memory: about three hours of pictures at two a second."""

PublishedResult = Annotation | Event | Caption
_MODELS: dict[str, type[PublishedResult]] = {
    topics.ANNOTATIONS.name: Annotation,
    topics.EVENTS.name: Event,
    topics.CAPTIONS.name: Caption,
}


class EmbeddedPipeline:
    """One process, all stages. Push, then `pump()`; results come in the order in which they were published.

    `decoders` is a `framecue.media.pool.DecoderPool` (the caller opens and closes it). `clock` None is for films: input
    has no arrival times, results no publication time, and two runs are equal to the byte. From one thread.
    """

    def __init__(
        self,
        model: Model,
        *,
        decoders: Decoder,
        machine: MachineSettings,
        clock: Clock | None = None,
        partitions: int = 1,
        media_bytes: int = MEDIA_BYTES,
    ) -> None:
        self.broker = MemoryBroker(partitions=partitions, clock=clock, keep_bytes={topics.MEDIA.name: media_bytes})
        self.store = MemoryStore(clock or FixedClock())
        self._fusion = FusionWorker(model, settings=machine, clock=clock)
        self._loops = (
            Loop(
                self.broker,
                IngestWorker(decoders, partitions=partitions),
                group="ingest",
                topics=("segments", "subtitles"),
            ),
            Loop(self.broker, self._fusion, group="fusion", topics=("media",)),
            Loop(
                self.broker,
                CaptionWorker(model.captioner, self.broker, clock=clock),
                group="captioner",
                topics=("caption-requests",),
            ),
            Loop(self.broker, ProjectorWorker(self.store, self.broker), group="projector", topics=tuple(_MODELS)),
        )

    def push_segment(self, stream: str, data: bytes, *, headers: Headers = ()) -> None:
        """Queues one media segment; `headers` as `schemas.segment.segment_headers` makes them."""
        self.broker.commit([Message("segments", stream.encode(), data, headers)])

    def push_text(self, stream: str, data: bytes, *, headers: Headers = ()) -> None:
        """Queues one subtitle document, JSON cues or live line."""
        self.broker.commit([Message("subtitles", stream.encode(), data, headers)])

    def set_rules(self, rules: RuleSet) -> None:
        """Puts `rules` on `control` and into every media partition: they hold from there on."""
        value = pack(RulesMedia(rules=rules))
        count = self.broker.partitions("media")
        records = [Message("media", None, value, partition=p) for p in range(count)]
        control = Message("control", b"rules", rules.model_dump_json(by_alias=True).encode())
        self.broker.commit([control, *records])

    def pump(self) -> Iterator[PublishedResult]:
        """Runs the stages until nothing is left to do, and gives the results as they are committed."""
        while any(idle := [loop.run_once() for loop in self._loops]):
            yield from chain.from_iterable(published(outputs) for outputs in idle if outputs)

    def finish(self, stream: str) -> Iterator[PublishedResult]:
        """Closes the stream's epoch, as `framecue-end` on its last segment does, and pumps."""
        yield from self.pump()
        outputs = self._fusion.finish(stream)
        self.broker.commit(outputs.messages)
        yield from published(outputs)
        yield from self.pump()

    def picture(self, ref: FrameRef) -> bytes | None:
        """The JPEG of a frame that a result names; None where memory no longer holds it."""
        record = self.broker.fetch("media", partition=ref.partition, offset=ref.offset)
        if record is None or record.value is None:
            return None
        media = unpack_media(record.value)
        return media.frames[ref.index].jpeg if isinstance(media, SegmentMedia) else None


def published(outputs: Outputs) -> Iterator[PublishedResult]:
    """The results among what a stage sent, in order."""
    for message in outputs.messages:
        if message.topic in _MODELS and message.value is not None:
            yield _MODELS[message.topic].model_validate_json(message.value)
