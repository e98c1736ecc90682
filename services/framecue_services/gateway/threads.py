"""Blocking calls beside the event loop: so many at a time, so many waiting, and no more.

Redis, Kafka and pictures have threads of their own, so that one that is away or slow holds up nobody who asks another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

from framecue_services.gateway.problems import busy

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """`at_once` calls run, `waiting` more wait; whoever comes then is told to come again."""

    def __init__(self, what: str, *, at_once: int, waiting: int) -> None:
        self._what = what
        self._room = threading.BoundedSemaphore(at_once + waiting)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=what)

    async def run(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What `call` gives. Whoever goes away no longer waits for it.

        A call that runs then keeps its thread to its end, so that there are never more of them; one that waits is not
        made. Raises Problem 503 where too many wait already.
        """
        if not self._room.acquire(blocking=False):
            raise busy(f"too much is asked of {self._what} at once")
        made = self._threads.submit(copy_context().run, partial(call, *args, **named))
        made.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(made)


@dataclass(frozen=True)
class Pools:
    """One for each of what requests wait for."""

    redis: Threads = field(default_factory=lambda: Threads("Redis", at_once=8, waiting=500))
    kafka: Threads = field(default_factory=lambda: Threads("Kafka", at_once=8, waiting=100))
    history: Threads = field(default_factory=lambda: Threads("history", at_once=4, waiting=16))
    writes: Threads = field(default_factory=lambda: Threads("what writes to Kafka", at_once=4, waiting=50))
