"""Webhooks from a real Kafka to real receivers: every event once by id and sequence, in order, whatever fails between.

The notifier is a process that is killed on the way; what a receiver saw is judged as a user's own would judge it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.schemas.event import Event
from framecue.schemas.topics import DEADLETTER, EVENTS
from tests.contract.test_store import event
from tests.support.fleet import Fleet, read_all
from tests.support.paths import REPO
from tests.support.receivers import Behaviour, WebhookReceiver
from tests.support.servers import free_port
from tests.support.watching import Watch, streams_on

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STREAMS = streams_on(4)
STOP_S = 10.0
"""What a loop waits for work under way: so long a stop may take, and no longer."""


def notifying(*webhooks: dict[str, Any], **settings: int) -> dict[str, str]:
    """Variables for a notifier that may call this machine, and is quick to try again."""
    given = {"backoff_ms": 10, "backoff_max_ms": 100} | settings
    return {
        "FRAMECUE_NOTIFIER__WEBHOOKS": json.dumps(webhooks),
        "FRAMECUE_NOTIFIER__PRIVATE_ADDRESSES": "allow",
        **{f"FRAMECUE_NOTIFIER__{name}".upper(): str(value) for name, value in given.items()},
    }


def changes(first: int, last: int) -> list[Event]:
    """Changes `first` to `last` of one event on every stream."""
    return [event(stream=s, sequence=n, phase="updated") for n in range(first, last + 1) for s in STREAMS]


def publish(fleet: Fleet, events: Sequence[Event]) -> None:
    fleet.broker.commit([result_message(e, SystemClock()) for e in events])


def judge(receiver: WebhookReceiver, events: Sequence[Event]) -> None:
    """Each of `events` was taken, in the order of its stream, as signed and published."""
    verified = _example()
    sequences: defaultdict[str, list[int]] = defaultdict(list)
    for one in receiver.accepted:
        assert verified(KEY, one.headers, one.body)
        sequences[one.event["stream"]].append(one.event["sequence"])
    last = max(e.sequence for e in events)
    assert sequences == {stream: list(range(1, last + 1)) for stream in STREAMS}


def _example() -> Any:
    (code,) = re.findall(r"```python\n(.*?)```", (REPO / "deploy/docs/webhooks.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102
    return found["verified"]


def test_every_event_arrives_once_and_in_order_at_a_receiver_that_hangs_fails_and_recovers(
    tmp_path: Path, kafka: str, redis_url: str
) -> None:
    with WebhookReceiver(Behaviour(hangs=True)) as sick, WebhookReceiver() as sound:
        hooks = notifying(
            {"name": "sick", "url": sick.url, "secret": KEY, "timeout_ms": 300, "max_attempts": 1000},
            {"name": "sound", "url": sound.url, "secret": KEY},
        )
        port = free_port()
        hooks["FRAMECUE_TELEMETRY__METRICS_PORT"] = str(port)
        with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, settings=hooks) as fleet:
            publish(fleet, changes(1, 4))  # before anybody reads: a new group begins at the oldest
            notifier = fleet.start("notifier")
            fleet.until(lambda: len(sound.accepted) == 16, what="delivery beside a receiver that hangs")
            sick.behave(Behaviour(status=500))
            fleet.until(lambda: sum(one.answered == 500 for one in sick.requests) >= 10, what="ten times 500")
            assert not sick.accepted
            notifier.kill()
            publish(fleet, changes(5, 12))
            sick.behave(Behaviour(hangs=True), first=[Behaviour()] * 9)  # it recovers, and then does not for a while
            fleet.until(lambda: len(sick.accepted) == 9, what="the first deliveries after the receiver recovered")
            notifier.kill()  # in the middle of a batch, which is not committed
            sick.behave(Behaviour())
            fleet.until(lambda: notifier.starts == 3 and len(sick.accepted) == len(sound.accepted) == 48)
            judge(sick, changes(1, 12))
            judge(sound, changes(1, 12))
            published = {r.value for r in read_all(fleet.broker, EVENTS.name)}
            assert {one.body for one in sick.accepted} == published
            assert not read_all(fleet.broker, DEADLETTER.name)
            measured = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
            for name in ("duration_seconds_count", "delay_seconds_count"):
                for webhook in ("sick", "sound"):
                    assert re.search(rf'framecue_webhook_{name}{{.*webhook="{webhook}"', measured)
            assert "of-its-own" not in notifier.last_lines(10_000)  # the query of the URL
            assert KEY not in notifier.last_lines(10_000)


def test_notifiers_share_the_streams_and_one_that_is_stopped_between_attempts_gives_nothing_up(
    tmp_path: Path, kafka: str, redis_url: str
) -> None:
    with WebhookReceiver(Behaviour(status=500)) as receiver:
        hooks = notifying({"name": "ops", "url": receiver.url, "secret": KEY}, backoff_ms=60_000, backoff_max_ms=60_000)
        with Fleet(tmp_path, bootstrap=kafka, redis_url=redis_url, settings=hooks) as fleet, Watch(fleet) as watch:
            both = [fleet.start("notifier", slot) for slot in ("0", "1")]
            fleet.until(lambda: set(watch.owners("notifier.ops").values()) == {"0", "1"})
            fleet.until(fleet.ready)
            publish(fleet, changes(1, 2))
            fleet.until(lambda: len(receiver.requests) >= len(STREAMS), what="a first attempt for each stream")
            assert [notifier.terminate(within_s=STOP_S) for notifier in both] == [0, 0]
            assert {one.event["sequence"] for one in receiver.requests} == {1}
            receiver.behave(Behaviour())
            fleet.start("notifier", "0")
            fleet.until(lambda: len(receiver.accepted) == 2 * len(STREAMS), what="all deliveries")
            judge(receiver, changes(1, 2))
            assert not read_all(fleet.broker, DEADLETTER.name)
