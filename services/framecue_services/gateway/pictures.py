"""Pictures as people may see them: fetched from `media`, faces blurred, scaled, and kept while they are asked for.

    asked ─► kept, in that width? ─► kept whole? ─► fetch ─► find and blur faces ─► keep ─► scale ─► keep

However many ask for one picture at a time, it is worked on once; what nobody has blurred, nobody sees. Whose a frame is
stands first of all: who asks for another stream's is told the same, as soon, whatever there is. It must not know HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from framecue.broker.pictures import StoredPicture, fetch_frame
from framecue.broker.protocol import Broker
from framecue.errors import DamagedMediaError, MessageError, ModelError
from framecue.models.faces import Faces, Unblurred
from framecue.schemas.topics import MEDIA
from framecue.store.protocol import Store, stream_of_event
from framecue.telemetry.metrics import add, record
from framecue.telemetry.names import BLUR_DURATION, PICTURES
from framecue_services.gateway.problems import Problem, busy, no_stream
from framecue_services.gateway.threads import Threads

WIDTH_MIN, WIDTH_MAX = 16, 4_096
WORKED_ON = 64
"""Pictures at a time; a wall of streams asks for as many as are in sight."""
BLURS = 2
"""Faces are looked for in so many pictures at once: each takes a core, and others need some as well."""
DAMAGED = "this picture is damaged and cannot be shown"
EXPIRED = "this picture has expired: the topic media keeps pictures for a day"
_SCALER = Unblurred("scales what is blurred already")

Outcome = Literal["cached", "fetched", "expired", "failed"]
Make: TypeAlias = Callable[[], Awaitable["Shown"]]


class FrameName(NamedTuple):
    """Where in `media` a frame stands."""

    partition: int
    offset: int
    number: int


class OwnFrame(NamedTuple):
    """A frame as one of a stream: under this name nobody is given another stream's."""

    stream: str
    frame: FrameName


class EvidenceName(NamedTuple):
    """The picture that Redis keeps of an event, as of a state of it."""

    event_id: str
    sequence: int


Name: TypeAlias = OwnFrame | EvidenceName


@dataclass(frozen=True)
class Shown:
    """A picture that may be seen, and whose it is."""

    stream: str
    jpeg: bytes = field(repr=False)


class Shelf:
    """Pictures by name and width, the least recently seen thrown away first, within so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._kept: OrderedDict[Hashable, Shown] = OrderedDict()

    def get(self, key: Hashable) -> Shown | None:
        """The picture under `key`, which is seen now."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Hashable, picture: Shown) -> None:
        """Keeps `picture`, unless it alone is more than all may be."""
        if (before := self._kept.pop(key, None)) is not None:
            self._bytes -= len(before.jpeg)
        self._kept[key] = picture
        self._bytes += len(picture.jpeg)
        while self._bytes > self._most_bytes:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.jpeg)


class Pictures:
    """What is shown of `media`, through `faces`. Used on one thread, the event loop's."""

    def __init__(self, broker: Broker, store: Store, faces: Faces, *, most_bytes: int, kafka: Threads) -> None:
        self._broker, self._store, self._faces, self._kafka = broker, store, faces, kafka
        self._blurring = Threads("blurred pictures", at_once=BLURS, waiting=WORKED_ON)
        self._shelf = Shelf(most_bytes)
        self._working: dict[Hashable, asyncio.Task[Shown]] = {}

    @property
    def state(self) -> str:
        """What `Faces.state` says: two gateways that differ in it show different pictures."""
        return self._faces.state

    async def frame(self, stream: str, name: FrameName, *, width: int | None) -> bytes:
        """The JPEG of a frame of `stream`, at most `width` px wide.

        Raises Problem: 404 where there is no such frame of that stream, 410 where it expired, 503 where it cannot be
        blurred or too many are asked for at once.
        """
        own = OwnFrame(stream, name)
        return (await self._shown(own, width, lambda: self._of_media(own))).jpeg

    async def evidence(self, event_id: str, sequence: int, *, width: int | None) -> bytes:
        """The picture that Redis keeps of an event, at least as new as that state of it. Raises as `frame` does."""
        name = EvidenceName(event_id, sequence)
        return (await self._shown(name, width, lambda: self._of_store(name))).jpeg

    async def _shown(self, name: Name, width: int | None, make: Make) -> Shown:
        if (kept := self._shelf.get((name, width))) is not None:
            add(PICTURES, outcome="cached")
            return kept
        whole = await self._once((name, None), make)
        if width is None:
            return whole
        return await self._once((name, width), lambda: self._scaled(whole, width))

    async def _once(self, key: Hashable, make: Make) -> Shown:
        """What is kept under `key`, else what `make` gives, which runs once for all who wait, to its end."""
        if (kept := self._shelf.get(key)) is not None:
            return kept
        task = self._working.get(key)
        if task is None:
            if len(self._working) >= WORKED_ON:
                raise busy("too many pictures are asked for at once")
            task = self._working[key] = asyncio.create_task(self._kept(key, make))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _kept(self, key: Hashable, make: Make) -> Shown:
        try:
            shown = await make()
            self._shelf.put(key, shown)
            return shown
        finally:
            del self._working[key]

    async def _of_media(self, own: OwnFrame) -> Shown:
        try:
            stored = await self._kafka.run(_fetched, self._broker, own.frame)
        except MessageError as e:
            add(PICTURES, outcome="failed")
            raise no_stream() from e
        if stored is not None and stored.stream != own.stream:  # before any work, which could fail or take its time
            add(PICTURES, outcome="failed")
            raise no_stream()
        return await self._seen(stored)

    async def _of_store(self, name: EvidenceName) -> Shown:
        jpeg = await self._kafka.run(self._store.evidence, name.event_id)
        return await self._seen(None if jpeg is None else StoredPicture(stream_of_event(name.event_id), jpeg))

    async def _seen(self, stored: StoredPicture | None) -> Shown:
        """`stored` as it may be seen; fails closed."""
        if stored is None:
            add(PICTURES, outcome="expired")
            raise Problem(410, EXPIRED)
        try:
            shown = Shown(stored.stream, await self._blurring.run(self._blurred, stored.jpeg))
        except DamagedMediaError as e:
            add(PICTURES, outcome="failed")
            raise Problem(410, DAMAGED) from e
        except ModelError as e:
            add(PICTURES, outcome="failed")
            raise Problem(503, "faces cannot be looked for, so the picture is not shown") from e
        add(PICTURES, outcome="fetched")
        return shown

    def _blurred(self, jpeg: bytes) -> bytes:
        began_s = time.perf_counter()
        seen = self._faces.seen(jpeg)
        record(BLUR_DURATION, time.perf_counter() - began_s)
        return seen

    async def _scaled(self, whole: Shown, width: int) -> Shown:
        try:
            return Shown(whole.stream, await self._blurring.run(_SCALER.seen, whole.jpeg, width=width))
        except DamagedMediaError as e:
            raise Problem(410, DAMAGED) from e


def _fetched(broker: Broker, name: FrameName) -> StoredPicture | None:
    """None where it expired; raises MessageError for what is not there: what else is, is nobody's business."""
    found = fetch_frame(broker, partition=name.partition, offset=name.offset, index=name.number)
    if found is None and name.offset >= broker.offset_at(MEDIA.name, partition=name.partition, at_ms=0):
        raise MessageError(f"{MEDIA.name} holds nothing at {name.partition}/{name.offset}")
    return found


def _heard(task: asyncio.Task[Shown]) -> None:
    """Whoever asked may be gone: an error that nobody hears is none to complain of."""
    if not task.cancelled():
        task.exception()
