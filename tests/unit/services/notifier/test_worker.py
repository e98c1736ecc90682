"""Notifier as a stage: what is delivered in which order, tried again, given up or left out, and what a stop leaves."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from framecue.broker.loop import Loop
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.broker.publishing import result_message
from framecue.clock import FixedClock
from framecue.errors import InternalError, SetupError
from framecue.schemas.deadletter import DeadLetter, parse_dead_letter
from framecue.schemas.event import Event
from framecue.schemas.topics import DEADLETTER, EVENTS
from framecue.settings import Settings, Webhook
from framecue_services.notifier.__main__ import run
from framecue_services.notifier.receiver import Answer
from framecue_services.notifier.schedule import Schedule
from framecue_services.notifier.signing import KEY_PREFIX
from framecue_services.notifier.worker import NotifierWorker
from tests.contract.test_store import event

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MINUTE_MS = 60_000
KEY = "0123456789abcdef"
DELIVERED, FAILED = Answer("delivered", "it answered 200 OK"), Answer("failed", "it answered 500")
REFUSED, UNREACHABLE = Answer("refused", "it answered 404"), Answer("unreachable", "it cannot be reached")
PATIENT_S = 60.0


class Scripted:
    """A receiver that gives `answers` one by one, then the last for ever, and keeps what it took."""

    name = "hooks.example"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [DELIVERED]
        self.taken: list[tuple[str, int]] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.was_cut = threading.Event()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.bodies.append(body)
        self.headers.append(headers)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.outcome == "delivered":
            self.taken.append((json.loads(body)["id"], json.loads(body)["sequence"]))
        return answer

    def cut(self) -> None:
        self.was_cut.set()


class Notified:
    """A notifier over a memory broker, and a clock that goes on by what is paused."""

    def __init__(self, receiver: Scripted, **webhook: Any) -> None:
        self.clock = FixedClock(10**12)
        self.broker = MemoryBroker(partitions=2, clock=self.clock)
        self.stop = threading.Event()
        self.receiver = receiver
        self.pauses: list[float] = []
        self.webhook = Webhook(name="ops", url="https://hooks.example/", secret=KEY, **webhook)
        self.begin()

    def begin(self, pause: Callable[[float], None] | None = None) -> None:
        """A new worker, as after a restart."""
        worker = NotifierWorker(
            self.webhook,
            self.receiver,
            clock=self.clock,
            stop=self.stop,
            schedule=Schedule(),
            pause=pause or self._pause,
            chance=lambda: 0.0,
        )
        self._loop = Loop(self.broker, worker, group="notifier.ops", topics=(EVENTS.name,))

    def publish(self, *events: Event) -> None:
        self.broker.commit([result_message(e, self.clock, traceparent=TRACE) for e in events])

    def run(self) -> None:
        for _ in self._loop.drain():
            pass

    def hand_over(self) -> None:
        """As a worker that is told to stop."""
        stopped = threading.Event()
        stopped.set()
        self._loop.run(stopped)

    def end(self) -> None:
        self._loop.close()

    @property
    def letters(self) -> list[DeadLetter]:
        found = [r for p in range(2) for r in self.broker.read(DEADLETTER.name, partition=p)]
        return [parse_dead_letter(r.value or b"", r.headers) for r in found]

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(round(seconds * 1000))


def ids(*events: Event) -> list[tuple[str, int]]:
    return [(e.id, e.sequence) for e in events]


def test_an_event_arrives_as_it_was_published_and_says_what_it_is() -> None:
    notified = Notified(Scripted())
    notified.publish(event())
    notified.run()
    [record] = [r for p in range(2) for r in notified.broker.read(EVENTS.name, partition=p)]
    assert notified.receiver.bodies == [record.value]
    [headers] = notified.receiver.headers
    assert headers["webhook-id"] == "cam1/0/goal/0#1"
    assert headers["ce-id"] == "cam1/0/goal/0#1"
    assert headers["webhook-timestamp"] == "1000000000"
    assert headers["traceparent"] == TRACE
    assert not notified.letters


def test_a_traceparent_that_is_none_is_not_passed_on() -> None:
    notified = Notified(Scripted())
    notified.broker.commit([result_message(event(), None, traceparent="é\r\nx: y")])
    notified.run()
    assert "traceparent" not in notified.receiver.headers[0]


@pytest.mark.parametrize(
    ("asked", "given", "wanted"),
    [
        ({}, {}, True),
        ({"rules": ("goal",)}, {}, True),
        ({"rules": ("foul", "go*")}, {}, True),
        ({"rules": ("framecue.*",)}, {}, False),
        ({"rules": ("framecue.*",)}, {"rule": "framecue.black"}, True),
        ({"rules": ("Goal",)}, {}, False),
        ({"streams": "lab-*"}, {}, False),
        ({"streams": "cam?"}, {}, True),
        ({"phases": ("ended",)}, {}, False),
        ({"phases": ("ended", "started")}, {}, True),
    ],
)  # fmt: skip
def test_a_webhook_gets_what_it_asks_for(asked: dict[str, Any], given: dict[str, Any], wanted: bool) -> None:
    notified = Notified(Scripted(), **asked)
    notified.publish(event(**given))
    notified.run()
    assert bool(notified.receiver.taken) is wanted
    assert not notified.letters


@pytest.mark.parametrize(
    "fault", [FAILED, UNREACHABLE, Answer("busy", ""), Answer("timeout", ""), Answer("private", "")]
)
def test_an_event_is_tried_until_it_is_taken_and_the_next_waits(fault: Answer) -> None:
    notified = Notified(Scripted(*[fault] * 10, DELIVERED))
    changes = [event(), event(sequence=2, phase="updated"), event(sequence=3, phase="ended", end_ms=2000)]
    notified.publish(*changes)
    notified.run()
    assert notified.receiver.taken == ids(*changes)
    assert notified.pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert [h["webhook-id"] for h in notified.receiver.headers][:11] == ["cam1/0/goal/0#1"] * 11
    assert len({h["webhook-timestamp"] for h in notified.receiver.headers[:11]}) > 5  # of the attempt, not the event
    assert not notified.letters


@pytest.mark.parametrize(
    ("answers", "webhook", "attempts", "reason"),
    [
        ([REFUSED, DELIVERED], {}, 1, "it answered 404"),
        ([FAILED] * 3 + [DELIVERED], {"max_attempts": 3}, 3, "it answered 500; 3 attempts are all that it gets"),
        ([FAILED] * 7 + [DELIVERED], {"max_age_ms": MINUTE_MS}, 7, "it answered 500; after 7 attempts it is older"),
    ],
    ids=["refused", "attempts", "age"],
)  # fmt: skip
def test_what_is_given_up_is_a_dead_letter_and_the_stream_goes_on(
    answers: list[Answer], webhook: dict[str, Any], attempts: int, reason: str
) -> None:
    notified = Notified(Scripted(*answers), **webhook)
    notified.publish(event())
    notified.run()
    notified.publish(event(sequence=2, phase="ended", end_ms=2000))
    notified.run()
    [letter] = notified.letters
    assert (letter.stage, letter.error) == ("notifier.ops", "DeliveryError")
    assert letter.reason.startswith(reason)
    assert letter.value == notified.receiver.bodies[0]
    assert len(notified.receiver.bodies) == attempts + 1
    assert [sequence for _, sequence in notified.receiver.taken] == [2]


def test_giving_up_is_no_fault_of_ours_however_often() -> None:
    notified = Notified(Scripted(REFUSED))
    notified.publish(*[event(n * 2000) for n in range(40)])
    notified.run()  # a stage with so many faults would be stopped
    assert len(notified.letters) == 40


def test_what_was_too_old_when_the_notifier_began_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    notified = Notified(Scripted(), max_age_ms=MINUTE_MS)
    old, new = event(), event(2000)
    notified.publish(old)
    notified.clock.advance(MINUTE_MS + 1)
    notified.publish(new)
    notified.run()
    assert notified.receiver.taken == ids(new)
    assert not notified.letters
    assert "1 left out" in caplog.text


def test_what_grew_too_old_behind_others_is_no_silent_loss() -> None:
    notified = Notified(Scripted(*[FAILED] * 7, DELIVERED), max_age_ms=MINUTE_MS)
    notified.publish(event(), event(2000))
    notified.run()
    assert [letter.reason.partition(";")[0] for letter in notified.letters] == [
        "it answered 500",
        "it waited",
    ]


def test_what_grew_too_old_while_no_notifier_ran_is_no_silent_loss() -> None:
    """Only what was too old for a new webhook is nobody's: a notifier that was away owes a letter for the rest."""
    notified = Notified(Scripted(), max_age_ms=MINUTE_MS)
    notified.publish(event())
    notified.run()
    notified.end()
    notified.publish(event(sequence=2, phase="updated"))
    notified.clock.advance(MINUTE_MS + 1)
    notified.begin()
    notified.run()
    assert notified.receiver.taken == ids(event())
    [letter] = notified.letters
    assert letter.reason.startswith("it waited; after 0 attempts it is older than 1 min")


