"""What feeds live results and readiness: whatever fails in between, it goes on, and what is gone is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Offsets, Start, Tail
from framecue.clock import FixedClock
from framecue.errors import BrokerError
from framecue.schemas.results import to_json
from framecue.store.memory import MemoryStore
from framecue_services.gateway import feed as subject
from framecue_services.gateway import health
from framecue_services.gateway.feed import feeding
from framecue_services.gateway.health import Health
from framecue_services.gateway.live import LiveHub, Wanted
from tests.unit.cli.results import annotation

PATIENCE_S = 30
CLOCK = FixedClock(1_700_000_000_000)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETRY_S", "CHECK_S", "WAIT_S"):
        monkeypatch.setattr(subject, name, 0.01)


class Failing(MemoryBroker):
    """One whose tails break with each of `errors`, one after the other, when they are polled."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(partitions=2, clock=CLOCK)
        self.errors = list(errors)

    def tail(self, topics: Sequence[str], *, start: Start | Offsets = "now") -> Any:
        return _Breaking(super().tail(topics, start=start), self.errors)


class _Breaking:
    def __init__(self, tail: Tail, errors: list[Exception]) -> None:
        self._tail, self._errors = tail, errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tail, name)

    def poll(self, max_records: int, *, timeout_s: float) -> Any:
        if self._errors:
            raise self._errors.pop(0)
        return self._tail.poll(max_records, timeout_s=timeout_s)


def publish(broker: MemoryBroker, number: int) -> None:
    one = annotation(number, stream="cam1")
    broker.commit([Message("annotations", b"cam1", to_json(one))])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def heard(hub: LiveHub, broker: MemoryBroker) -> str:
    """What somebody is handed who listens while one more is published."""
    async with asyncio.timeout(PATIENCE_S):
        await hub.ready.wait()
        listening = hub.subscribe(Wanted())
        listening.attach()
        publish(broker, 1)
        return (await listening.next() or b"").decode()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(BrokerError("Kafka is away"), "WARNING", id="as brokers fail"),
        pytest.param(KeyError("a fault of a library"), "ERROR", id="a fault that nobody thought of: else it would be "
                     "quiet for ever, and ready all the while"),
    ],
)  # fmt: skip
def test_a_tail_that_breaks_is_made_anew(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub, broker = LiveHub(queue_bytes=1 << 20, most=10, most_each=10), Failing(error)
        async with feeding(hub, broker, CLOCK):
            assert "event: annotation" in await heard(hub, broker)

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == [said]
    caplog.clear()


def test_topics_that_are_made_anew_under_a_tail_are_told_as_missed() -> None:
    """Also where the new ones are as long already as the old ones were: no place of theirs is out of range."""

    async def scenario() -> None:
        hub, broker = LiveHub(queue_bytes=1 << 20, most=10, most_each=10), MemoryBroker(partitions=2, clock=CLOCK)
        async with feeding(hub, broker, CLOCK):
            await hub.ready.wait()
            listening = hub.subscribe(Wanted())
            listening.attach()
            broker._id = b"made again"
            async with asyncio.timeout(PATIENCE_S):
                assert b"event: missed" in (await listening.next() or b"")

    asyncio.run(scenario())


def test_a_fault_while_one_who_listens_is_seen_to_keeps_nobody_else_from_it(caplog: pytest.LogCaptureFixture) -> None:
    """Whose token was revoked would listen on for ever."""
    faults = [RuntimeError("nobody thought of it")]

    def is_valid() -> bool:
        if faults:
            raise faults.pop()
        return False

    async def scenario() -> None:
        hub, broker = LiveHub(queue_bytes=1 << 20, most=10, most_each=10), MemoryBroker(partitions=2, clock=CLOCK)
        async with feeding(hub, broker, CLOCK):
            listening = hub.subscribe(Wanted(), is_valid=is_valid)
            async with asyncio.timeout(PATIENCE_S):
                await listening.ended.wait()
            assert listening.why == "refused"

    asyncio.run(scenario())
    assert "nobody thought of it" in caplog.text
    caplog.clear()


def test_readiness_that_could_not_be_told_is_told_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that was full for a moment must not leave a gateway unready for ever."""
    monkeypatch.setattr(health, "READY_EVERY_S", 0.001)
    told: list[bool] = []

    def tell(ready: bool) -> None:
        told.append(ready)
        if len(told) == 1:
            raise OSError("no space left on device")

    async def scenario() -> None:
        watching = asyncio.create_task(Health(MemoryBroker(partitions=1), MemoryStore(CLOCK)).watch(tell))
        await until(lambda: len(told) == 2)
        watching.cancel()

    asyncio.run(scenario())
    assert told == [True, True]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    caplog.clear()
