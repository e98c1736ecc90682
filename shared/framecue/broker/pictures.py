"""Pictures that results name, fetched from the `media` topic."""

from __future__ import annotations

from framecue.broker.protocol import Broker
from framecue.errors import MessageError
from framecue.schemas.annotation import FrameRef
from framecue.schemas.codec import unpack_media
from framecue.schemas.media import SegmentMedia
from framecue.schemas.topics import MEDIA


def fetch_picture(broker: Broker, ref: FrameRef) -> bytes | None:
    """The JPEG that `ref` names, None where it expired; raises MessageError when there is something else."""
    if not (0 <= ref.partition < broker.partitions(MEDIA.name) and 0 <= ref.offset < 2**63 and ref.index >= 0):
        raise MessageError(f"{MEDIA.name} has no picture {ref.partition}/{ref.offset}/{ref.index}")
    record = broker.fetch(MEDIA.name, partition=ref.partition, offset=ref.offset)
    if record is None:
        return None
    media = unpack_media(record.value or b"")
    if not isinstance(media, SegmentMedia) or ref.index >= len(media.frames):
        raise MessageError(f"{MEDIA.name} {ref.partition}/{ref.offset} has no picture {ref.index}")
    return media.frames[ref.index].jpeg
