"""What ends a process that hangs where nothing else can: a commit that never returns would keep its partitions.

A worker that ends is started again and goes on from what is committed; one that hangs is not. It must not know what
it guards.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""
_log = logging.getLogger(__name__)


def end_process(what: str) -> None:
    """Ends this process at once, without any clean-up: what hangs would hang that too."""
    _log.critical("%s hangs; this process ends, and its successor goes on from what is committed", what)
    logging.shutdown()
    os._exit(EXIT_CODE)


class Watchdog:
    """Calls `on_expire` with what is guarded, when that takes longer than `limit_s`; from a thread of its own."""

    def __init__(self, limit_s: float, on_expire: Callable[[str], None] = end_process) -> None:
        self._limit_s, self._on_expire = limit_s, on_expire
        self._guarded: dict[int, tuple[float, str]] = {}
        self._numbers = count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def guard(self, what: str) -> Generator[None]:
        """While the block runs, it is watched. From any thread; blocks may overlap."""
        number = next(self._numbers)
        with self._changed:
            self._guarded[number] = (time.monotonic() + self._limit_s, what)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="framecue-watchdog", daemon=True)
                self._thread.start()
            elif len(self._guarded) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._guarded.pop(number, None)

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        while (expired := self._next_expired()) is not None:
            self._on_expire(expired)

    def _next_expired(self) -> str | None:
        """What hangs; waits for it. None once closed."""
        with self._changed:
            while not self._closed:
                number = min(self._guarded, default=None)  # equal limits: the oldest expires first
                if number is None:
                    self._changed.wait()
                    continue
                deadline_s, what = self._guarded[number]
                if (left_s := deadline_s - time.monotonic()) <= 0:
                    del self._guarded[number]
                    return what
                self._changed.wait(left_s)
        return None
