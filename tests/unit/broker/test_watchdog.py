"""What hangs is named, what ends in time is not."""

from __future__ import annotations

import subprocess
import sys
import threading

from framecue.broker.watchdog import EXIT_CODE, Watchdog

BOUND_S = 10.0


def test_what_takes_too_long_is_named() -> None:
    named: list[str] = []
    seen = threading.Event()

    def on_expire(what: str) -> None:
        named.append(what)
        seen.set()

    watchdog = Watchdog(0.01, on_expire)
    with watchdog.guard("a commit"):
        assert seen.wait(BOUND_S)
    watchdog.close()
    assert named == ["a commit"]


def test_what_ends_in_time_is_left_alone() -> None:
    named: list[str] = []
    watchdog = Watchdog(60, named.append)
    for _ in range(100):
        with watchdog.guard("one"), watchdog.guard("another"):
            pass
    watchdog.close()
    assert named == []


def test_one_that_hangs_is_seen_beside_others_that_do_not() -> None:
    named: list[str] = []
    seen = threading.Event()
    watchdog = Watchdog(0.05, lambda what: (named.append(what), seen.set())[0])
    with watchdog.guard("hangs"):
        while not seen.is_set():
            with watchdog.guard("quick"):
                seen.wait(0.001)
    watchdog.close()
    assert named == ["hangs"]


def test_a_process_that_hangs_ends() -> None:
    code = (
        "import threading; from framecue.broker.watchdog import Watchdog\n"
        "with Watchdog(0.05).guard('a commit'): threading.Event().wait(60)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == EXIT_CODE
    assert "a commit hangs" in ended.stderr
