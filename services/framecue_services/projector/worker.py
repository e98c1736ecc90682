"""Projector: committed results go to the store, with the pictures that speak for events. A map without state.

`handle` writes to the store before the loop commits offsets, so a result is put at least once: killed in between, the
next worker puts the same batch again. The store takes what is newer, key by key, by what the results themselves say, so
putting again changes nothing, and whatever the first attempt did not reach is put then: results, and pictures too.
When the store is away its StoreError stops the batch, and results wait in their topics. It must not know how results
came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from framecue.broker.pictures import fetch_picture
from framecue.broker.protocol import Broker, Message, Record
from framecue.broker.publishing import about, dead_letter
from framecue.broker.stage import MapStage, Outputs
from framecue.clock import Clock
from framecue.errors import MessageError
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, read_result
from framecue.store.protocol import Store, place
from framecue.telemetry import metrics
from framecue.telemetry.calls import store_call
from framecue.telemetry.metrics import is_on
from framecue.telemetry.names import STORE_DELAY
from framecue.telemetry.traces import About, spans, traceparent_of
from framecue.timeline import parse_rfc3339

STAGE = "projector"


class ProjectorWorker(MapStage):
    """`broker.stage.Stage` over `annotations`, `events` and `captions`. `clock` is for operators only."""

    is_risky = False

    def __init__(self, store: Store, broker: Broker, *, clock: Clock | None = None) -> None:
        self._store, self._broker, self._clock = store, broker, clock

    def handle(self, batch: Sequence[Record]) -> Outputs:
        letters: dict[int, Message] = {}
        results: dict[int, PublishedResult] = {}
        for i, record in enumerate(batch):
            try:
                results[i] = read(record)
            except MessageError as e:
                letters[i] = dead_letter(record, STAGE, e)
        with spans("project", [_work(batch[i], result) for i, result in results.items()]):
            # Pictures first: whoever hears of an event from the store finds its picture there.
            for i, event in _pictured(results).items():
                try:
                    keep_picture(self._store, self._broker, event)
                except MessageError as e:
                    letters[i] = dead_letter(batch[i], STAGE, e)
            with store_call("put"):
                self._store.put(tuple(results.values()))
        self._tell(results.values())
        return Outputs(tuple((letters[i],) if i in letters else () for i in range(len(batch))))

    def _tell(self, results: Iterable[PublishedResult]) -> None:
        """How long after they were published these can be read, for operators."""
        if self._clock is None or not is_on():
            return
        now_ms = self._clock.now_ms()
        for result in results:
            if result.published_at is not None:
                metrics.record(STORE_DELAY, max(0, now_ms - parse_rfc3339(result.published_at)) / 1000)


def read(record: Record) -> PublishedResult:
    """The result in `record`; raises MessageError where it holds none that a store can keep."""
    result = read_result(record.topic, record.value)
    place(result)
    return result


def keep_picture(store: Store, broker: Broker, event: Event) -> bool:
    """Puts the picture of the event's peak; False where it expired, which leaves the one before.

    Raises MessageError where the event names no picture.
    """
    jpeg = fetch_picture(broker, event.evidence.frames[0])
    if jpeg is not None:
        with store_call("put_evidence"):
            store.put_evidence(event.id, jpeg, sequence=event.sequence)
    return jpeg is not None


def has_picture(event: Event) -> bool:
    """Whether there is one to keep; the picture of a retracted event stays as it was."""
    return bool(event.evidence.frames) and event.phase != "retracted"


def _work(record: Record, result: PublishedResult) -> tuple[str | None, About]:
    """With what trace `result` came, and what a span says of it."""
    window, rule = (None, result.rule) if isinstance(result, Event) else (result.id, None)
    return traceparent_of(record.headers), {**about(record), "framecue.window": window, "framecue.rule": rule}


def _pictured(results: dict[int, PublishedResult]) -> dict[int, Event]:
    """Of each event the last state that has a picture, by the number of its record: it would replace the others."""
    last: dict[str, tuple[int, Event]] = {}
    for i, result in results.items():
        if isinstance(result, Event) and has_picture(result):
            held = last.get(result.id)
            if held is None or held[1].sequence < result.sequence:
                last[result.id] = (i, result)
    return dict(last.values())
