"""What fusion's results are counted as, for operators. It must not change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from framecue.analysis.machine import Result
from framecue.schemas.annotation import Annotation, TextState
from framecue.schemas.event import Event
from framecue.schemas.features import Features, ForgetFeatures, SegmentFeatures
from framecue.telemetry.metrics import add, forget, is_on, level, record, stream_label
from framecue.telemetry.names import (
    DEGRADED,
    RESULT_DELAY,
    RESULTS,
    STREAM_ANNOTATIONS,
    STREAM_EVENTS,
    STREAM_MEDIA_TIME,
    STREAM_TEXT_LAG,
    TEXT_LAG,
    TEXT_STATES,
)
from framecue.telemetry.streams import OTHER

DEGRADATIONS = ("gap", "damaged", "model")


def show_zeros() -> None:
    """Shows what is to be counted before it is: no alert sees a step from nothing to one."""
    for kind in ("annotation", "revision", "event"):
        add(RESULTS, 0, kind=kind)
    for state in get_args(TextState):
        add(TEXT_STATES, 0, state=state)
    for reason in DEGRADATIONS:
        add(DEGRADED, 0, reason=reason)


def tell(results: Sequence[Result], features: Features, *, now_ms: int | None) -> None:
    """`results` of the fold of `features`, at the wall time `now_ms` where that is known."""
    if not is_on():
        return
    for result in results:
        match result:
            case Annotation():
                _tell_annotation(result)
            case Event():
                add(RESULTS, kind="event")
                add(STREAM_EVENTS, stream=stream_label(result.stream), rule=result.rule, phase=result.phase)
    if isinstance(features, ForgetFeatures):
        let_go([features.stream])
    if isinstance(features, SegmentFeatures) and any(isinstance(result, Annotation) for result in results):
        arrived_ms = features.origin.at_ms
        if now_ms is not None and arrived_ms is not None:
            record(RESULT_DELAY, max(0, now_ms - arrived_ms) / 1000)


def let_go(streams: Iterable[str]) -> None:
    """These are somebody else's, or forgotten: where they stood must not stay on show here."""
    for stream in streams:
        for gauge in (STREAM_MEDIA_TIME, STREAM_TEXT_LAG):
            forget(gauge, stream=stream)


def _tell_annotation(annotation: Annotation) -> None:
    add(RESULTS, kind="annotation" if annotation.revision == 1 else "revision")
    add(TEXT_STATES, state=annotation.text.state)
    if annotation.degraded is not None:
        add(DEGRADED, reason=annotation.degraded)
    stream, lag_ms = stream_label(annotation.stream), annotation.text.lag_ms
    add(STREAM_ANNOTATIONS, stream=stream)
    if lag_ms is not None:
        record(TEXT_LAG, lag_ms / 1000)
    if stream == OTHER:  # many streams stand at many places
        return
    level(STREAM_MEDIA_TIME, annotation.end_ms / 1000, stream=stream)
    if lag_ms is not None:
        level(STREAM_TEXT_LAG, lag_ms / 1000, stream=stream)
