"""How results, dead letters and rules become messages, the same from everywhere. It must not know any stage."""

from __future__ import annotations

import logging

from framecue.broker.protocol import Message, Record
from framecue.clock import Clock
from framecue.errors import FrameCueError, InputError, MessageError
from framecue.schemas.base import UNKEYED, stream_id
from framecue.schemas.codec import pack
from framecue.schemas.deadletter import PREFIX, DeadLetter
from framecue.schemas.media import Origin, RulesMedia
from framecue.schemas.results import TOPIC_OF, PublishedResult, cloud_headers, to_json
from framecue.schemas.rules import RuleSet
from framecue.schemas.topics import CONTROL, DEADLETTER, MEDIA
from framecue.telemetry.traces import About
from framecue.timeline import rfc3339

REASON_MAX = 2_000
"""Characters: an error of somebody else's may quote all of its input, and the letter has to fit its topic."""
STREAM_MAX = 128
"""Bytes of a key that a span shows; a longer one names no stream."""
RULES_KEY = b"rules"
"""Of the message on `control` that holds the rules in force."""
_log = logging.getLogger(__name__)


def result_message(result: PublishedResult, clock: Clock | None, *, traceparent: str | None = None) -> Message:
    """`result` with its time of publication stamped by `clock`; without one the time stays unknown."""
    if clock is not None:
        result = result.model_copy(update={"published_at": rfc3339(clock.now_ms())})
    headers = cloud_headers(result, traceparent)
    return Message(TOPIC_OF[type(result)], result.stream.encode(), to_json(result), headers)


def origin_of(record: Record) -> Origin:
    """Where `record` stood."""
    return Origin(topic=record.topic, partition=record.partition, offset=record.offset, at_ms=record.timestamp_ms)


def about(record: Record) -> About:
    """What a span says of `record`."""
    return {
        "framecue.stream": (record.key or b"")[:STREAM_MAX].decode("utf-8", "replace"),
        "framecue.topic": record.topic,
        "framecue.partition": record.partition,
        "framecue.offset": record.offset,
    }


def dead_letter(record: Record, stage: str, error: Exception) -> Message:
    """`record` as it came, with where and why; under the key `unkeyed` where its own is no stream id. Logs it."""
    level = logging.INFO if isinstance(error, InputError) else logging.WARNING
    place = (record.key, record.topic, record.partition, record.offset)
    unforeseen = None if isinstance(error, FrameCueError) else error  # only its trace says what happened
    _log.log(level, "%s: %r at %s %s/%d: %s", stage, *place, error, exc_info=unforeseen)
    letter = DeadLetter(
        origin=origin_of(record),
        stage=stage,
        error=type(error).__name__,
        reason=str(error)[:REASON_MAX],
        value=record.value or b"",
        headers=record.headers,
    )
    return letter_message(letter, record.key)


def error_of_letter(message: Message) -> str:
    """The name of the error in a dead letter."""
    return dict(message.headers).get(f"{PREFIX}error", b"unknown").decode("utf-8", "replace")


def letter_message(letter: DeadLetter, key: bytes | None) -> Message:
    """`letter` under the stream that `key` names."""
    try:
        owner = stream_id(key)
    except MessageError:
        owner = UNKEYED
    return Message(DEADLETTER.name, owner.encode(), letter.value, letter.to_headers())


def rules_messages(rules: RuleSet, *, media_partitions: int, at_ms: int | None = None) -> tuple[Message, ...]:
    """What puts `rules` in force: one message for `control`, and a record for every media partition.

    They belong into one commit. `at_ms` is the broker's time, where there is one.
    """
    control = Message(CONTROL.name, RULES_KEY, rules.model_dump_json(by_alias=True).encode())
    value = pack(RulesMedia(rules=rules, at_ms=at_ms))
    return (control, *(Message(MEDIA.name, None, value, partition=p) for p in range(media_partitions)))
