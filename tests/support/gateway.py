"""The gateway's application over memory: with streams, pictures and events in it, and its clock in hand.

    house = House()
    house.put(annotation(0, stream="cam1", frames=house.film("cam1", "red", "blue")))
    house.client().get("/v1/streams")

Nobody has to show a token. It must not know what a test expects.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Broker, Message
from framecue.broker.publishing import result_message
from framecue.clock import FixedClock
from framecue.models.faces import Faces, open_faces
from framecue.schemas.annotation import FrameRef
from framecue.schemas.codec import pack
from framecue.schemas.results import PublishedResult
from framecue.schemas.topics import MEDIA, partition_of
from framecue.settings import Settings
from framecue.store.memory import MemoryStore
from framecue.timeline import rfc3339
from framecue_services.gateway.app import create_app
from tests.support.films import segment

NOW_MS = 1_700_000_000_000
HERE = "http://127.0.0.1:8080"


class House:
    """`broker` may be another one around `memory`, to see or hold up what is asked of it."""

    def __init__(self, *, faces: Faces | None = None, partitions: int = 2, **gateway: Any) -> None:
        self.clock = FixedClock(NOW_MS)
        self.memory = MemoryBroker(partitions=partitions, clock=self.clock)
        self.broker: Broker = self.memory
        self.store = MemoryStore(self.clock)
        self.faces = faces or open_faces("off")
        self.gateway = {"auth": "off", "requests_per_second": 100_000, "request_burst": 1_000_000, **gateway}

    def app(self) -> FastAPI:
        """The application as it stands in front of all that."""
        settings = Settings.model_validate({"gateway": self.gateway})
        return create_app(settings, broker=self.broker, store=self.store, faces=self.faces, clock=self.clock)

    def client(self) -> TestClient:
        """Somebody on this machine. Without its `with` nothing runs beside the requests."""
        return TestClient(self.app(), base_url=HERE, raise_server_exceptions=False)

    def publish(self, *results: PublishedResult) -> list[PublishedResult]:
        """Writes results to their topics now, and nowhere else; as they stand there."""
        stamped = [one.model_copy(update={"published_at": rfc3339(self.clock.now_ms())}) for one in results]
        self.memory.commit([result_message(one, None) for one in stamped])
        return stamped

    def put(self, *results: PublishedResult) -> list[PublishedResult]:
        """As `publish`, and into the store, as the projector does."""
        stamped = self.publish(*results)
        self.store.put(stamped)
        return stamped

    def film(self, stream: str, *colours: str) -> tuple[FrameRef, ...]:
        """A picture of each colour in `media`, and what names them."""
        media = segment(0, colours, stream=stream)
        partition = partition_of(stream, self.memory.partitions(MEDIA.name))
        offset = self.memory.end(MEDIA.name, partition=partition)
        self.memory.commit([Message(MEDIA.name, stream.encode(), pack(media))])
        return tuple(
            FrameRef(partition=partition, offset=offset, index=i, at_ms=500 * i) for i in range(len(media.frames))
        )
