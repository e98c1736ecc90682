"""What one loop did, counted for operators. What was committed counts once, however often it was tried."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from framecue.broker.protocol import Record
from framecue.broker.publishing import error_of_letter
from framecue.broker.stage import Outputs
from framecue.errors import (
    BrokerError,
    DamagedMediaError,
    DecoderFailedError,
    InternalError,
    LimitExceededError,
    MessageError,
    StoreError,
    SubtitleError,
    UnsupportedMediaError,
)
from framecue.schemas.topics import DEADLETTER
from framecue.telemetry.metrics import add, is_on, record
from framecue.telemetry.names import (
    BATCH_DURATION,
    BATCH_RECORDS,
    COMMIT_DURATION,
    DEAD_LETTERS,
    FAULTS,
    RECORDS,
    RETRIES,
)

LETTERS = (
    MessageError, UnsupportedMediaError, DamagedMediaError, LimitExceededError, DecoderFailedError, SubtitleError,
    InternalError,
)  # fmt: skip
"""What dead letters are mostly about."""


class Tally:
    """Of the loop of `group`. What it counts stands at 0 from the start: no alert sees a step from nothing to one."""

    def __init__(self, group: str, topics: Sequence[str]) -> None:
        self._group = group
        for topic in topics:
            add(RECORDS, 0, group=group, topic=topic)
        for error in LETTERS:
            add(DEAD_LETTERS, 0, group=group, error=error.__name__)
        for error in (BrokerError, StoreError, InternalError):
            add(RETRIES, 0, group=group, error=error.__name__)
        add(FAULTS, 0, group=group)

    @contextmanager
    def working(self, records: int) -> Generator[None]:
        """Around the work on one batch; from any thread."""
        began_s = time.monotonic()
        yield
        record(BATCH_RECORDS, records, group=self._group)
        record(BATCH_DURATION, time.monotonic() - began_s, group=self._group)

    @contextmanager
    def committing(self) -> Generator[None]:
        """Around one commit."""
        began_s = time.monotonic()
        yield
        record(COMMIT_DURATION, time.monotonic() - began_s, group=self._group)

    def committed(self, records: Sequence[Record], outputs: Outputs) -> None:
        """`records` are done, with what they gave."""
        if not is_on():
            return
        for topic, count in Counter(r.topic for r in records).items():
            add(RECORDS, count, group=self._group, topic=topic)
        add(FAULTS, outputs.failed, group=self._group)
        for message in outputs.messages:
            if message.topic == DEADLETTER.name:
                add(DEAD_LETTERS, group=self._group, error=error_of_letter(message))

    def failed(self, error: Exception) -> None:
        """A turn raised `error`, and begins anew."""
        add(RETRIES, group=self._group, error=type(error).__name__)
