"""Writing to Kafka for somebody who waits: on threads of its own, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from framecue_services.gateway.problems import Problem
from framecue_services.gateway.threads import Pools

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE_S = 20.0
"""Kafka has an answer within a transaction's time-out, 10 s, where it has one at all."""


async def written(pools: Pools, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `call` gives, which writes; raises Problem 503 where that takes too long."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await pools.writes.run(call, *args, **named)
    except TimeoutError as e:
        detail = "Kafka takes too long; whether it was written is not known"
        raise Problem(503, detail, headers={"Retry-After": "10"}) from e