def test_a_quiet_webhook_keeps_when_it_began() -> None:
    """Handed over in good order before its first event, as in every update."""
    notified = Notified(Scripted(), max_age_ms=MINUTE_MS)
    notified.run()
    notified.hand_over()
    notified.publish(event())
    notified.clock.advance(MINUTE_MS + 1)
    notified.begin()
    notified.run()
    assert len(notified.letters) == 1


def test_a_receiver_that_asks_for_time_gets_it_from_all_streams() -> None:
    notified = Notified(Scripted(Answer("busy", "", retry_after_s=90.0), DELIVERED))
    notified.publish(event())
    notified.run()
    assert notified.pauses == [90.0]


def test_what_is_no_event_is_a_dead_letter_and_the_rest_goes_on() -> None:
    notified = Notified(Scripted())
    notified.broker.commit([Message(EVENTS.name, b"cam1", b"{}")])
    notified.publish(event())
    notified.run()
    assert [letter.error for letter in notified.letters] == ["MessageError"]
    assert notified.receiver.taken == ids(event())


class Meeting(Scripted):
    """Answers no stream before others have come."""

    def __init__(self, streams: int) -> None:
        super().__init__()
        self._all = threading.Barrier(streams, timeout=PATIENT_S)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._all.wait()
        return super().post(body, headers)


