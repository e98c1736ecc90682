"""Every stage in one process over the memory broker: what `analyze` and `demo --embedded` run.

The stages are the ones that run against real servers, each with its own consumer and its own commits; only the wiring
is here. It must not know how results are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType, TracebackType

from framecue.analysis.settings import MachineSettings
from framecue.broker.loop import Loop
from framecue.broker.memory import KEEP_BYTES, MemoryBroker
from framecue.broker.pictures import fetch_picture
from framecue.broker.protocol import Message
from framecue.broker.publishing import rules_messages
from framecue.clock import Clock, FixedClock
from framecue.models.protocols import Model
from framecue.schemas.annotation import FrameRef
from framecue.schemas.results import RESULT_TOPICS, PublishedResult, read_result
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import Headers
from framecue.schemas.topics import CAPTION_REQUESTS, MEDIA, SEGMENTS, SUBTITLES
from framecue.store.memory import MemoryStore
from framecue_services.captioner.worker import CaptionWorker
from framecue_services.fusion.worker import FusionWorker
from framecue_services.ingest.worker import Decoder, IngestWorker
from framecue_services.projector.worker import ProjectorWorker

MEDIA_BYTES = KEEP_BYTES[MEDIA.name]


class EmbeddedPipeline:
    """One process, all stages: push, then `pump()`. A context manager; used from one thread.

    `decoders` is a `framecue.media.pool.DecoderPool`, which the caller closes; `threads` is how many children it has
    that are to work at the same time. `clock` None is for films: input has no
    arrival times, results no publication time, and two runs are equal to the byte. `media_bytes` bounds the pictures
    that can still be fetched. `broker` and `store` may be looked at.
    """

    def __init__(
        self,
        model: Model,
        *,
        decoders: Decoder,
        threads: int = 4,
        machine: MachineSettings,
        clock: Clock | None = None,
        partitions: int = 1,
        media_bytes: int = MEDIA_BYTES,
    ) -> None:
        keep = MappingProxyType({**KEEP_BYTES, MEDIA.name: media_bytes})
        self.broker = MemoryBroker(partitions=partitions, clock=clock, keep_bytes=keep)
        self.store = MemoryStore(clock or FixedClock())
        self._ingest = IngestWorker(decoders, partitions=partitions, threads=threads)
        self._fusion = FusionWorker(model, settings=machine, clock=clock, broker=self.broker)
        captioner = CaptionWorker(model.captioner, self.broker, clock=clock)
        projector = ProjectorWorker(self.store, self.broker)
        self._loops = (
            Loop(self.broker, self._ingest, group="ingest", topics=(SEGMENTS.name, SUBTITLES.name)),
            Loop(self.broker, self._fusion, group="fusion", topics=(MEDIA.name,)),
            Loop(self.broker, captioner, group="captioner", topics=(CAPTION_REQUESTS.name,)),
            Loop(self.broker, projector, group="projector", topics=RESULT_TOPICS),
        )

    def __enter__(self) -> EmbeddedPipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ingest.close()

    def push_segment(self, stream: str, data: bytes, *, headers: Headers = ()) -> None:
        """Queues one media segment; `headers` as `schemas.segment.segment_headers` makes them."""
        self.broker.commit([Message(SEGMENTS.name, stream.encode(), data, headers)])

    def push_text(self, stream: str, data: bytes, *, headers: Headers = ()) -> None:
        """Queues one subtitle document, JSON cues or a live line."""
        self.broker.commit([Message(SUBTITLES.name, stream.encode(), data, headers)])

    def set_rules(self, rules: RuleSet) -> None:
        """Puts `rules` on `control` and into every media partition: they hold for whatever is pumped from here on."""
        self.broker.commit(rules_messages(rules, media_partitions=self.broker.partitions(MEDIA.name)))

    def pump(self) -> Iterator[PublishedResult]:
        """Runs the stages until nothing is left to do; gives the results as they are committed, in that order."""
        working = True
        while working:
            working = False
            for loop in self._loops:
                if (outputs := loop.run_once()) is not None:
                    working = True
                    yield from _results(outputs.messages)

    def finish(self, stream: str) -> Iterator[PublishedResult]:
        """Pumps, then closes the stream's epoch as `framecue-end` on its last segment does; nothing if it is closed."""
        yield from self.pump()
        messages = self._fusion.finish(stream)
        self.broker.commit(messages)
        yield from _results(messages)
        yield from self.pump()

    def picture(self, ref: FrameRef) -> bytes | None:
        """The JPEG of a frame that a result names; None where memory no longer holds it."""
        return fetch_picture(self.broker, ref)


def _results(messages: Iterable[Message]) -> Iterator[PublishedResult]:
    """The results among what a stage sent, in order."""
    for message in messages:
        if message.topic in RESULT_TOPICS:
            yield read_result(message.topic, message.value)
