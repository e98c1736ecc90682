"""Events that a webhook did not take go to it again by hand, to nobody else, and signed as the notifier signs them."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Record
from framecue.broker.publishing import dead_letter, result_message
from framecue.clock import FixedClock
from framecue.errors import DeliveryError
from framecue.schemas.topics import EVENTS
from framecue.settings import NotifierSettings, Webhook
from framecue_services.cli.deadletters import dead_letters, requeue, run_requeue
from framecue_services.cli.redelivery import Redelivery
from framecue_services.notifier.signing import signed
from tests.contract.test_store import event
from tests.support.receivers import Behaviour, WebhookReceiver

CLOCK = FixedClock(1_700_000_000_000)
KEY = "0123456789abcdef"


def settings(url: str, *, name: str = "ops", private: str = "allow") -> NotifierSettings:
    hook = Webhook(name=name, url=url, secret=KEY, timeout_ms=500)
    return NotifierSettings(webhooks=(hook,), private_addresses=private)


def given_up(*, events: int = 1, value: bytes | None = None) -> MemoryBroker:
    """A broker with letters of the webhook `ops`, of one stream."""
    broker = MemoryBroker(partitions=2, clock=CLOCK)
    for n in range(1, events + 1):
        message = result_message(event(sequence=n, phase="updated"), CLOCK)
        record = Record(EVENTS.name, 0, n, CLOCK.now_ms(), message.key, value or message.value, message.headers)
        broker.commit([dead_letter(record, "notifier.ops", DeliveryError("it answered 500"))])
    return broker


def test_what_was_given_up_arrives_signed_and_in_order_and_nobody_else_sees_it_twice() -> None:
    broker, out = given_up(events=3), Console(file=io.StringIO(), width=200)
    with WebhookReceiver() as receiver:
        bring = Redelivery(settings(receiver.url), clock=CLOCK).bring
        assert run_requeue(broker, dead_letters(broker), bring=bring, console=out) == 0
    assert [one.event["sequence"] for one in receiver.requests] == [1, 2, 3]
    one = receiver.requests[0]
    wanted = signed(one.headers["webhook-id"], one.body, at_s=CLOCK.now_ms() // 1000, keys=[KEY.encode()])
    assert dict(wanted).items() <= one.headers.items()
    assert one.headers["ce-id"] == "cam1/0/goal/0#1"
    assert not [r for p in range(2) for r in broker.read(EVENTS.name, partition=p)]
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == "put back: 3 to the webhook ops\n"


@pytest.mark.parametrize(
    ("configured", "broker", "behaviour", "requests", "reasons"),
    [
        (lambda url: settings(url), lambda: given_up(events=2), Behaviour(404), 2, ["404"] * 2),
        (lambda url: settings(url), lambda: given_up(events=2), Behaviour(500), 2, ["500"] * 2),
        (lambda url: settings(url), lambda: given_up(events=2), Behaviour(hangs=True), 1, ["no answer"] * 2),
        (lambda url: settings(url, private="refuse"), given_up, Behaviour(), 0, ["no public address"]),
        (lambda url: settings(url, name="other"), given_up, Behaviour(), 0, ["no webhook is configured here"]),
        (lambda _: settings("https://a..b/"), given_up, Behaviour(), 0, ["no host"]),
        (lambda url: settings(url), lambda: given_up(value=b"{}"), Behaviour(), 0, ["not a result of events"]),
    ],
    ids=["refused: each for itself", "failed: so too", "away: asked once", "private", "unknown", "no host", "none"],
)  # fmt: skip
def test_what_is_not_taken_stays_with_the_reason(
    configured: Callable[[str], NotifierSettings],
    broker: Callable[[], MemoryBroker],
    behaviour: Behaviour,
    requests: int,
    reasons: list[str],
) -> None:
    filled = broker()
    with WebhookReceiver(behaviour) as receiver:
        bring = Redelivery(configured(receiver.url), clock=CLOCK).bring
        done = requeue(filled, dead_letters(filled), bring=bring)
    assert len(receiver.requests) == requests
    assert not done.back
    assert len(done.refused) == len(reasons)
    assert all(wanted in said for wanted, (_, said) in zip(reasons, done.refused, strict=True))