def test_streams_do_not_wait_for_each_other() -> None:
    notified = Notified(Meeting(8))
    notified.publish(*[event(stream=f"cam{n}") for n in range(8)])
    notified.run()
    assert len(notified.receiver.taken) == 8


@pytest.mark.parametrize("when", ["between attempts", "in an attempt"])
def test_a_stop_gives_up_nothing_and_the_next_worker_goes_on(when: str) -> None:
    notified = Notified(Scripted(FAILED, DELIVERED), max_attempts=1 if when == "in an attempt" else 20)
    changes = [event(), event(sequence=2, phase="ended", end_ms=2000)]
    notified.publish(*changes)
    if when == "in an attempt":  # the last: it would be a dead letter
        post = notified.receiver.post

        def stopped(body: bytes, headers: Mapping[str, str]) -> Answer:
            notified.stop.set()
            assert notified.receiver.was_cut.wait(PATIENT_S)
            return post(body, headers)

        notified.receiver.post = stopped  # type: ignore[method-assign]
    else:
        notified.begin(pause=lambda _: notified.stop.set())
    with pytest.raises(InternalError, match="told to stop"):
        notified.run()
    assert not notified.receiver.taken
    notified.end()
    notified.stop.clear()
    notified.receiver.__dict__.pop("post", None)
    notified.begin()
    notified.run()
    assert notified.receiver.taken == ids(*changes)
    assert not notified.letters


def test_a_notifier_without_webhooks_says_how_to_write_one() -> None:
    with pytest.raises(SetupError, match=r"webhooks:.*url: .https://"):
        run(Settings())


def test_a_secret_that_is_none_is_said_before_any_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def waiting(*_: object, **__: object) -> None:
        raise AssertionError("it would wait for Kafka, for ever")

    monkeypatch.setattr("framecue_services.notifier.__main__.host_all", waiting)
    hook = Webhook(name="ops", url="https://hooks.example/", secret=f"{KEY_PREFIX}no-base64!!")
    with pytest.raises(SetupError, match="no base64"):
        run(Settings(notifier={"webhooks": (hook,)}))
