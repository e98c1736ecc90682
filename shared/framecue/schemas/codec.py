"""Bytes for the internal topics (msgpack) and JSON for results. Readers accept this version and the one before."""

from __future__ import annotations

from typing import Any

import msgpack
from pydantic import BaseModel, TypeAdapter, ValidationError

from framecue.errors import MessageError
from framecue.schemas.caption import CaptionRequest
from framecue.schemas.features import Features
from framecue.schemas.media import Media
from framecue.schemas.segment import first_error
from framecue.schemas.snapshot import PartitionSnapshot, StreamSnapshot

LIMITS = {
    "max_array_len": 100_000,
    "max_map_len": 10_000,
    "max_str_len": 4 << 20,
    "max_bin_len": 32 << 20,
    "max_ext_len": 0,
}
"""Bounds for msgpack: what a record of ours never reaches."""

_MEDIA: TypeAdapter[Media] = TypeAdapter(Media)
_FEATURES: TypeAdapter[Features] = TypeAdapter(Features)
_REQUEST: TypeAdapter[CaptionRequest] = TypeAdapter(CaptionRequest)
_PARTITION: TypeAdapter[PartitionSnapshot] = TypeAdapter(PartitionSnapshot)
_STREAM: TypeAdapter[StreamSnapshot] = TypeAdapter(StreamSnapshot)


def pack(model: BaseModel) -> bytes:
    """`model` as msgpack, under its field names."""
    packed: bytes = msgpack.packb(model.model_dump(exclude_defaults=False), use_bin_type=True)
    return packed


def unpack_media(data: bytes) -> Media:
    """Raises MessageError when `data` is no media record."""
    record: Media = _unpack(_MEDIA, data, "media")
    return record


def unpack_features(data: bytes) -> Features:
    """Raises MessageError when `data` is no features record."""
    record: Features = _unpack(_FEATURES, data, "features")
    return record


def unpack_request(data: bytes) -> CaptionRequest:
    """Raises MessageError when `data` is no caption request."""
    request: CaptionRequest = _unpack(_REQUEST, data, "caption-request")
    return request


def unpack_partition(data: bytes) -> PartitionSnapshot:
    """Raises MessageError when `data` is no snapshot of a partition."""
    snapshot: PartitionSnapshot = _unpack(_PARTITION, data, "partition snapshot")
    return snapshot


def unpack_stream(data: bytes) -> StreamSnapshot:
    """Raises MessageError when `data` is no snapshot of a stream."""
    snapshot: StreamSnapshot = _unpack(_STREAM, data, "stream snapshot")
    return snapshot


def _unpack(adapter: TypeAdapter[Any], data: bytes, what: str) -> Any:
    try:
        return adapter.validate_python(msgpack.unpackb(data, raw=False, **LIMITS))
    except (ValueError, ValidationError, msgpack.UnpackException, RecursionError) as e:
        raise MessageError(f"not a {what} record: {first_error(e)}") from e
