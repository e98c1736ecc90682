"""Token buckets, by hand: what passes, what waits how long, and how much is remembered."""

from __future__ import annotations

import pytest

from framecue_services.gateway.limits import Limiter, network


def test_a_burst_passes_then_so_many_a_second() -> None:
    limiter = Limiter(per_second=2, burst=3)
    assert [limiter.take("a", now_s=100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.take("a", now_s=100.25) == 0.25, "who is refused takes nothing"
    assert limiter.take("a", now_s=100.5) == 0
    assert limiter.take("a", now_s=100.5) == 0.5


def test_a_bucket_is_never_fuller_than_full() -> None:
    limiter = Limiter(per_second=100, burst=2)
    limiter.take("a", now_s=0.0)
    assert [limiter.take("a", now_s=10_000.0) > 0 for _ in range(3)] == [False, False, True]


def test_a_clock_that_is_set_back_refuses_nobody_for_longer() -> None:
    limiter = Limiter(per_second=1, burst=2)
    limiter.take("a", now_s=1_000.0)
    assert [limiter.take("a", now_s=0.0), limiter.take("a", now_s=0.0)] == [0, 1]
    assert limiter.take("a", now_s=1.0) == 0


def test_what_is_given_back_can_be_taken_again_and_fills_no_bucket_above_full() -> None:
    limiter = Limiter(per_second=0.001, burst=2)
    limiter.give_back("a")
    assert len(limiter) == 0, "nothing was ever taken, so there is nothing to remember"
    assert [limiter.take("a", now_s=0.0) > 0 for _ in range(3)] == [False, False, True]
    limiter.give_back("a")
    assert [limiter.take("a", now_s=0.0) > 0 for _ in range(2)] == [False, True]
    for _ in range(5):
        limiter.give_back("a")
    assert [limiter.take("a", now_s=0.0) > 0 for _ in range(3)] == [False, False, True]


def test_callers_do_not_share() -> None:
    limiter = Limiter(per_second=1, burst=1)
    assert [limiter.take(caller, now_s=0.0) > 0 for caller in ("a", "b", "a", "c")] == [False, False, True, False]


def test_no_more_is_remembered_than_agreed_and_the_quietest_is_forgotten_first() -> None:
    limiter = Limiter(per_second=0.001, burst=1, most_callers=3)
    for second, caller in enumerate(("a", "b", "c", "a", "d")):
        limiter.take(caller, now_s=float(second))
    assert len(limiter) == 3
    assert limiter.take("a", now_s=5.0) > 0, "it was heard of after b, which had to go"
    assert limiter.take("d", now_s=5.0) > 0, "and so was the newest"
    for n in range(1_000):
        limiter.take(f"x{n}", now_s=6.0)
    assert len(limiter) == 3


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # the same machine over an IPv6 socket
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),  # has 2**64 addresses of its own to choose from
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 1_000, "x" * 64),
    ],
)
def test_what_counts_as_one_caller(address: str, caller: str) -> None:
    assert network(address) == caller
