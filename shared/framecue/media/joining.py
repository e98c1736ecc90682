"""Joins clips of any size and rate into one film: each part as long as asked, letterboxed, with regular key frames.

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
_BLACK_LUMA, _NO_CHROMA = 16, 128


@dataclass(frozen=True)
class FilmFormat:
    """What the joined film is like. `key_seconds` apart stand its key frames: there it can be cut."""

    width: int = 640
    height: int = 360
    rate: int = 25
    key_seconds: int = 2


def join_clips(clips: Sequence[Path], *, part_seconds: int, film: FilmFormat = FilmFormat()) -> bytes:
    """One H.264 MPEG-TS film, `part_seconds` of every clip in order. The same clips give the same bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=film.rate)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.thread_count = 1
        every = str(film.rate * film.key_seconds)
        stream.options = {"preset": "veryfast", "crf": "21", "g": every, "keyint_min": every, "sc_threshold": "0"}
        for number, picture in enumerate(_pictures(clips, part_seconds, film)):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, film.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _pictures(clips: Sequence[Path], part_seconds: int, film: FilmFormat) -> Iterator[Plane]:
    for clip in clips:
        pictures, rate = _decoded(clip, film)
        for number in range(part_seconds * film.rate):
            yield pictures[_there_and_back(int(number * rate / film.rate), len(pictures))]


def _there_and_back(index: int, count: int) -> int:
    """0, 1, … count - 1, count - 2, … 0, 1, …"""
    if count == 1:
        return 0
    at = index % (2 * count - 2)
    return at if at < count else 2 * count - 2 - at


def _decoded(clip: Path, film: FilmFormat) -> tuple[list[Plane], Fraction]:
    """The clip's frames, fitted into the film's, and their rate."""
    with clip.open("rb") as source, open_media(source, fmt="mov,mp4,m4a,3gp,3g2,mj2") as container:
        stream = container.streams.video[0]
        shape = stream.display_aspect_ratio or Fraction(stream.width, stream.height)
        size = _fitted(shape, film)
        rate = stream.average_rate or Fraction(film.rate)
        return [_letterboxed(frame, size, film) for frame in container.decode(stream)], rate


def _fitted(shape: Fraction, film: FilmFormat) -> tuple[int, int]:
    """The largest even size of that shape inside the film's frame."""
    width = min(Fraction(film.width), film.height * shape)
    return int(width) // 2 * 2, int(width / shape) // 2 * 2


def _letterboxed(frame: VideoFrame, size: tuple[int, int], film: FilmFormat) -> Plane:
    """The frame in the middle of a black one, as planar YUV 4:2:0 (height * 3 / 2, width)."""
    width, height = size
    fitted = frame.reformat(width=width, height=height, format="yuv420p")
    planes = [
        np.full((film.height, film.width), _BLACK_LUMA, np.uint8),
        np.full((film.height // 2, film.width // 2), _NO_CHROMA, np.uint8),
        np.full((film.height // 2, film.width // 2), _NO_CHROMA, np.uint8),
    ]
    for canvas, plane, half in zip(planes, fitted.planes, (1, 2, 2), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        top, left = (film.height - height) // 4 * 2 // half, (film.width - width) // 4 * 2 // half
        canvas[top : top + plane.height, left : left + plane.width] = rows
    return np.concatenate([p.reshape(-1, film.width) for p in planes])
