"""Real clips of the shared folder, good and bad: each ends as this table says. A change of a row is a decision.

Pictures are counted on a grid of two a second. `bad` files are what other projects keep to break decoders with.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from framecue.errors import DamagedMediaError, UnsupportedMediaError
from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.opening import open_media
from framecue.media.pool import DecoderPool
from framecue.media.sampling import Sampling
from framecue.media.segmenting import cut, probe
from tests.support.clips import make_clip
from tests.support.paths import SHARED
from tests.support.real_clips import NO_MEDIA, TELETEXT

pytestmark = pytest.mark.shared
MEDIA = SHARED / "media" if SHARED is not None else Path()

BAD = [
    # file, pictures, words in `damaged`, in `warnings`, or in the error
    ("decord_corrupted.mp4", 6, "damaged after 30 frames: Invalid data"),
    ("decord_unordered.mov", 1, None),
    ("exo_mp4_sample_malformed_free_box.mp4", UnsupportedMediaError, "no readable index (moov)"),
    ("exo_mp4_sample_mdat_too_long.mp4", 2, None),
    ("exo_mp4_sample_missing_stsd.mp4", 2, None),  # of its sound, which is not read
    ("exo_mp4_sample_with_invalid_nalu.mp4", 2, None),  # after the last picture that is taken
    ("exo_ts_sample_with_sdt.ts", 0, "the video track holds no picture"),
    ("exo_vp9_invalid-bitstream.webm", DamagedMediaError, "no picture could be decoded"),
    ("mp4parse_metadata.mp4", 1, None),  # its cover is no second video
    ("mp4parse_no_timescale.mp4", 8, "damaged after 2 frames: parts of a picture are missing"),
    ("tsduck_143_unicode_error.ts", DamagedMediaError, "no picture could be decoded"),  # but made-up green ones
]
SHORT = Fraction(30)
"""Films up to here are sampled exactly, longer ones by their key frames: the test shall stay quick."""
FILMS = [
    # file, seconds, pictures, container of the pieces
    ("derived/popeye_p1_hevc_srt_pgs.mkv", Fraction(60), 8, "mpegts"),
    ("subs/exo_mkv_sample_with_ass_subtitles.mkv", Fraction(1001, 1000), 2, "mpegts"),
    ("subs/exo_mkv_sample_with_null_terminated_srt.mkv", Fraction(1001, 1000), 2, "mpegts"),
    ("subs/exo_mkv_sample_with_overlapping_srt.mkv", Fraction(1001, 1000), 2, "mpegts"),
    ("subs/exo_mkv_sample_with_pgs_subtitles.mkv", Fraction(1, 20), 1, "mpegts"),
    ("subs/exo_mkv_sample_with_srt.mkv", Fraction(1001, 1000), 2, "mpegts"),
    ("subs/exo_mkv_sample_with_vtt_subtitles.mkv", Fraction(1001, 1000), 2, "mpegts"),
    ("subs/exo_mp4_fragmented_captions.mp4", Fraction(61 * 1001, 30000), 5, "mpegts"),
    ("subs/nasa_13013.mp4", Fraction(13), 26, "mpegts"),
    ("subs/popeye_p1_hevc_pgs.mkv", Fraction(60), 8, "mpegts"),
    ("subs/popeye_p1_sd_vobsub.mkv", Fraction(1799 * 1001, 30000), 9, "matroska"),
    ("subs/popeye_p2_sd_vobsub.mkv", Fraction(1800 * 1001, 30000), 7, "matroska"),
    ("subs/shaka_captions-test.ts", Fraction(599 * 1001, 30000), 40, "mpegts"),
    ("subs/shaka_hls_text/0.ts", Fraction(6), 12, "mpegts"),
    ("subs/shaka_hls_text/1.ts", Fraction(6), 12, "mpegts"),
    ("video/asl_again.mkv", Fraction(77, 30), 6, "mpegts"),
    ("video/asl_book.mkv", Fraction(109, 30), 8, "mpegts"),
    ("video/asl_eat.mkv", Fraction(47, 30), 4, "mpegts"),
    ("video/exo_flv_sample-with-key-frame-index.flv", Fraction(71, 24), 6, "mpegts"),
    ("video/exo_mkv_bbb_960x540_60fps_vp8.webm", Fraction(1), 2, "matroska"),
    ("video/exo_mp4_bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4", Fraction(4), 8, "matroska"),
    ("video/exo_mp4_edit_list_positive_shift.mp4", Fraction(9), 18, "mpegts"),
    ("video/exo_mp4_long_180p_av1.mp4", Fraction(10883, 30), 68, "matroska"),
    ("video/exo_mp4_sample_fragmented.mp4", Fraction(1001, 1000), 2, "mpegts"),
    ("video/exo_mp4_sample_rotate_and_reflect.mp4", Fraction(1001, 1000), 2, "matroska"),
    ("video/exo_mp4_sample_sef_slow_motion.mp4", Fraction(21001, 10000), 5, "mpegts"),
    ("video/exo_mp4_sample_with_increasing_timestamps_320w_240h.mp4", Fraction(233, 15), 32, "mpegts"),
    ("video/exo_mp4_silent-black-10s.mp4", Fraction(10), 20, "mpegts"),
    ("video/exo_ts_bbb_2500ms.ts", Fraction(5, 2), 5, "mpegts"),
    ("video/exo_ts_sample_h264.ts", Fraction(1), 2, "mpegts"),
    ("video/exo_ts_sample_h265.ts", Fraction(1), 2, "mpegts"),
    ("video/one-by-one-person-detection.mp4", Fraction(1394, 10), 140, "mpegts"),
    ("video/tc_h265_video.mp4", Fraction(1), 2, "mpegts"),
    ("video/tc_non_zero_start.mp4", Fraction(2, 5), 1, "matroska"),
    ("video/tears_of_steel_battle.webm", Fraction(1691, 24), 23, "matroska"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def quick_pool() -> Iterator[DecoderPool]:
    with DecoderPool(1, sampling=Sampling(mode="keyframes")) as pool:
        yield pool


@pytest.mark.parametrize(("name", "outcome", "words"), BAD)
def test_a_bad_file_ends_as_the_table_says_and_the_next_is_read(name, outcome, words, pool):
    data = (MEDIA / "bad" / name).read_bytes()
    if isinstance(outcome, type):
        with pytest.raises(outcome) as caught:
            pool.decode(data)
        assert words in str(caught.value)
    else:
        segment = pool.decode(data)
        assert len(segment.frames) == outcome
        said = " ".join(filter(None, (segment.damaged, *segment.warnings)))
        assert words in said if words else segment.damaged is None
    assert len(pool.decode(make_clip(seconds=1, size=(64, 48))).frames) == 2
    assert not pool.restarts


@pytest.mark.parametrize(("name", "words"), [*NO_MEDIA, (TELETEXT, "teletext")])
def test_what_is_no_film_is_refused_by_its_name(name, words):
    data = (MEDIA / name).read_bytes()
    with pytest.raises(UnsupportedMediaError, match=words):
        decode_segment(data, start=None, program=None, sampling=Sampling(), limits=DecodeLimits())


@pytest.mark.parametrize(("name", "seconds", "pictures", "container"), FILMS)
def test_a_film_is_cut_and_its_pieces_are_read(name, seconds, pictures, container, pool, quick_pool):
    path = MEDIA / name
    assert probe(path).codec is not None
    cells: set[int] = set()
    end = Fraction(0)
    for piece in cut(path, target_seconds=Fraction(10)):
        assert (piece.start, piece.container) == (end, container)
        end = piece.end
        segment = (pool if seconds <= SHORT else quick_pool).decode(piece.data, start=piece.start)
        assert segment.damaged is None
        cells |= {frame.cell for frame in segment.frames}
    assert end == seconds
    assert len(cells) == pictures


def test_every_clip_of_the_folder_is_in_a_table():
    listed = {name for name, *_ in (*NO_MEDIA, (TELETEXT,), *FILMS)} | {f"bad/{name}" for name, *_ in BAD}
    there = {str(path.relative_to(MEDIA)) for path in MEDIA.rglob("*") if path.is_file() and path.name != "SOURCES.md"}
    assert there == listed


def test_a_rotated_and_mirrored_clip_stands_upright():
    path = MEDIA / "video/exo_mp4_sample_rotate_and_reflect.mp4"
    segment = decode_segment(path.read_bytes(), start=None, program=None, sampling=Sampling(), limits=DecodeLimits())
    with open_media(path.read_bytes(), fmt="mov") as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (1080, 720)
    assert {(f.width, f.height) for f in segment.frames} == {(384, 576)}
