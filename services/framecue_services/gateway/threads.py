"""Blocking calls beside the event loop: so many at a time, so many waiting, and no more.

Redis, Kafka and pictures have threads of their own, so that one that is away or slow holds up nobody who asks another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from framecue_services.gateway.problems import busy

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """`at_once` calls run, `waiting` more wait; whoever comes then is told to come again."""

    def __init__(self, what: str, *, at_once: int, waiting: int) -> None:
        self._what, self._waiting = what, waiting
        self._limiter = anyio.CapacityLimiter(at_once)

    async def run(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What `call` gives. Whoever goes away no longer waits for it, and it ends for nobody.

        Raises Problem 503 where too many wait already.
        """
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise busy(f"too much is asked of {self._what} at once")
        return await anyio.to_thread.run_sync(
            lambda: call(*args, **named), limiter=self._limiter, abandon_on_cancel=True
        )


@dataclass(frozen=True)
class Pools:
    """One for each of what requests wait for."""

    redis: Threads = field(default_factory=lambda: Threads("Redis", at_once=8, waiting=500))
    kafka: Threads = field(default_factory=lambda: Threads("Kafka", at_once=8, waiting=100))
    history: Threads = field(default_factory=lambda: Threads("history", at_once=4, waiting=16))
    writes: Threads = field(default_factory=lambda: Threads("what writes to Kafka", at_once=4, waiting=50))
