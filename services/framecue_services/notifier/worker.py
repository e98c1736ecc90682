"""Notifier: events go to the receiver of one webhook, stream by stream in order. A map without state.

    batch ─► wanted? ─► a lane for each stream ─► attempt ─► delivered
                                                   │ ▲ pause: failed, busy, no answer
                                                   └─┴─► given up: a dead letter, and the lane goes on

`handle` returns when every event of the batch is delivered or given up, and only then the loop commits: killed in
between, the next worker delivers some again, under the same id and sequence, in the same order. A receiver that refuses
an event for good costs that event only; one that cannot take any holds up its own webhook, as long as attempts and age
allow. It must not know how anything is sent.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from threading import Event as Flag
from typing import Literal, Protocol

from framecue.broker.protocol import Message, Record, TopicPartition, place
from framecue.broker.publishing import dead_letter
from framecue.broker.stage import MapStage, Outputs
from framecue.clock import Clock
from framecue.errors import DeliveryError, InternalError, MessageError
from framecue.schemas.event import Event
from framecue.schemas.results import read_result
from framecue.settings import Webhook
from framecue.telemetry.metrics import add, record
from framecue.telemetry.names import WEBHOOK_DELAY, WEBHOOK_DURATION, WEBHOOK_GIVEN_UP, Attribute
from framecue.telemetry.traces import span, traceparent_of
from framecue_services.notifier.receiver import Answer
from framecue_services.notifier.schedule import Schedule
from framecue_services.notifier.signing import delivery_headers, keys_of

LANES = 8
"""Streams of one webhook that are delivered side by side: what a small receiver bears."""
LOOK_S = 0.1
"""How often a batch under way looks whether the service is to stop."""
GivenUp = Literal["refused", "attempts", "age", "skipped"]
_log = logging.getLogger(__name__)


class Posting(Protocol):
    """Where deliveries go: `receiver.Receiver`."""

    name: str

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends one; from any thread. Does not raise for what the other side does."""
        ...

    def cut(self) -> None:
        """Ends what is under way."""
        ...


@dataclass(frozen=True)
class Delivery:
    """One event on its way. `at_ms` is when it was published."""

    index: int
    record: Record
    event: Event
    at_ms: int

    @property
    def about(self) -> Mapping[Attribute, str | int | None]:
        """What its span says of it."""
        return {
            "framecue.stream": self.event.stream,
            "framecue.rule": self.event.rule,
            "framecue.topic": self.record.topic,
            "framecue.partition": self.record.partition,
            "framecue.offset": self.record.offset,
        }


