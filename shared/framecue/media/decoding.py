"""One segment's bytes into sampled pictures, cues and exact times. A pure function that runs in a decoder child.

    sniff ── open ── demux all ── count ── choose ── decode what was chosen ── JPEG
     │                             │         │         a picture that no chosen one needs is skipped, and nothing
     None: what it is instead      limits    grid      after the last chosen one is decoded

Every packet's time is known before anything is decoded, so limits are checked first and pictures chosen first. It must
not know who sent the bytes or where results go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

from av import Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from framecue.errors import DamagedMediaError, DecoderFailedError, LimitExceededError, UnsupportedMediaError
from framecue.media.opening import DECODERS, FOREIGN_ERRORS, MAX_PIXELS, OUT_OF_MEMORY, describe, open_media
from framecue.media.programs import program_pids
from framecue.media.sampling import Sampling, on_rate
from framecue.media.sniffing import explain, missing_init, sniff
from framecue.media.taking import Taker, VideoPacket, shown, shown_for
from framecue.media.text_tracks import TrackReader
from framecue.schemas.base import Seconds, Wire
from framecue.schemas.media import Cue, Frame
from framecue.schemas.topics import SEGMENT_MAX_BYTES

VIDEO_READ = "H.264, HEVC, VP8, VP9, AV1 or MPEG-2"


@dataclass(frozen=True)
class DecodeLimits:
    """What one segment may cost. Each bound is far above what honest media needs, and stops what it names."""

    max_bytes: int = SEGMENT_MAX_BYTES
    """The broker's own bound for a message."""
    max_seconds: Fraction = Fraction(30)
    """Results lag by a segment's length; and key frames of real films lie up to 10 s apart, so two or three fit."""
    max_pixels: int = MAX_PIXELS
    max_frames: int = 7200
    """30 s at 240 a second. 60 000 tiny pictures fit in a megabyte."""
    memory_bytes: int = 2 << 30
    """Address space: twice what an 8K stream with all its reference pictures takes."""
    cpu_seconds: float = 60
    """30 s of 4K at 60 a second take about half of it."""
    wall_seconds: float = 90
    """CPU time and a machine that is busy with other work; what sleeps or waits ends here."""


class DecodedSegment(Wire):
    """What a segment holds. Times are on its own clock; frames and cues in the order they are shown."""

    container: str
    wraps: bool
    first: Seconds
    last: Seconds
    last_duration: Seconds
    frames: tuple[Frame, ...] = ()
    cues: tuple[Cue, ...] = ()
    damaged: str | None = None
    warnings: tuple[str, ...] = ()


def decode_segment(
    data: bytes, *, start: Fraction | None, program: int | None, sampling: Sampling, limits: DecodeLimits
) -> DecodedSegment:
    """What `data` holds; raises a MediaError that says what is unsupported, damaged or too much.

    `start` is the media time of the first picture, where somebody says it: then the grid lies on media time.
    `program` chooses one of an MPEG-TS with several.
    """
    if len(data) > limits.max_bytes:
        raise LimitExceededError("bytes", limits.max_bytes, len(data))
    fmt = sniff(data)
    if fmt is None:
        raise UnsupportedMediaError(explain(data))
    if fmt == "mov" and (reason := missing_init(data)):
        raise UnsupportedMediaError(reason)
    with open_media(data, fmt=fmt, max_pixels=limits.max_pixels) as container:
        tracks = _tracks(container, program_pids(data) if fmt == "mpegts" else {}, program)
        found = _demux(container, tracks, limits)
        video = _picture_track(found, limits)
        pictures = _pictures(found.packets[video.index], video, start, sampling) if video else _sound_only(found)
        cues, text_warnings = found.texts.finish()
    span = pictures.last - pictures.first + pictures.last_duration
    if span > limits.max_seconds:
        raise LimitExceededError("seconds", float(limits.max_seconds), float(span))
    return DecodedSegment(
        container=fmt,
        wraps=fmt == "mpegts",
        first=pictures.first,
        last=pictures.last,
        last_duration=pictures.last_duration,
        frames=pictures.frames,
        cues=cues,
        damaged=pictures.damaged or found.damaged,
        warnings=tuple(dict.fromkeys((*tracks.warnings, *found.warnings, *pictures.warnings, *text_warnings))),
    )


@dataclass(frozen=True)
class _Tracks:
    videos: tuple[VideoStream, ...]
    sounds: tuple[AudioStream, ...]
    pids: frozenset[int] | None
    warnings: tuple[str, ...]

    def holds(self, stream: Stream) -> bool:
        return self.pids is None or stream.id in self.pids


def _tracks(container: InputContainer, programs: Mapping[int, frozenset[int]], program: int | None) -> _Tracks:
    """The tracks that may be read: those of one program; a cover picture is no video."""
    warnings = []
    if program is not None and program not in programs:
        has = f"it has {', '.join(map(str, programs))}" if programs else "it has no programs"
        raise UnsupportedMediaError(f"the segment has no program {program}; {has}")
    if program is None and len(programs) > 1:
        program = next(iter(programs))
        numbers = ", ".join(map(str, programs))
        warnings.append(
            f"the segment carries the programs {numbers}; {program} is read, framecue-program names another"
        )
    pids = programs.get(program) if program is not None else None
    return _Tracks(
        tuple(v for v in container.streams.video if is_video(v) and (pids is None or v.id in pids)),
        tuple(a for a in container.streams.audio if pids is None or a.id in pids),
        pids,
        tuple(warnings),
    )


