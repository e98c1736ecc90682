"""Clips for tests, built with PyAV when they are asked for: the same arguments give the same bytes. Nothing is stored.

make_clip(seconds=4, container="matroska", texts=(TextTrack((Line(500, 1500, "Hello"),)),))
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Pattern = Callable[[int, Fraction], Picture]
"""(frame index, seconds since the first frame) gives RGB (height, width, 3)."""
Named = Literal["counter", "black", "noise", "still", "colour"]
Container = Literal["mpegts", "mp4", "fmp4", "matroska", "webm", "flv"]

COLOURS = ((200, 60, 30), (30, 160, 60), (40, 60, 200), (220, 210, 60), (150, 50, 170), (240, 240, 240))
_CODEC_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0:threads=1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0:pools=none:frame-threads=1:wpp=0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}
_FORMATS: Mapping[str, tuple[str, dict[str, str]]] = {
    "mpegts": ("mpegts", {}),
    "mp4": ("mp4", {}),
    "fmp4": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont", "use_editlist": "0"}),
    "matroska": ("matroska", {}),
    "webm": ("webm", {}),
    "flv": ("flv", {}),
}


@dataclass(frozen=True)
class Line:
    """One subtitle line of a text track; times in ms of the clip's clock."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class TextTrack:
    """A text track to mux: `srt`, `ass` (Matroska), `webvtt` (Matroska, WebM) or `mov_text` (MP4)."""

    lines: tuple[Line, ...]
    codec: Literal["srt", "ass", "mov_text", "webvtt"] = "srt"
    language: str = "eng"


def make_clip(
    path: Path | None = None,
    *,
    seconds: Fraction | float = 2,
    fps: Fraction | int = 25,
    size: tuple[int, int] = (320, 180),
    container: Container = "mpegts",
    codec: str | None = "libx264",
    gop: int | None = None,
    bframes: int = 0,
    pattern: Named | Pattern = "counter",
    texts: Sequence[TextTrack] = (),
    start: Fraction = Fraction(0),
    options: Mapping[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: tuple[int, bool, bool] | None = None,
    sample_aspect: Fraction | None = None,
    audio: bool = False,
) -> bytes:
    """The bytes of a clip, also written to `path` where one is given.

    `gop` is frames from key frame to key frame (default: one second's worth); `start` the time of the first frame;
    `rotation` (degrees, hflip, vflip) as `set_display_rotation` takes it; `options` go to the encoder; `codec` None
    leaves the picture out.
    """
    fps = Fraction(fps)
    fmt, muxing = _FORMATS[container]
    draw = named_pattern(pattern, size) if isinstance(pattern, str) else pattern
    out = io.BytesIO()
    with av.open(
        out, "w", format=fmt, options={"avoid_negative_ts": "disabled", "fflags": "+bitexact"} | muxing
    ) as muxer:
        video = muxer.add_stream(codec, rate=fps, options=_options(codec, bframes, options)) if codec else None
        sound = muxer.add_stream("aac", rate=16_000) if audio else None
        tracks = [_add_text(muxer, t) for t in texts]
        packets = []
        if video is not None:
            video.width, video.height = size
            video.pix_fmt = pix_fmt
            video.gop_size = gop or max(1, round(fps))
            video.max_b_frames = bframes
            video.codec_context.time_base = 1 / fps
            video.codec_context.thread_count = 1
            if sample_aspect is not None:
                video.sample_aspect_ratio = video.codec_context.sample_aspect_ratio = sample_aspect
            if rotation is not None:
                video.set_display_rotation(*rotation)
            for i in range(round(fps * Fraction(seconds))):
                frame = av.VideoFrame.from_ndarray(draw(i, i / fps), format="rgb24")
                frame.pts, frame.time_base = i + round(start * fps), 1 / fps
                packets += video.encode(frame)
            packets += video.encode(None)
        if sound is not None:
            packets += _tone(sound, Fraction(seconds), start)
        for track, stream in zip(texts, tracks, strict=True):
            packets += _text_packets(stream, track)
        for packet in sorted(packets, key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base):
            muxer.mux(packet)
    data = out.getvalue()
    if path is not None:
        path.write_bytes(data)
    return data


def named_pattern(name: Named, size: tuple[int, int]) -> Pattern:
    """A picture a frame: `counter` shows its index in 16 black or white cells, so that every frame differs."""
    width, height = size
    noise = np.random.default_rng(7)
    ramp = np.broadcast_to(
        np.linspace(30, 220, width, dtype=np.uint8)[None, :, None] // np.array([1, 2, 3], np.uint8), (height, width, 3)
    )

    def counter(index: int, at: Fraction) -> Picture:
        picture = ramp.copy()
        cell = max(1, width // 16)
        for bit in range(16):
            picture[: height // 4, bit * cell : (bit + 1) * cell] = 235 if index >> bit & 1 else 16
        return picture

    drawn: dict[str, Pattern] = {
        "counter": counter,
        "black": lambda index, at: np.zeros((height, width, 3), np.uint8),
        "noise": lambda index, at: noise.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "still": lambda index, at: ramp.copy(),
        "colour": lambda index, at: np.full((height, width, 3), COLOURS[int(at) % len(COLOURS)], np.uint8),
    }
    return drawn[name]


def read_counter(picture: Picture) -> int:
    """The frame index that `counter` drew into `picture` (RGB or luma, any size, upright)."""
    height, width = picture.shape[:2]
    row = picture[height // 8].reshape(width, -1).mean(axis=1)
    return sum(1 << bit for bit in range(16) if row[int((bit + 0.5) * width / 16)] > 127)


def _options(codec: str, bframes: int, given: Mapping[str, str] | None) -> dict[str, str]:
    options = dict(_CODEC_OPTIONS.get(codec, {}))
    if bframes:
        options.pop("tune", None)
    return options | {"bf": str(bframes)} | dict(given or {})


def _add_text(muxer: av.container.OutputContainer, track: TextTrack) -> av.subtitles.stream.SubtitleStream:
    stream = muxer.add_stream(track.codec)
    stream.codec_context.subtitle_header = _ASS_HEADER
    stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = track.language
    return stream


_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour\n"
    b"Style: Default,Arial,20,&Hffffff\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV,"
    b" Effect, Text\n"
)


def _text_packets(stream: av.subtitles.stream.SubtitleStream, track: TextTrack) -> list[av.Packet]:
    packets = []
    for i, line in enumerate(track.lines):
        event = f"{i},0,Default,,0,0,0,,{line.text}".replace("\n", "\\N").encode()
        length = line.end_ms - line.start_ms
        subtitle = av.subtitles.subtitle.SubtitleSet.create(text=event, start=0, end=length, pts=line.start_ms * 1000)
        packet = stream.codec_context.encode_subtitle(subtitle)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = line.start_ms
        packet.duration = length
        packets.append(packet)
    return packets


def _tone(stream: av.AudioStream, seconds: Fraction, start: Fraction) -> list[av.Packet]:
    rate, step = 16_000, 1024
    packets = []
    for at in range(0, int(seconds * rate), step):
        wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(at, at + step) / rate).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), at + int(start * rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)
