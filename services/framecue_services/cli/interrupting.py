"""Ctrl-C as a wish that a command fulfils when it suits: it finishes what it does, and says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


@contextmanager
def interruptible() -> Iterator[Event]:
    """Set when the user presses Ctrl-C or the process is asked to end; the second time it is as ever."""
    stop = Event()

    def ask(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
