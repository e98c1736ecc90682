"""Projector: committed results go to the store, with the pictures that speak for events. A map without state.

The store orders by what the results say, so reading again after a crash changes nothing. When the store is away its
StoreError stops the batch: results wait in their topics. It must not know how results came about.
"""

from __future__ import annotations

from collections.abc import Sequence

from framecue.broker.loop import MapStage, Outputs
from framecue.broker.pictures import fetch_picture
from framecue.broker.protocol import Broker, Message, Record
from framecue.broker.publishing import dead_letter
from framecue.errors import MessageError
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, read_result
from framecue.store.protocol import Store

STAGE = "projector"


class ProjectorWorker(MapStage):
    """`broker.loop.Stage` over `annotations`, `events` and `captions`."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store, self._broker = store, broker

    def handle(self, batch: Sequence[Record]) -> Outputs:
        return Outputs(tuple(self._one(record) for record in batch))

    def _one(self, record: Record) -> tuple[Message, ...]:
        """Nothing, or a dead letter where `record` holds no result."""
        try:
            self._put(read_result(record.topic, record.value))
        except MessageError as e:
            return (dead_letter(record, STAGE, e),)
        return ()

    def _put(self, result: PublishedResult) -> None:
        match result:
            case Annotation():
                self._store.put_annotation(result)
            case Event():
                if self._store.put_event(result):
                    self._keep_evidence(result)
            case _:
                self._store.put_caption(result)

    def _keep_evidence(self, event: Event) -> None:
        """The picture of the event's peak; one that expired leaves the picture before."""
        if event.evidence.frames and event.phase != "retracted":
            jpeg = fetch_picture(self._broker, event.evidence.frames[0])
            if jpeg is not None:
                self._store.put_evidence(event.id, jpeg)
