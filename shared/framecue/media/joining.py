"""Joins clips of any size and rate into one film: each part as long as asked, filling the frame, easy to cut.

A clip that is too short plays forwards and backwards until its part is full: no cut that is not there, no still. For
clips of our own choosing; what a stranger sends is never re-encoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from framecue.media.opening import open_media

Plane = npt.NDArray[np.uint8]
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"


@dataclass(frozen=True)
class FilmFormat:
    """What the joined film is like. `key_seconds` apart stand its key frames: there it can be cut."""

    width: int = 512
    height: int = 384
    rate: int = 25
    key_seconds: int = 2


@dataclass(frozen=True)
class Part:
    """A clip, from `skip_seconds` on."""

    clip: Path
    skip_seconds: int = 0


def join_clips(parts: Sequence[Part], *, part_seconds: int, film: FilmFormat = FilmFormat()) -> bytes:
    """One H.264 MPEG-TS film, `part_seconds` of every part in order. The same clips give the same bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=film.rate)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.thread_count = 1
        every = str(film.rate * film.key_seconds)
        stream.options = {"preset": "veryfast", "crf": "10", "g": every, "keyint_min": every, "sc_threshold": "0"}
        for number, picture in enumerate(_pictures(parts, part_seconds, film)):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, film.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _pictures(parts: Sequence[Part], part_seconds: int, film: FilmFormat) -> Iterator[Plane]:
    for part in parts:
        pictures, rate = _decoded(part.clip, film)
        pictures = pictures[int(part.skip_seconds * rate) :]
        for number in range(part_seconds * film.rate):
            yield pictures[_there_and_back(int(number * rate / film.rate), len(pictures))]


def _there_and_back(index: int, count: int) -> int:
    """0, 1, … count - 1, count - 2, … 0, 1, …"""
    if count == 1:
        return 0
    at = index % (2 * count - 2)
    return at if at < count else 2 * count - 2 - at


def _decoded(clip: Path, film: FilmFormat) -> tuple[list[Plane], Fraction]:
    """The clip's frames, filling the film's, and their rate."""
    with clip.open("rb") as source, open_media(source, fmt=_MP4) as container:
        stream = container.streams.video[0]
        shape = stream.display_aspect_ratio or Fraction(stream.width, stream.height)
        size = _covering(shape, film)
        rate = stream.average_rate or Fraction(film.rate)
        return [_filled(frame, size, film) for frame in container.decode(stream)], rate


def _covering(shape: Fraction, film: FilmFormat) -> tuple[int, int]:
    """The smallest even size of that shape that covers the film's frame."""
    width = max(Fraction(film.width), film.height * shape)
    return _even_up(width), _even_up(width / shape)


def _even_up(length: Fraction) -> int:
    return -int(-length // 2) * 2


def _filled(frame: VideoFrame, size: tuple[int, int], film: FilmFormat) -> Plane:
    """The middle of the frame at the film's size, as planar YUV 4:2:0 (height * 3 / 2, width)."""
    width, height = size
    scaled = frame.reformat(width=width, height=height, format="yuv420p", interpolation="LANCZOS")
    out = []
    for plane, half in zip(scaled.planes, (1, 2, 2), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        top, left = (height - film.height) // 4 * 2 // half, (width - film.width) // 4 * 2 // half
        out.append(rows[top : top + film.height // half, left : left + film.width // half].reshape(-1, film.width))
    return np.concatenate(out)