def is_video(stream: VideoStream) -> bool:
    """Whether `stream` is moving pictures, not the cover of a record."""
    return not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)


def check_pixels(stream: VideoStream, limits: DecodeLimits) -> None:
    """Raises LimitExceededError where the pictures of `stream` are too large; its decoder would only fail."""
    pixels = stream.codec_context.width * stream.codec_context.height
    if pixels > limits.max_pixels:
        raise LimitExceededError("pixels a picture", limits.max_pixels, pixels)


@dataclass
class _Found:
    """What demuxing gave: packets of each video track in order of decoding, the span of each sound track."""

    tracks: _Tracks
    texts: TrackReader
    packets: dict[int, list[VideoPacket]] = field(default_factory=dict)
    sounds: dict[int, tuple[Fraction, Fraction, Fraction]] = field(default_factory=dict)
    damaged: str | None = None
    warnings: list[str] = field(default_factory=list)


def _demux(container: InputContainer, tracks: _Tracks, limits: DecodeLimits) -> _Found:
    texts = TrackReader(container)
    found = _Found(tracks, texts, {v.index: [] for v in tracks.videos})
    wanted = {t.index for t in texts.wants if tracks.holds(t)}
    streams = [*tracks.videos, *tracks.sounds, *(t for t in texts.wants if t.index in wanted)]
    if not streams:
        return found
    for packet in _readable(container.demux(streams), found):
        if packet.stream_index in wanted:
            texts.feed(packet)
        elif packet.stream_index in found.packets:
            found.packets[packet.stream_index].append(cast("VideoPacket", packet))
            if len(found.packets[packet.stream_index]) > limits.max_frames:
                raise LimitExceededError("frames", limits.max_frames)
        else:
            _note_sound(found, packet)
    return found


def _readable(packets: Iterator[Packet[Stream]], found: _Found) -> Iterator[Packet[Stream]]:
    """The packets that hold something, to the end or to where the container is damaged: what was read counts."""
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FOREIGN_ERRORS as e:
            if isinstance(e, MemoryError):
                raise DecoderFailedError(OUT_OF_MEMORY) from e
            read = max(map(len, found.packets.values()), default=0)
            found.damaged = f"damaged after {read} frames: {describe(e)}"
            return
        if packet.size:
            yield packet


def _note_sound(found: _Found, packet: Packet[Stream]) -> None:
    if packet.pts is not None:
        at = packet.pts * packet.time_base
        first = found.sounds.get(packet.stream_index, (at, at, at))[0]
        found.sounds[packet.stream_index] = (min(first, at), at, (packet.duration or 0) * packet.time_base)


def _picture_track(found: _Found, limits: DecodeLimits) -> VideoStream | None:
    """The first video track with packets that can be decoded; None where no video track has any."""
    filled = [v for v in found.tracks.videos if found.packets[v.index]]
    if not filled:
        return None
    readable = [v for v in filled if v.codec_context is not None and v.codec_context.name in DECODERS.split(",")]
    if not readable:
        context = filled[0].codec_context
        codec = f"is {context.name}" if context is not None else "has a codec that is not known here"
        raise UnsupportedMediaError(f"the video {codec}; send {VIDEO_READ}")
    video = readable[0]
    check_pixels(video, limits)
    found.warnings += [
        f"video track {v.index} is ignored: only one picture track is read" for v in filled if v is not video
    ]
    return video


@dataclass(frozen=True)
class _Pictures:
    first: Fraction
    last: Fraction
    last_duration: Fraction
    frames: tuple[Frame, ...] = ()
    damaged: str | None = None
    warnings: tuple[str, ...] = ()


def _sound_only(found: _Found) -> _Pictures:
    """No picture, but time that passed."""
    if not found.sounds:
        reasons = (found.damaged, *found.texts.finish()[1])
        raise UnsupportedMediaError("; ".join(filter(None, ("the segment holds no picture and no sound", *reasons))))
    first, last, duration = found.sounds[min(found.sounds)]
    silent = ("the video track holds no picture; time is taken from the sound",) if found.tracks.videos else ()
    return _Pictures(first, last, duration, warnings=silent)


def _pictures(
    packets: Sequence[VideoPacket], stream: VideoStream, start: Fraction | None, sampling: Sampling
) -> _Pictures:
    """The sampled pictures of the video track; all of it is decoded only where its packets do not tell enough."""
    tick = stream.time_base or Fraction(1, 1000)
    taker = Taker(stream, sampling, start, tick)
    begin, stamps = shown(packets)
    timed = bool(stamps) and packets[begin].is_keyframe and all(p.pts is not None for p in packets)
    if timed:
        wanted = taker.choose(packets, stamps)
        taker.take(packets[begin:], wanted)
    if not timed or (not taker.damaged and set(taker.frames) != wanted):
        stamps = taker.take_all(packets)
    if not taker.frames:
        raise DamagedMediaError(f"no picture could be decoded: {taker.damaged or 'the video track gives none'}")
    first, last = stamps[0] * tick, stamps[-1] * tick
    duration = shown_for(stream, packets, stamps)
    return _Pictures(
        first,
        first + on_rate(last - first, duration),
        duration,
        tuple(taker.frames[pts] for pts in sorted(taker.frames)),
        taker.damaged,
        tuple(taker.warnings),
    )
