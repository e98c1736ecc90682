"""One segment in, sampled pictures and exact times out: against a full decode of the same bytes."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest

from framecue.errors import DamagedMediaError, LimitExceededError, MediaError, UnsupportedMediaError
from framecue.media.decoding import DecodedSegment, DecodeLimits, decode_segment
from framecue.media.frames import to_jpeg
from framecue.media.opening import open_media
from framecue.media.pictures import jpeg_to_rgb
from framecue.media.sampling import Sampling, SegmentClock, choose
from framecue.media.sniffing import sniff
from framecue.timeline import MPEGTS_WRAP_SECONDS
from tests.support.clips import Line, TextTrack, make_clip, read_counter

SMALL = (64, 48)
EXACT, LIMITS = Sampling(), DecodeLimits()


def decode(
    data: bytes,
    *,
    start: Fraction | None = None,
    program: int | None = None,
    sampling: Sampling = EXACT,
    limits: DecodeLimits = LIMITS,
) -> DecodedSegment:
    return decode_segment(data, start=start, program=program, sampling=sampling, limits=limits)


def fully_decoded(data: bytes, sampling: Sampling) -> dict[Fraction, bytes]:
    """What a full decode gives for the cells of the grid: own clock to JPEG."""
    with open_media(data, fmt=sniff(data) or "") as container:
        stream = container.streams.video[0]
        frames = {f.pts: f for f in container.decode(stream)}
        clock = SegmentClock(stream.time_base, min(frames))
        wanted = choose(frames, clock, sampling)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return {clock.own(pts): to_jpeg(frames[pts], aspect, sampling=sampling)[2] for pts in wanted}


@pytest.mark.parametrize(
    ("clip", "why"),
    [
        ({"container": "mpegts"}, "H.264"),
        ({"container": "mpegts", "bframes": 3, "gop": 40}, "pictures out of order, B-pyramid"),
        ({"container": "mp4", "bframes": 2}, "edit list and negative decoding times"),
        ({"container": "fmp4", "bframes": 2}, "fragments"),
        ({"container": "matroska", "bframes": 2}, "first decoding times left out, time in ms"),
        ({"container": "flv"}, "time in ms"),
        ({"container": "webm", "codec": "libvpx"}, "VP8"),
        ({"container": "webm", "codec": "libvpx-vp9"}, "VP9"),
        ({"container": "matroska", "codec": "libsvtav1"}, "AV1"),
        ({"container": "mpegts", "codec": "libx265"}, "HEVC"),
        ({"container": "mpegts", "codec": "mpeg2video", "bframes": 2}, "MPEG-2"),
        ({"container": "mpegts", "fps": Fraction(24000, 1001)}, "a rate that 90 kHz cannot say"),
    ],
)
def test_exact_gives_the_pictures_of_a_full_decode(clip, why):
    data = make_clip(seconds=3, size=SMALL, **clip)
    segment = decode(data)
    assert {f.at: f.jpeg for f in segment.frames} == fully_decoded(data, Sampling()), why
    assert segment.damaged is None


def test_exact_takes_the_first_picture_of_each_half_second():
    segment = decode(make_clip(seconds=2, fps=24, size=(320, 48)))
    assert [(f.cell, read_counter(jpeg_to_rgb(f.jpeg))) for f in segment.frames] == [(0, 0), (1, 12), (2, 24), (3, 36)]


def test_grid_lies_on_media_time_when_the_start_is_known():
    segment = decode(make_clip(seconds=2, fps=24, size=(320, 48)), start=Fraction(3, 8))
    assert [(f.cell, read_counter(jpeg_to_rgb(f.jpeg))) for f in segment.frames] == [
        (0, 0),
        (1, 3),
        (2, 15),
        (3, 27),
        (4, 39),
    ]


def test_keyframes_gives_key_frames_only():
    segment = decode(make_clip(seconds=4, fps=24, gop=36, size=(320, 48)), sampling=Sampling(mode="keyframes"))
    assert [(f.cell, read_counter(jpeg_to_rgb(f.jpeg))) for f in segment.frames] == [(0, 0), (3, 36), (6, 72)]


@pytest.mark.parametrize("container", ["mpegts", "mp4", "fmp4", "matroska", "flv"])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30000, 1001)])
def test_times_are_exact_whatever_the_container_rounds(container, fps):
    bframes = 0 if container == "flv" else 2  # FLV has no negative decoding times
    segment = decode(make_clip(seconds=2, fps=fps, size=SMALL, container=container, bframes=bframes))
    assert segment.last_duration == 1 / fps
    assert segment.last - segment.first == (round(2 * fps) - 1) / fps
    assert (segment.container, segment.wraps) == ("mov" if "mp4" in container else container, container == "mpegts")


def test_time_goes_on_when_the_clock_wraps_within_a_segment():
    data = make_clip(seconds=2, size=SMALL, start=MPEGTS_WRAP_SECONDS // 1 - 1 + Fraction(18, 25))
    segment = decode(data)
    assert segment.last - segment.first == Fraction(49, 25)
    assert len(segment.frames) in (4, 5)
    assert segment.frames[-1].at - segment.frames[0].at <= 2


def test_non_square_pixels_are_squared():
    segment = decode(make_clip(seconds=0.2, size=(720, 480), sample_aspect=Fraction(8, 9)))
    assert [(f.width, f.height) for f in segment.frames] == [(512, 384)]


def test_sound_alone_gives_time_and_no_picture():
    segment = decode(make_clip(seconds=2, codec=None, audio=True))
    assert segment.frames == ()
    assert segment.last + segment.last_duration - segment.first == pytest.approx(2, abs=0.2)


def test_cues_come_with_their_own_times():
    lines = (Line(500, 1500, "Hello"), Line(1700, 1900, "there"))
    segment = decode(make_clip(seconds=2, size=SMALL, container="matroska", texts=(TextTrack(lines),)))
    assert [(c.start_ms, c.end_ms, c.text, c.language) for c in segment.cues] == [
        (500, 1500, "Hello", "eng"),
        (1700, 1900, "there", "eng"),
    ]


def test_warning_when_the_video_is_hdr():
    segment = decode(make_clip(seconds=1, size=SMALL, options={"color_trc": "smpte2084"}))
    assert [w for w in segment.warnings if "HDR (PQ)" in w] == list(segment.warnings) != []


@pytest.mark.parametrize(
    ("triplet", "named", "reason"),
    [
        (b"\xfc\x94\x2c", True, "a valid pair of CEA-608"),
        (b"\xfc\x80\x80", False, "nothing but parity: padding between captions"),
        (b"\xf8\x94\x2c", False, "marked as not valid"),
        (b"\xff\x02\x21", True, "the head of a packet of CEA-708"),
    ],
)
def test_warning_when_the_picture_carries_captions(triplet, named, reason):
    segment = decode(with_captions(make_clip(seconds=1, size=SMALL), triplet))
    assert len(segment.frames) == 2
    assert ["closed captions" in w for w in segment.warnings] == ([True] if named else []), reason


def with_captions(clip: bytes, triplet: bytes) -> bytes:
    """`clip` with one triplet of closed captions before every picture (ATSC A/53 part 4, in an SEI of H.264)."""
    payload = b"\xb5\x00\x31GA94\x03\x41\xff" + triplet + b"\xff"
    sei = b"\x00\x00\x00\x01\x06\x04" + bytes([len(payload)]) + payload + b"\x80"
    out = io.BytesIO()
    with av.open(io.BytesIO(clip)) as source, av.open(out, "w", format="mpegts") as muxer:
        stream = muxer.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                told = av.Packet(sei + bytes(packet))
                told.stream, told.time_base, told.pts, told.dts = stream, packet.time_base, packet.pts, packet.dts
                told.is_keyframe = packet.is_keyframe
                muxer.mux(told)
    return out.getvalue()


def test_damage_in_the_middle_keeps_the_pictures_before_it():
    data = make_clip(seconds=4, gop=100, size=SMALL, container="mp4", pattern="noise")
    whole = decode(data)
    broken = decode(_without_packet(data, 60))
    assert broken.damaged is not None
    assert broken.damaged.startswith("damaged after 60 frames")
    assert [f.jpeg for f in broken.frames] == [f.jpeg for f in whole.frames[: len(broken.frames)]]
    assert len(broken.frames) == 5


def test_pictures_after_damage_come_from_the_next_key_frame():
    data = make_clip(seconds=3, gop=25, size=SMALL, container="mp4", pattern="noise")
    broken, whole = decode(_without_packet(data, 25)), decode(data)
    assert broken.damaged is not None
    assert broken.damaged.startswith("damaged after 25 frames")
    assert {0, 1, 4, 5} <= {f.cell for f in broken.frames}
    assert {f.jpeg for f in broken.frames if f.cell not in (2, 3)} < {f.jpeg for f in whole.frames}


def _without_packet(data: bytes, index: int) -> bytes:
    """`data` (MP4) with the bytes of one packet overwritten."""
    with open_media(data, fmt="mov") as container:
        packet = [p for p in container.demux(video=0) if p.size][index]
        at, size = packet.pos, packet.size
    return data[:at] + b"\xff" * size + data[at + size :]


@pytest.mark.parametrize(
    ("data", "error", "word", "why"),
    [
        (lambda: b"", UnsupportedMediaError, "empty", "nothing"),
        (lambda: b"#EXTM3U\n", UnsupportedMediaError, "playlist", "named as what it is"),
        (lambda: bytes(5000), UnsupportedMediaError, "no media", "zeros"),
        (
            lambda: make_clip(seconds=1, size=SMALL, container="mp4", codec="mpeg4"),
            UnsupportedMediaError,
            "mpeg4",
            "codec",
        ),
        (lambda: b"\x1aE\xdf\xa3" + b"\xff" * 5000, DamagedMediaError, "cannot be read", "a head without a body"),
    ],
)
def test_decode_refuses_with_a_sentence(data, error, word, why):
    with pytest.raises(error, match=word):
        decode(data())


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (DecodeLimits(max_bytes=1000), "bytes"),
        (DecodeLimits(max_seconds=Fraction(3, 2)), "seconds"),
        (DecodeLimits(max_frames=40), "frames"),
    ],
)
def test_decode_refuses_more_than_the_limits(limits, what):
    with pytest.raises(LimitExceededError) as caught:
        decode(make_clip(seconds=2, size=SMALL), limits=limits)
    assert caught.value.what == what


@pytest.mark.parametrize("container", ["mpegts", "mp4", "matroska", "flv"])
def test_decode_refuses_larger_pictures_than_the_limit(container):
    data = make_clip(seconds=0.2, size=(640, 480), container=container)
    with pytest.raises(MediaError, match="pixels"):
        decode(data, limits=DecodeLimits(max_pixels=100_000))


def test_a_segment_at_its_limits_is_read():
    data = make_clip(seconds=2, size=SMALL)
    limits = DecodeLimits(max_bytes=len(data), max_seconds=Fraction(2), max_frames=50, max_pixels=64 * 48 * 8)
    assert len(decode(data, limits=limits).frames) == 4


def test_program_is_read_when_it_is_there():
    data = make_clip(seconds=1, size=SMALL)
    assert decode(data, program=1).frames == decode(data).frames
    with pytest.raises(UnsupportedMediaError, match=r"no program 7; it has 1"):
        decode(data, program=7)
    with pytest.raises(UnsupportedMediaError, match="has no programs"):
        decode(make_clip(seconds=1, size=SMALL, container="mp4"), program=1)
