"""Memory of a service, its children with it, as Linux tells."""

from __future__ import annotations

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
