"""Memory of a service, its children with it, as Linux tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from framecue.telemetry.memory import resident_bytes

HELD = 64 << 20


def test_children_count() -> None:
    code = f"held = bytearray(b'x' * {HELD}); print('held', flush=True); input()"
    (before,) = resident_bytes()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        (during,) = resident_bytes()
        (alone,) = resident_bytes(of=child.pid)
        child.communicate(b"\n")
    assert alone >= HELD
    assert during >= before + HELD * 0.8  # this process may have given some back meanwhile


def test_nothing_is_known_where_there_is_no_proc(tmp_path: Path) -> None:
    assert list(resident_bytes(tmp_path / "absent")) == []
    assert list(resident_bytes(tmp_path)) == []


def test_a_process_may_be_named_in_any_bytes(tmp_path: Path) -> None:
    """Linux cuts names to 15 bytes, in the middle of a letter too, and names are whatever their owners choose."""
    for pid, name in ((7, b"framecue"), (8, "Ü".encode()[:1] + b") (x")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_bytes(b"%d (%s) S %d 1 1" % (pid, name, pid - 1))
        (tmp_path / str(pid) / "statm").write_bytes(b"100 10 5 1 0 50 0")
    (found,) = resident_bytes(tmp_path, of=7)
    assert found == 20 * os.sysconf("SC_PAGE_SIZE")
