"""Processes are ended whole, and nobody else's with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from framecue_services.cli.local.processes import LOG_BYTES, Process, launch

PARENT = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Generator[Callable[[str], tuple[Process, int]]]:
    """Starts a process with a child, `deaf` to SIGTERM or not; gives it and the child's id."""
    started: list[Process] = []

    def start(how: str) -> tuple[Process, int]:
        log = tmp_path / "log"
        started.append(launch([sys.executable, "-c", PARENT, how], log=log))
        assert until(lambda: "ready" in log.read_text())
        return started[-1], int(log.read_text().splitlines()[0])

    yield start
    for process in started:
        process.kill()


@pytest.mark.parametrize(
    ("how", "stopped"),
    [("polite", False), ("deaf", False), ("polite", True), ("deaf", True)],
    ids=["heeds SIGTERM", "ignores it", "is stopped, then heeds it", "is stopped, and ignores it"],
)
def test_process_and_its_children_end_when_it(
    parent: Callable[[str], tuple[Process, int]], how: str, stopped: bool
) -> None:
    process, child = parent(how)
    if stopped:
        os.kill(process.pid, signal.SIGSTOP)
    process.stop(within_s=0.5)
    assert not process.alive
    assert until(lambda: not _exists(child))


def test_process_is_let_be_when_its_id_is_another_ones() -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        ours = Process(other.pid, "started at another time")
        assert not ours.alive
        ours.stop(within_s=1)
        ours.kill()
        assert other.poll() is None
    finally:
        other.communicate(b"\n")


def test_process_is_found_again_when_another_command_looks(parent: Callable[[str], tuple[Process, int]]) -> None:
    process, _ = parent("polite")
    look = "import sys; from framecue_services.cli.local.processes import Process; print(Process(*sys.argv[1:]).alive)"
    look = look.replace("Process(*sys.argv[1:])", "Process(int(sys.argv[1]), sys.argv[2])")
    command = [sys.executable, "-c", look, str(process.pid)]
    seen = [
        subprocess.run([*command, known.started], capture_output=True, text=True, check=True).stdout.strip()
        for known in (process, replace(process, started="at another time"))
    ]
    assert seen == ["True", "False"]


def test_log_is_put_aside_when_long(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    process = launch([sys.executable, "-c", "print('new')"], log=log)
    assert until(lambda: not process.alive)
    assert log.read_text() == "new\n"
    assert (tmp_path / "service.old.log").stat().st_size == LOG_BYTES + 1


def until(holds: Callable[[], bool], within_s: float = 20) -> bool:
    end = time.monotonic() + within_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def _exists(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