class NotifierWorker(MapStage):
    """`broker.stage.Stage` over `events`, for one webhook.

    `stop` is set when the service is to end: whatever waits then gives up nothing, and is done again by the next.
    `pause` waits so many seconds, or until then; `chance` gives numbers in [0, 1).
    """

    is_risky = False

    def __init__(
        self,
        webhook: Webhook,
        receiver: Posting,
        *,
        clock: Clock,
        stop: Flag,
        schedule: Schedule,
        pause: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._webhook, self._receiver, self._clock, self._stop = webhook, receiver, clock, stop
        self._schedule, self._pause, self._chance = schedule, pause or stop.wait, chance
        self._keys = keys_of(webhook.secret.get_secret_value())
        self._stage = webhook.group
        self._began_ms: dict[TopicPartition, int] = {}
        """When the group began with each partition, noted beside every commit: what was too old for it even then is
        left out. What grows too old later, also while no notifier runs, is given up."""
        self._not_before_ms = 0
        """What the receiver asked of all: it is one, whichever stream it was asked about."""

    def take(self, at: TopicPartition, note: str) -> None:
        noted_ms = int(note) if note.isascii() and note.isdigit() else None
        self._began_ms[at] = noted_ms or self._began_ms.get(at) or self._clock.now_ms()

    def note(self, at: TopicPartition) -> str:
        return str(self._began_ms[at])

    def handle(self, batch: Sequence[Record]) -> Outputs:
        letters: dict[int, Message] = {}
        lanes: dict[str, list[Delivery]] = {}
        for delivery in self._wanted(batch, letters):
            lanes.setdefault(delivery.event.stream, []).append(delivery)
        if lanes:
            letters |= self._deliver(list(lanes.values()))
        return Outputs(tuple((letters[i],) if i in letters else () for i in range(len(batch))))

    def _wanted(self, batch: Sequence[Record], letters: dict[int, Message]) -> Iterable[Delivery]:
        """What of the batch is for this webhook; `letters` takes what cannot be read."""
        wanted, skipped = [], Counter[str]()
        for i, one in enumerate(batch):
            try:
                event = read_result(one.topic, one.value)
            except MessageError as e:
                letters[i] = dead_letter(one, self._stage, e)
                continue
            if not isinstance(event, Event) or not is_for(self._webhook, event):
                continue
            at_ms = self._clock.now_ms() if one.timestamp_ms is None else one.timestamp_ms
            if at_ms < self._began_ms[place(one)] - self._webhook.max_age_ms:
                skipped[event.stream] += 1
            else:
                wanted.append(Delivery(i, one, event, at_ms))
        if skipped:
            self._count("skipped", skipped.total())
            _log.info(
                "%s: %d left out, too old when this webhook began: %s", self._stage, skipped.total(), dict(skipped)
            )
        return wanted

    def _deliver(self, lanes: Sequence[Sequence[Delivery]]) -> dict[int, Message]:
        """The dead letters of all lanes, by the number of their record; raises InternalError when it is to stop."""
        with ThreadPoolExecutor(min(len(lanes), LANES), thread_name_prefix=self._stage) as threads:
            running = [threads.submit(self._run, lane) for lane in lanes]
            while wait(running, timeout=LOOK_S).not_done:
                if self._stop.is_set():
                    self._receiver.cut()
        return {index: letter for lane in running for index, letter in lane.result().items()}

    def _run(self, lane: Sequence[Delivery]) -> dict[int, Message]:
        """One stream's events, one after the other."""
        letters = {delivery.index: self._bring(delivery) for delivery in lane}
        return {index: letter for index, letter in letters.items() if letter is not None}

    def _bring(self, delivery: Delivery) -> Message | None:
        """Its dead letter, where the event was given up."""
        one, about = delivery.record, delivery.about
        with span("notify", traceparent_of(one.headers), about=about) as here:
            try:
                self._try(delivery, here.traceparent)
            except DeliveryError as e:
                here.failed(e)
                return dead_letter(one, self._stage, e)
        record(WEBHOOK_DELAY, max(0, self._age_ms(delivery)) / 1000, webhook=self._webhook.name)
        return None

    def _try(self, delivery: Delivery, traceparent: str | None) -> None:
        """Returns when the event is delivered; raises DeliveryError when it is given up, InternalError to stop."""
        what = "it waited"
        for attempts in count():
            self._wait_for_turn()
            if self._age_ms(delivery) > self._webhook.max_age_ms:
                minutes = self._webhook.max_age_ms / 60_000
                raise self._given_up("age", f"{what}; after {attempts} attempts it is older than {minutes:g} min")
            answer = self._attempt(delivery, traceparent)
            if answer.outcome == "delivered":
                return
            self._check_stop()  # which may be what ended the attempt
            what = answer.what
            if answer.outcome == "refused":
                raise self._given_up("refused", what)
            if attempts + 1 >= self._webhook.max_attempts:
                raise self._given_up("attempts", f"{what}; {attempts + 1} attempts are all that it gets")
            self._back_off(delivery, answer, attempts + 1)

    def _attempt(self, delivery: Delivery, traceparent: str | None) -> Answer:
        body, at_s = delivery.record.value or b"", self._clock.now_ms() // 1000
        headers = delivery_headers(delivery.event, body, at_s=at_s, keys=self._keys, traceparent=traceparent)
        began_s = time.perf_counter()
        answer = self._receiver.post(body, headers)
        if not self._stop.is_set():  # else it may have been cut
            took_s = time.perf_counter() - began_s
            record(WEBHOOK_DURATION, took_s, webhook=self._webhook.name, outcome=answer.outcome)
        return answer

    def _back_off(self, delivery: Delivery, answer: Answer, attempts: int) -> None:
        pause_s = self._schedule.pause_s(attempts, chance=self._chance(), asked_s=answer.retry_after_s)
        event = delivery.event
        about = (self._stage, event.id, event.sequence, answer.what, attempts, pause_s)
        _log.warning("%s: %s#%d: %s; attempt %d, again in %.1f s", *about)
        if answer.retry_after_s:
            self._not_before_ms = max(self._not_before_ms, self._clock.now_ms() + round(pause_s * 1000))
        self._sleep(pause_s)

    def _wait_for_turn(self) -> None:
        """Returns when the receiver may be asked again; raises InternalError when the service is to stop."""
        self._check_stop()
        while (left_ms := self._not_before_ms - self._clock.now_ms()) > 0:
            self._sleep(left_ms / 1000)

    def _sleep(self, seconds: float) -> None:
        self._pause(seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise InternalError("told to stop before all was delivered")

    def _given_up(self, why: GivenUp, reason: str) -> DeliveryError:
        self._count(why, 1)
        return DeliveryError(reason)

    def _count(self, why: GivenUp, events: int) -> None:
        add(WEBHOOK_GIVEN_UP, events, webhook=self._webhook.name, reason=why)

    def _age_ms(self, delivery: Delivery) -> int:
        return self._clock.now_ms() - delivery.at_ms


def is_for(webhook: Webhook, event: Event) -> bool:
    """Whether a webhook asks for this event."""
    return (
        event.phase in webhook.phases
        and fnmatchcase(event.stream, webhook.streams)
        and any(fnmatchcase(event.rule, rule) for rule in webhook.rules)
    )
