"""Going on under another model: what was published keeps its numbering, and what is still open of it is closed.

Vectors of two spaces are never compared, so runs that were open cannot go on: they end as they were last published,
with the reason `epoch`, and their streams begin another run. The published results tell how far numbers went, whatever
the snapshots are behind. Words that waited for a picture are lost, and so are windows that were never published. It
must not know models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from framecue.broker.protocol import Broker, Message
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import Event
from framecue.schemas.features import RulesFeatures
from framecue.schemas.results import PublishedResult, read_result
from framecue.schemas.topics import ANNOTATIONS, EVENTS


@dataclass(frozen=True)
class Adoption:
    """What it takes: `embed` gives rules the vectors of this space, `message` publishes a result."""

    embed: Callable[[RulesFeatures], RulesFeatures]
    message: Callable[[PublishedResult], Message]


@dataclass(frozen=True)
class Ending:
    """`epochs` holds the last run of each stream, `closing` what is to be published so that nothing is open."""

    epochs: dict[str, int]
    closing: tuple[PublishedResult, ...]


def ending(broker: Broker, partition: int) -> Ending:
    """What the results on a partition come to. Reads all that are kept: adopting a model is rare."""
    last: dict[str, Annotation] = {}
    events: dict[str, Event] = {}
    epochs: dict[str, int] = {}
    for topic in (ANNOTATIONS.name, EVENTS.name):
        for record in broker.read(topic, partition=partition):
            result = read_result(topic, record.value)
            epochs[result.stream] = max(result.epoch, epochs.get(result.stream, result.epoch))
            match result:
                case Annotation():
                    before = last.get(result.stream, result)
                    if (result.epoch, result.start_ms) >= (before.epoch, before.start_ms):
                        last[result.stream] = result
                case Event():
                    events[result.id] = result
    annotations = [_final(last[s]) for s in sorted(last) if last[s].settled_until_ms < last[s].end_ms]
    open_events = [e for e in events.values() if e.end_ms is None and e.phase != "retracted"]
    return Ending(epochs, (*annotations, *(_ended(e, last.get(e.stream)) for e in open_events)))


def _final(annotation: Annotation) -> Annotation:
    return annotation.model_copy(
        update={"revision": annotation.revision + 1, "settled_until_ms": annotation.end_ms, "published_at": None}
    )


def _ended(event: Event, last: Annotation | None) -> Event:
    """`event` as it ends where the media of its run does, as far as that was published."""
    end_ms = last.end_ms if last is not None and last.epoch == event.epoch else event.start_ms
    change = {"phase": "ended", "end_ms": max(event.start_ms, end_ms), "reason": "epoch", "published_at": None}
    return event.model_copy(update={"sequence": event.sequence + 1, **change})
