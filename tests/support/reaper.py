"""Ends what a test run started, servers above all, once the run is over: also where it was killed and could not.

    python reaper.py MARK       waits until its standard input ends, then kills every process that carries the mark

Processes inherit the mark in their environment. Where there is no /proc, nothing is done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

NAME = "PYTEST_RUN_MARK"


class Reaper:
    """Watches this process from now on."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex
        os.environ[NAME] = mark
        command = [sys.executable, "-S", __file__, mark]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        self._process.communicate()


def marked(mark: str) -> list[int]:
    """The ids of all processes but this one that carry the mark."""
    wanted, found = f"{NAME}={mark}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0") and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def main(mark: str) -> None:
    sys.stdin.read()
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
