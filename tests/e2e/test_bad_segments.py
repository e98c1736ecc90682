"""Broken segments and broken decoders on real streams: what each costs, and that all others go on.

The files are what other projects keep to break decoders with; `tests.unit.media.test_real_clips` has what is read of
each, here is what a subscriber sees. Only the model is light.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from framecue.analysis.settings import MachineSettings
from framecue.media.decoding import DecodeLimits
from framecue.media.pool import DecoderPool
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import GAP, WARNING, Event
from framecue.schemas.results import PublishedResult
from framecue.schemas.rules import rules_from_yaml
from framecue.schemas.segment import Headers, SegmentHeaders, segment_headers
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.cli.running import refusals
from tests.support.clips import Picture, make_clip
from tests.support.encoders import PALETTE, light_model
from tests.support.paths import SHARED

RULES = rules_from_yaml("scenes:\n  - labels: [red, green, blue]\n")
SLOT_MS = 10_000
"""A good segment of 2 s and then, until the next slot, a bad file: the longest plays 6 s."""
BAD = [
    # file, windows with pictures of it, how they are degraded (gap: nothing follows until the next slot), and
    # the words of its dead letter or its warning
    ("decord_corrupted.mp4", 2, "damaged", WARNING, "damaged after 30 frames"),
    ("decord_unordered.mov", 1, "gap", None, ""),
    ("exo_mp4_sample_malformed_free_box.mp4", 0, "gap", "dead letter", "no readable index (moov)"),
    ("exo_mp4_sample_mdat_too_long.mp4", 1, "gap", None, ""),
    ("exo_mp4_sample_missing_stsd.mp4", 1, "gap", None, ""),
    ("exo_mp4_sample_with_invalid_nalu.mp4", 1, "gap", None, ""),
    ("exo_ts_sample_with_sdt.ts", 0, "gap", WARNING, "the video track holds no picture"),
    ("exo_vp9_invalid-bitstream.webm", 0, "gap", "dead letter", "damaged after 0 frames"),
    ("mp4parse_metadata.mp4", 1, "gap", None, ""),
    ("mp4parse_no_timescale.mp4", 3, "damaged", WARNING, "damaged after 2 frames"),
    ("tsduck_143_unicode_error.ts", 0, "gap", "dead letter", "damaged after 31 frames"),
]
LIMITS = DecodeLimits(cpu_seconds=1, wall_seconds=2)
STARTING_SECONDS = 8
"""What three new decoder processes may take on a machine that is busy with other tests; alone it is 1 s."""


def good(colour: str = "red") -> bytes:
    """Two seconds of one colour in which a stripe moves."""

    def draw(index: int, at: Fraction) -> Picture:
        picture = np.full((48, 64, 3), PALETTE[colour], np.uint8)
        picture[index % 48] //= 2
        return picture

    return make_clip(seconds=2, fps=10, size=(64, 48), pattern=draw)


def headers(seq: int, start_ms: int, *, end: bool = False) -> Headers:
    return segment_headers(SegmentHeaders(session="s", seq=seq, start=Fraction(start_ms, 1000), end=end))


def annotations(results: Iterable[PublishedResult], stream: str = "cam1") -> dict[int, Annotation]:
    """The last revision of each window."""
    return {r.start_ms: r for r in results if isinstance(r, Annotation) and r.stream == stream}


@pytest.fixture(scope="module")
def seen() -> tuple[list[PublishedResult], list[str]]:
    """All bad files on one stream, a good segment before and after each: the results, and why records were refused."""
    assert SHARED is not None
    clip, results = good(), list[PublishedResult]()
    with (
        DecoderPool(1) as pool,
        EmbeddedPipeline(light_model(), decoders=pool, machine=MachineSettings()) as pipeline,
    ):
        pipeline.set_rules(RULES)
        for slot, (name, *_) in enumerate(BAD):
            bad = (SHARED / "media" / "bad" / name).read_bytes()
            pipeline.push_segment("cam1", clip, headers=headers(2 * slot, slot * SLOT_MS))
            pipeline.push_segment("cam1", bad, headers=headers(2 * slot + 1, slot * SLOT_MS + 2000))
            results += pipeline.pump()
        pipeline.push_segment("cam1", clip, headers=headers(2 * len(BAD), len(BAD) * SLOT_MS, end=True))
        results += pipeline.finish("cam1")  # what was lost last might still come
        return results, refusals(pipeline)


@pytest.mark.shared
@pytest.mark.parametrize(("slot", "row"), list(enumerate(BAD)), ids=[name for name, *_ in BAD])
def test_a_bad_file_ends_as_the_table_says_and_the_next_segment_is_analysed(slot, row, seen) -> None:
    _, shown, state, told, words = row
    windows, begin = annotations(seen[0]), slot * SLOT_MS
    own = [windows[at] for at in range(begin + 2000, begin + SLOT_MS, 2000)]
    assert [bool(a.frames) for a in own] == [i < shown for i in range(len(own))]
    assert {a.degraded for a in own[: max(1, shown)]} == {state}
    warnings = [
        e.message or ""
        for e in seen[0]
        if isinstance(e, Event) and e.rule == WARNING and begin < e.start_ms <= begin + SLOT_MS
    ]
    assert [words in w for w in warnings] == ([True] if told == WARNING else [])
    after = windows[begin + SLOT_MS]
    assert after.scene is not None
    assert (after.scene.label, after.degraded, len(after.frames)) == ("red", None, 4)


@pytest.mark.shared
def test_what_held_nothing_is_a_dead_letter_and_the_stream_stays_one(seen) -> None:
    results, refused = seen
    expected = [words for _, _, _, told, words in BAD if told == "dead letter"]
    assert [words in reason for words, reason in zip(expected, refused, strict=True)] == [True] * len(expected)
    assert {a.epoch for a in results if isinstance(a, Annotation)} == {0}
    assert len([e for e in results if isinstance(e, Event) and e.rule == GAP and e.phase == "ended"]) == len(BAD)


def test_decoders_that_crash_hang_or_eat_memory_cost_three_dead_letters_and_no_neighbour_waits_longer_than_the_limit():
    pid, clip = os.getpid(), good("green")
    neighbours = [f"cam{i}" for i in range(4)]
    with (
        DecoderPool(4, limits=LIMITS, task="tests.unit.media.faulty_tasks:run") as pool,
        EmbeddedPipeline(light_model(), decoders=pool, machine=MachineSettings()) as pipeline,
    ):
        pipeline.set_rules(RULES)
        for stream in neighbours:  # starts the children
            pipeline.push_segment(stream, clip, headers=headers(0, 0))
        results = list(pipeline.pump())
        began = time.monotonic()
        for stream, fault in zip(neighbours, (b"segfault", b"hang", b"eat"), strict=False):
            pipeline.push_segment(stream, fault, headers=headers(1, 2000))
        for stream in neighbours:
            pipeline.push_segment(stream, clip, headers=headers(2, 4000, end=True))
        results += pipeline.pump()
        took = time.monotonic() - began
        refused = refusals(pipeline)
        parents = str(pool.decode(b"say").warnings)
    assert sorted(refused) == [
        "the decoder crashed (SIGSEGV); the segment is damaged, or too large to decode",
        "the decoder did not answer within 2 s; the segment is damaged, or too large to decode",
        "the decoder wanted more than 2048 MiB of memory; the segment is damaged, or too large to decode",
    ]
    assert os.getpid() == pid
    assert f"'parent': {pid}" in parents
    assert took < LIMITS.wall_seconds + STARTING_SECONDS
    for stream in neighbours:
        windows = annotations(results, stream)
        states = [windows[at].degraded for at in (0, 2000, 4000)]
        assert states == [None, "gap", None]
        assert {windows[at].scene.label for at in (0, 4000)} == {"green"}
