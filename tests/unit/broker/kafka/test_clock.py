"""The broker's time: never ahead of it, whatever the answers took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framecue.broker.kafka.clock import KEEP_S, BrokerTime


def test_nothing_is_known_before_the_first_answer() -> None:
    assert BrokerTime().now_ms(1.0) is None


def test_time_goes_on_from_the_quickest_answer_of_late() -> None:
    time = BrokerTime()
    time.learn(1_000, 10.0)  # at once
    time.learn(1_500, 11.0)  # half a second late
    assert time.now_ms(12.0) == 3_000


def test_a_clock_that_was_set_back_is_believed_again() -> None:
    time = BrokerTime()
    time.learn(100_000, 10.0)
    time.learn(5_000, 11.0 + KEEP_S)
    assert time.now_ms(12.0 + KEEP_S) == 6_000


@given(st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 900)), min_size=1, max_size=50))
def test_it_is_never_ahead_of_the_broker(answers: list[tuple[int, int]]) -> None:
    time, broker_ms = BrokerTime(), 1_000_000
    for step_ms, took_ms in answers:
        broker_ms += step_ms
        append_ms, broker_ms = broker_ms, broker_ms + took_ms
        time.learn(append_ms, broker_ms / 1_000 - 900)
        now_ms = time.now_ms(broker_ms / 1_000 - 900)
        assert now_ms is not None
        assert append_ms - 1 <= now_ms <= broker_ms
