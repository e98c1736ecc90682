"""Decoder children that crash, hang, eat, lie: one error each, and the pool goes on."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from framecue.errors import DecoderFailedError, InternalError, LimitExceededError, SetupError, UnsupportedMediaError
from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.pool import DecoderPool
from framecue.media.sampling import Sampling
from tests.support.clips import make_clip

TASK = "tests.unit.media.faulty_tasks:run"
LIMITS = DecodeLimits(cpu_seconds=0.5, wall_seconds=2)
SAMPLING = Sampling(per_second=Fraction(5, 2), quality=70)


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_clip(seconds=2, size=(64, 48))


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS, sampling=SAMPLING, task=TASK) as pool:
        yield pool


def said(pool: DecoderPool) -> dict[str, object]:
    """What a child knows of itself."""
    known: dict[str, object] = ast.literal_eval(pool.decode(b"say").warnings[0])
    return known


def test_decode_gives_what_the_function_gives(pool, clip):
    start = Fraction(1001, 24000)
    here = decode_segment(clip, start=start, program=1, sampling=SAMPLING, limits=LIMITS)
    assert pool.decode(clip, start=start, program=1) == here
    assert len(here.frames) > 3


@pytest.mark.parametrize(
    ("data", "cause", "reason"),
    [
        (b"segfault", "crash", "crashed (SIGSEGV)"),
        (b"exit", "crash", "crashed (exit code 3)"),
        (b"lie", "crash", "its answer cannot be read"),
        (b"flood", "crash", "crashed (SIGKILL)"),
        (b"hang", "wall", "did not answer within 2 s"),
        (b"spin", "cpu", "more than 0.5 s of CPU time"),
        (b"eat", "memory", "more than 2048 MiB of memory"),
    ],
)
def test_a_lost_child_is_one_error_and_the_next_segment_decodes(pool, clip, data, cause, reason):
    before = pool.restarts.get(cause, 0)
    with pytest.raises(DecoderFailedError) as caught:
        pool.decode(data)
    assert reason in caught.value.reason
    assert pool.restarts[cause] == before + 1
    assert len(pool.decode(clip).frames) == 5


def test_errors_come_through_as_they_are(pool, clip):
    restarts = dict(pool.restarts)
    with pytest.raises(UnsupportedMediaError, match="playlist"):
        pool.decode(b"#EXTM3U\n")
    with pytest.raises(UnsupportedMediaError, match="no program 3"):
        pool.decode(clip, program=3)
    with pytest.raises(LimitExceededError) as caught:
        pool.decode(bytes(LIMITS.max_bytes + 1))
    assert (caught.value.what, caught.value.limit, caught.value.got) == ("bytes", 16 << 20, (16 << 20) + 1)
    assert pool.restarts == restarts


def test_a_segment_is_decoded_to_its_end_when_the_whole_service_is_told_to_stop(pool):
    restarts = dict(pool.restarts)
    assert len(pool.decode(b"stop say").warnings) == 1
    assert pool.restarts == restarts


def test_a_fault_of_ours_is_not_blamed_on_the_segment(pool):
    with pytest.raises(InternalError, match="KeyError"):
        pool.decode(b"bug")


def test_a_child_knows_no_secret_and_can_write_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    with DecoderPool(1, task=TASK) as pool:
        known = said(pool)
        with pytest.raises(InternalError, match="too large"):
            pool.decode(b"write " + bytes(tmp_path / "out"))
    assert "swordfish" not in str(known)
    assert known["parent"] == os.getpid()
    assert known["torch"] is False


def test_a_hanging_child_delays_no_neighbour_and_close_ends_it(clip):
    with ThreadPoolExecutor(4) as threads, DecoderPool(2, task=TASK) as pool:
        hanging = threads.submit(pool.decode, b"hang")
        for _ in range(6):
            assert len(pool.decode(clip).frames) == 4
        assert not hanging.done()
        child = said(pool)["pid"]
        pool.close()
        with pytest.raises(InternalError, match="closed"):
            hanging.result()
        with pytest.raises(InternalError, match="closed"):
            pool.decode(clip)
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(child)), 0)


def test_setup_error_when_a_child_cannot_start(capfd):
    with DecoderPool(1, task="framecue.nowhere:run") as pool, pytest.raises(SetupError, match="does not start"):
        pool.decode(b"")
    assert "framecue.nowhere" in capfd.readouterr().err
