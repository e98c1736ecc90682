"""Blocking calls: never more threads than agreed, whoever goes away in the meantime."""

from __future__ import annotations

import asyncio
import threading

import pytest

from framecue_services.gateway.problems import Problem
from framecue_services.gateway.threads import Threads

GONE = 20


def test_whoever_goes_away_gives_nobody_another_thread_and_what_waited_is_not_done() -> None:
    """A server that hangs, and a client that asks and leaves again and again: else each time cost one more thread."""
    go_on, running, began = threading.Event(), threading.Semaphore(0), list[int]()

    def hang(number: int) -> None:
        began.append(number)
        running.release()
        assert go_on.wait(30)

    async def scenario() -> None:
        threads = Threads("a server", at_once=2, waiting=3)
        for number in range(GONE):
            asking = asyncio.create_task(threads.run(hang, number))
            if number < 2:
                await asyncio.to_thread(running.acquire)
            for _ in range(10):  # as far as it gets
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        last = asyncio.create_task(threads.run(lambda: "done"))
        await asyncio.sleep(0)
        assert began == [0, 1]
        go_on.set()
        assert await asyncio.wait_for(last, 30) == "done"
        assert began == [0, 1]

    asyncio.run(scenario())


def test_too_many_who_wait_are_told_to_come_again_also_behind_those_who_went() -> None:
    go_on = threading.Event()

    async def scenario() -> None:
        threads = Threads("a server", at_once=1, waiting=2)
        asking = [asyncio.create_task(threads.run(go_on.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as told:
            await threads.run(go_on.wait, 30)
        assert told.value.status == 503
        asking[2].cancel()
        await asyncio.gather(asking[2], return_exceptions=True)
        asking[2] = asyncio.create_task(threads.run(go_on.wait, 30))
        go_on.set()
        assert await asyncio.gather(*asking) == [True] * 3

    asyncio.run(scenario())
