"""Processes that outlive the command which started them, and how to end exactly these.

A process is known by its id and its start, so that an id which the system gave to somebody else is never signalled.
It must not know what the processes do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STEP_SECONDS = 0.02
KILL_SECONDS = 10
PROC = Path("/proc")
LOG_BYTES = 16 << 20
"""A log that is longer when its process starts is put aside."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""What this process started: the system keeps a dead child's id until its parent has asked."""


@dataclass(frozen=True)
class Process:
    """A process in a session of its own."""

    pid: int
    started: str
    """What the system says of its start; another process with this id says something else."""

    @property
    def alive(self) -> bool:
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
        return _start_of(self.pid) == self.started

    def stop(self, *, within_s: float) -> None:
        """Asks it to end, and kills it and its children once `within_s` is over. Nothing of it runs afterwards."""
        if not self.alive:
            return
        self.ask_to_stop()
        self._wait(within_s)
        self._end()

    def ask_to_stop(self) -> None:
        """Asks it to end, and does not wait."""
        if self.alive:
            self._signal(signal.SIGTERM, signal.SIGCONT)  # a stopped process would not hear of it otherwise

    def kill(self) -> None:
        """Ends it and its children at once."""
        if self.alive:
            self._end()

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._wait(KILL_SECONDS)

    def _signal(self, *numbers: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            for number in numbers:
                os.kill(self.pid, number)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            time.sleep(STEP_SECONDS)


def launch(command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Starts `command` in a session of its own, with what it prints added to `log`. Raises OSError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as out:
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    _children[child.pid] = child
    return Process(child.pid, _start_of(child.pid) or "")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keeps Ctrl-C for the end of the block, so that no process is started and not written down.

    Signals are not blocked, since a child would inherit that. Changes nothing outside the main thread, which alone is
    interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _start_of(pid: int) -> str | None:
    """When the process started, in the system's own words; None where none runs under this id."""
    if not PROC.is_dir():
        return _start_by_ps(pid)
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()  # proc(5): the name may hold spaces
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, start = fields[0], int(fields[17]), fields[19]
    over = state in "ZX" and threads <= 1  # a first thread that is done still holds the ports while others are not
    return None if over else f"{_boot()} {start}"


@cache
def _boot() -> str:
    """Which run of the machine this is: starts are counted from its beginning."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _start_by_ps(pid: int) -> str | None:
    found = subprocess.run(  # noqa: S603
        ("/bin/ps", "-o", "state=,lstart=", "-p", str(pid)), capture_output=True, text=True, check=False
    )
    state, _, start = found.stdout.strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()
