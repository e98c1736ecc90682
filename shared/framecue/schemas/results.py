"""Results as messages: JSON as the value, CloudEvents 1.0 attributes as headers. One place for writers and readers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from pydantic import ValidationError

from framecue.errors import MessageError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.segment import Headers, first_error
from framecue.schemas.topics import ANNOTATIONS, CAPTIONS, EVENTS

PublishedResult: TypeAlias = Annotation | Event | Caption

TOPIC_OF: Mapping[type[PublishedResult], str] = MappingProxyType(
    {Annotation: ANNOTATIONS.name, Event: EVENTS.name, Caption: CAPTIONS.name}
)
RESULT_TOPICS = tuple(TOPIC_OF.values())
_MODELS = {topic: model for model, topic in TOPIC_OF.items()}


def to_json(result: PublishedResult) -> bytes:
    """`result` as the value of its message."""
    return result.model_dump_json(by_alias=True).encode()


def read_result(topic: str, value: bytes | None) -> PublishedResult:
    """The result that a message of one of `RESULT_TOPICS` holds; raises MessageError when it holds none."""
    try:
        return _MODELS[topic].model_validate_json(value or b"")
    except ValidationError as e:
        raise MessageError(f"not a result of {topic}: {first_error(e)}") from e


def version(result: PublishedResult) -> int:
    """What tells the messages about one id apart: the revision or sequence; a caption has one only."""
    match result:
        case Annotation():
            return result.revision
        case Event():
            return result.sequence
        case Caption():
            return 1


def cloud_headers(result: PublishedResult, traceparent: str | None = None) -> Headers:
    """The headers of `result`; its time of publication is left out where there is none."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": f"{result.id}#{version(result)}",
        "ce_type": result.schema_.partition("/")[0],
        "ce_source": f"/streams/{result.stream}",
        "ce_subject": result.id,
        "ce_time": result.published_at,
        "content-type": "application/json",
        "traceparent": traceparent,
    }
    return tuple((name, value.encode()) for name, value in attributes.items() if value is not None)
