"""Pictures that results name, fetched from the `media` topic."""

from __future__ import annotations

from dataclasses import dataclass, field

from framecue.broker.protocol import Broker
from framecue.errors import MessageError
from framecue.schemas.annotation import FrameRef
from framecue.schemas.codec import unpack_media
from framecue.schemas.media import SegmentMedia
from framecue.schemas.topics import MEDIA


@dataclass(frozen=True)
class StoredPicture:
    """A frame as `media` holds it: a raw JPEG, and whose it is."""

    stream: str
    jpeg: bytes = field(repr=False)


def fetch_picture(broker: Broker, ref: FrameRef) -> bytes | None:
    """The JPEG that `ref` names, None where it expired; raises MessageError when there is something else."""
    found = fetch_frame(broker, partition=ref.partition, offset=ref.offset, index=ref.index)
    return None if found is None else found.jpeg


def fetch_frame(broker: Broker, *, partition: int, offset: int, index: int) -> StoredPicture | None:
    """As `fetch_picture`, with the stream that the picture is of."""
    if not (0 <= partition < broker.partitions(MEDIA.name) and 0 <= offset < 2**63 and index >= 0):
        raise MessageError(f"{MEDIA.name} has no picture {partition}/{offset}/{index}")
    record = broker.fetch(MEDIA.name, partition=partition, offset=offset)
    if record is None:
        return None
    media = unpack_media(record.value or b"")
    if not isinstance(media, SegmentMedia) or index >= len(media.frames):
        raise MessageError(f"{MEDIA.name} {partition}/{offset} has no picture {index}")
    return StoredPicture(media.stream, media.frames[index].jpeg)
