"""A film in pieces: every picture once, in place, whatever the length and the container of the pieces."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Mapping
from fractions import Fraction

import pytest

from framecue.errors import LimitExceededError, MediaError, UnsupportedMediaError
from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.opening import open_media
from framecue.media.sampling import Sampling
from framecue.media.segmenting import CutSegment, _broken_off, _Packets, cut, probe
from framecue.media.sniffing import sniff
from framecue.timeline import to_ms
from tests.support.clips import Line, TextTrack, make_clip

SMALL = (64, 48)
LIMITS = DecodeLimits()
CONTAINERS = ["mpegts", "mp4", "matroska"]
OPEN_H264 = {"x264-params": "open-gop=1:scenecut=0:threads=1:bframes=2:b-pyramid=0"}
OPEN_HEVC = {
    "x265-params": "log-level=none:open-gop=1:scenecut=0:bframes=3:keyint=24:min-keyint=24:pools=none:frame-threads=1"
}
FILMS: list[tuple[str, Mapping[str, object]]] = [
    ("closed groups, B-frames", {"container": "mp4", "bframes": 2}),
    ("Matroska, time in ms", {"container": "matroska", "bframes": 2}),
    ("MPEG-TS that begins late", {"container": "mpegts", "bframes": 2, "start": Fraction(100)}),
    ("FLV", {"container": "flv"}),
    ("fragments", {"container": "fmp4"}),
    ("open groups, H.264", {"container": "mp4", "bframes": 2, "options": OPEN_H264}),
    ("open groups, HEVC", {"container": "mp4", "codec": "libx265", "options": OPEN_HEVC}),
    ("MPEG-2", {"container": "mpegts", "codec": "mpeg2video", "bframes": 2}),
]


def pictures(data: bytes, start: Fraction) -> dict[int, str]:
    """Every picture of a piece by a full decode: media time in ms to a hash."""
    with open_media(data, fmt=sniff(data) or "") as container:
        stream = container.streams.video[0]
        frames = [(f.pts * stream.time_base, f.to_ndarray(format="yuv420p")) for f in container.decode(stream)]
    return {to_ms(start + at - frames[0][0]): hashlib.sha256(p.tobytes()).hexdigest() for at, p in frames}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("name", "film"), FILMS)
def test_every_picture_is_in_the_pieces_at_its_time(name, film, container):
    data = make_clip(seconds=7, fps=24, gop=24, size=SMALL, **film)
    whole = pictures(data, Fraction(0))
    pieces = list(cut(data, target_seconds=Fraction(2), container=container))
    parts = [pictures(p.data, p.start) for p in pieces]
    assert {at: h for part in parts for at, h in part.items()} == whole
    assert sum(map(len, parts)) <= len(whole) + len(pieces) - 1, "an open group doubles its key frame, no more"
    assert [p.index for p in pieces] == [0, 1, 2, 3]
    assert [p.start for p in pieces] == [0, 2, 4, 6]
    assert [p.end for p in pieces] == [2, 4, 6, 7]
    assert all(p.container == container for p in pieces)


def test_sampled_pictures_are_the_same_however_it_was_cut():
    film = make_clip(seconds=13, fps=24, gop=24, bframes=2, size=SMALL, container="mp4", pattern="noise")
    for fps_film in (film, make_clip(seconds=13, fps=25, gop=25, size=SMALL, container="matroska")):
        seen = {
            (container, seconds): sampled(cut(fps_film, target_seconds=Fraction(seconds), container=container))
            for container in CONTAINERS
            for seconds in (2, 6, 10)
        }
        assert len(seen["mpegts", 2]) == 26
        assert all(frames == seen["mpegts", 2] for frames in seen.values())


def sampled(pieces) -> dict[int, tuple[int, bytes]]:
    """Cell to media time and JPEG: of all pieces, the earliest picture of each cell."""
    found: dict[int, tuple[int, bytes]] = {}
    for piece in pieces:
        segment = decode_segment(piece.data, start=piece.start, program=None, sampling=Sampling(), limits=LIMITS)
        assert piece.start + segment.last - segment.first + segment.last_duration == piece.end
        for frame in segment.frames:
            at = to_ms(piece.start + frame.at - segment.first)
            found[frame.cell] = min(found.get(frame.cell, (at, frame.jpeg)), (at, frame.jpeg))
    return found


@pytest.mark.parametrize(
    ("film", "container", "why"),
    [
        ({"container": "mp4"}, "mpegts", "H.264 goes anywhere"),
        ({"container": "webm", "codec": "libvpx"}, "matroska", "VP8"),
        ({"container": "webm", "codec": "libvpx-vp9"}, "matroska", "VP9"),
        ({"container": "mp4", "codec": "libsvtav1"}, "matroska", "AV1"),
        ({"container": "mp4", "rotation": (90, True, False)}, "matroska", "MPEG-TS loses the rotation"),
        ({"container": "mp4", "sample_aspect": Fraction(8, 9)}, "matroska", "and may lose the shape of pixels"),
        ({"container": "mp4", "codec": None, "audio": True}, "matroska", "sound alone"),
    ],
)
def test_auto_takes_a_container_that_loses_nothing(film, container, why):
    data = make_clip(seconds=2, size=(64, 64), **film)
    (piece,) = cut(data, target_seconds=Fraction(10))
    assert piece.container == container, why
    there, back = (
        decode_segment(d, start=None, program=None, sampling=Sampling(), limits=LIMITS) for d in (data, piece.data)
    )
    assert [(f.cell, f.jpeg) for f in back.frames] == [(f.cell, f.jpeg) for f in there.frames]
    assert piece.end == pytest.approx(2, abs=0.2)  # sound has frames of its own length


def test_cut_refuses_a_container_that_would_lose_the_picture():
    film = make_clip(seconds=1, codec="libvpx-vp9", container="webm")
    with pytest.raises(UnsupportedMediaError, match="mpegts does not carry vp9; cut into matroska"):
        list(cut(film, target_seconds=Fraction(2), container="mpegts"))


@pytest.mark.parametrize(
    ("limits", "gop", "pieces", "why"),
    [
        (
            DecodeLimits(max_seconds=Fraction(4)),
            25,
            [3, 3, 2],
            "no piece longer than the limit, with room for one picture",
        ),
        (DecodeLimits(max_frames=60), 25, [2, 2, 2, 2], "nor with more pictures"),
        (DecodeLimits(max_seconds=Fraction(4)), 100, [4, 4], "a group at the limit is a piece of its own"),
    ],
)
def test_cut_stays_within_the_limits_before_the_target(limits, gop, pieces, why):
    data = make_clip(seconds=8, gop=gop, size=SMALL, container="mp4")
    found = list(cut(data, target_seconds=Fraction(20), limits=limits))
    assert [p.end - p.start for p in found] == pieces, why
    for piece in found:
        decode_segment(piece.data, start=piece.start, program=None, sampling=Sampling(), limits=limits)


@pytest.mark.parametrize(
    ("container", "kept", "says"),
    [
        ("matroska", 0.5, "lasts 30.0 s, but its pictures end after"),
        ("mpegts", 0.5, None),  # its length is only what is there
    ],
)
def test_cut_gives_what_there_is_of_a_film_that_breaks_off(container, kept, says):
    film = make_clip(seconds=30, fps=10, gop=20, size=SMALL, container=container, pattern="noise")
    pieces = list(cut(film[: int(len(film) * kept)], target_seconds=Fraction(6)))
    assert 10 < pieces[-1].end < 30
    assert {p.broken_off for p in pieces[:-1]} == {None}
    assert (says or "") in (pieces[-1].broken_off or "")
    assert (says is None) == (pieces[-1].broken_off is None)


def test_packets_end_where_the_disk_cannot_be_read():
    film = make_clip(seconds=8, fps=10, gop=20, size=SMALL, container="matroska", pattern="noise")

    class Disk(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(film) // 2:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    with open_media(Disk(film), fmt="matroska") as container:
        packets = _Packets(container, container.streams.video[0])
        assert 0 < len([p for p in packets if p.size]) < 80
        assert _broken_off(packets, "matroska", Fraction(4)) == (
            "the film breaks off after 4.0 s: the media cannot be read: Input/output error"
        )


def test_cut_goes_on_behind_a_hole_in_a_transport_stream():
    film = make_clip(seconds=8, fps=10, gop=20, size=SMALL, pattern="noise")
    half = len(film) // 2 // 188 * 188
    pieces = list(cut(film[:half] + bytes(300_000) + film[half:], target_seconds=Fraction(2)))
    assert (pieces[-1].end, pieces[-1].broken_off) == (8, None)


def test_cut_goes_on_behind_pictures_that_are_damaged():
    film = make_clip(seconds=8, fps=10, gop=20, size=SMALL, container="mp4", pattern="noise")
    with open_media(film, fmt="mov") as container:
        bad = [bytes(p) for p in container.demux(video=0) if p.size and 2 <= p.pts * p.time_base < 4]
    for packet in bad:
        film = film.replace(packet, bytes(len(packet)))
    pieces = list(cut(film, target_seconds=Fraction(2)))
    assert [(p.end, p.container) for p in pieces] == [(4, "matroska"), (6, "mpegts"), (8, "mpegts")]


def test_cut_refuses_pictures_that_hang_together_for_too_long():
    data = make_clip(seconds=8, gop=200, size=SMALL, container="mp4")
    with pytest.raises(UnsupportedMediaError, match="cannot be split without re-encoding"):
        list(cut(data, target_seconds=Fraction(2), limits=DecodeLimits(max_seconds=Fraction(5))))
    with pytest.raises(UnsupportedMediaError, match="cannot be split without re-encoding"):
        list(cut(data, target_seconds=Fraction(2), limits=DecodeLimits(max_bytes=5000)))


def test_pictures_that_are_too_large_are_named():
    film = make_clip(seconds=1, size=SMALL)
    for read in (probe, lambda data, limits: list(cut(data, target_seconds=Fraction(2), limits=limits))):
        with pytest.raises(LimitExceededError, match=r"limit of 1000 pixels a picture, got 3072"):
            read(film, limits=DecodeLimits(max_pixels=1000))


def test_cut_gives_the_same_bytes_twice_from_a_file_as_from_bytes(tmp_path):
    data = make_clip(tmp_path / "film.mkv", seconds=4, size=SMALL, container="matroska")

    def pieces(source) -> list[CutSegment]:
        return list(cut(source, target_seconds=Fraction(2), container="matroska"))

    assert pieces(tmp_path / "film.mkv") == pieces(data) == pieces(data)


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n", b"hello", bytes(3000)])
def test_a_file_that_is_no_film_is_refused_with_a_sentence(content, tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(content)
    for read in (probe, lambda p: list(cut(p, target_seconds=Fraction(2)))):
        with pytest.raises(MediaError, match="send"):
            read(path)


def test_probe_tells_what_a_file_says_of_itself(tmp_path):
    path = tmp_path / "film.mkv"
    tracks = (TextTrack((Line(100, 900, "Hello"),), language="fre"),)
    make_clip(path, seconds=3, fps=24, size=SMALL, container="matroska", start=Fraction(2), texts=tracks)
    info = probe(path)
    assert (info.format, info.codec, info.width, info.height) == ("matroska", "h264", 64, 48)
    assert (info.first, info.rate, info.text_tracks, info.warnings) == (2, 24, ("fre",), ())
    assert info.duration is not None
