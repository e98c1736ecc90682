"""Whether the gateway can do its work: whether Kafka and Redis answer. It must not know HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from framecue.broker.protocol import Broker
from framecue.errors import FrameCueError
from framecue.schemas.topics import CONTROL
from framecue.store.protocol import Store
from framecue_services.gateway.threads import Threads

PATIENCE_S = 3.0
"""A server that takes longer is away, for who waits for a page."""
UNREADY_EVERY_S, READY_EVERY_S = 1.0, 5.0
_log = logging.getLogger(__name__)


class Health:
    """Asks both servers, whatever else is asked of them: each has a thread here."""

    def __init__(self, broker: Broker, store: Store) -> None:
        self._questions: Mapping[str, Callable[[], object]] = {
            "Kafka": lambda: broker.end(CONTROL.name, partition=0),
            "Redis": store.streams,
        }
        self._threads = {name: Threads(name, at_once=1, waiting=2) for name in self._questions}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def away(self) -> tuple[str, ...]:
        """The servers that do not answer; who asks while somebody does hears the same answer."""
        names = tuple(self._questions)
        answers = await asyncio.gather(*(asyncio.shield(self._asked(name)) for name in names))
        return tuple(name for name, answers_now in zip(names, answers, strict=True) if not answers_now)

    async def watch(self, tell: Callable[[bool], None]) -> None:
        """Tells of each change, for ever: ready once both answered, unready while one does not."""
        was: bool | None = None
        while True:
            ready = not await self.away()
            try:
                if ready != was:
                    tell(ready)
                    was = ready
            except OSError:  # it is told in a file; next time it may be writable
                _log.exception("whether this gateway is ready could not be told")
            await asyncio.sleep(READY_EVERY_S if ready else UNREADY_EVERY_S)

    def _asked(self, name: str) -> asyncio.Task[bool]:
        task = self._asking.get(name)
        if task is None or task.done():
            task = self._asking[name] = asyncio.create_task(self._ask(name))
        return task

    async def _ask(self, name: str) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._threads[name].run(self._questions[name])
        except (FrameCueError, TimeoutError):
            return False
        return True
