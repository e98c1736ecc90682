"""A broker that is away: whoever asks hears so at once, but for one a second who tries."""

from __future__ import annotations

from typing import Any

import pytest

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.errors import BrokerError
from framecue_services.gateway import reaching as subject
from framecue_services.gateway.reaching import AGAIN_S, SLOW_S, ReachedBroker


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class Distant(MemoryBroker):
    """Says nothing for as long as it is away, which takes `wait_s`; `asked` counts who tried."""

    def __init__(self, time: Time) -> None:
        super().__init__(partitions=1)
        self.time, self.asked, self.wait_s, self.is_away = time, 0, 10.0, False

    def end(self, topic: str, *, partition: int) -> int:
        self.asked += 1
        if self.is_away:
            self.time.now_s += self.wait_s
            raise BrokerError("Kafka is away")
        return super().end(topic, partition=partition)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(subject, "time", made)
    return made


def asked(broker: ReachedBroker) -> bool:
    try:
        broker.end("events", partition=0)
    except BrokerError:
        return False
    return True


def test_while_it_is_away_one_a_second_tries_and_when_it_is_back_all_get_through(time: Time) -> None:
    distant = Distant(time)
    broker = ReachedBroker(lambda: distant)
    assert asked(broker)
    distant.is_away = True
    assert [asked(broker) for _ in range(5)] == [False] * 5
    assert distant.asked == 2, "the first of them waited, the others did not"
    time.now_s += AGAIN_S
    assert [asked(broker) for _ in range(5)] == [False] * 5
    assert distant.asked == 3
    distant.is_away = False
    time.now_s += AGAIN_S
    assert [asked(broker) for _ in range(5)] == [True] * 5


def test_what_is_refused_at_once_holds_up_nobody(time: Time) -> None:
    distant = Distant(time)
    distant.is_away, distant.wait_s = True, SLOW_S / 2
    broker = ReachedBroker(lambda: distant)
    assert [asked(broker) for _ in range(3)] == [False] * 3
    assert distant.asked == 3


def test_it_is_met_when_it_is_first_needed_and_again_after_a_moment(time: Time) -> None:
    attempts: list[float] = []

    def connect() -> Any:
        attempts.append(time.now_s)
        if len(attempts) < 3:
            raise BrokerError("no Kafka broker answers")
        return MemoryBroker(partitions=1)

    broker = ReachedBroker(connect)
    assert attempts == []
    assert [asked(broker) for _ in range(4)] == [False] * 4
    time.now_s += AGAIN_S
    assert [asked(broker) for _ in range(4)] == [False] * 4
    time.now_s += AGAIN_S
    assert [asked(broker) for _ in range(4)] == [True] * 4
    assert attempts == [100.0, 101.0, 102.0]


def test_records_come_through_to_the_last(time: Time) -> None:
    memory = MemoryBroker(partitions=1)
    memory.commit([Message("events", b"cam1", value) for value in (b"1", b"2", b"3")])
    broker = ReachedBroker(lambda: memory)
    assert [record.value for record in broker.read("events", partition=0)] == [b"1", b"2", b"3"]
    broker.close()
    assert not asked(broker), "once closed it reaches none"
