"""A film cut at key frames into segments that decode on their own. Nothing is encoded again; times stay exact.

    decoding order   K0 p b b p | K1 b* b* p b b | K2 p ...      b*: shown before K1, needs pictures from both sides
    segment 0        K0 p b b p   K1 b* b*                       ends where K1 is shown
    segment 1                     K1       p b b                 so every picture can be decoded in one of the two

The segments' own clock is media time: 0 is the film's first picture. It must not know who sends segments anywhere.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias, cast

import av
from av import Packet
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

from framecue.errors import DamagedMediaError, LimitExceededError, UnsupportedMediaError
from framecue.media.decoding import VIDEO_READ, DecodeLimits, check_pixels, is_video
from framecue.media.opening import DECODERS, foreign_errors, open_media
from framecue.media.sampling import on_rate
from framecue.media.side_data import display_matrix
from framecue.media.sniffing import explain, missing_init, sniff
from framecue.media.taking import shown_for
from framecue.media.text_tracks import read_tracks

Container = Literal["mpegts", "mp4", "matroska"]
Track: TypeAlias = VideoStream | AudioStream
TrackPacket: TypeAlias = "Packet[VideoStream]"

CARRIES: Mapping[Container, frozenset[str]] = {
    "mpegts": frozenset({"h264", "hevc", "mpeg2video"}),
    "mp4": frozenset({"h264", "hevc", "mpeg2video", "vp9", "libdav1d"}),
    "matroska": frozenset(DECODERS.split(",")),
}
"""What comes back from each. MPEG-TS takes the others without an error, and no picture returns."""
_MUXING: Mapping[Container, dict[str, str]] = {
    "mpegts": {"mpegts_copyts": "1"},
    # without the last two every segment's clock would begin at 0 again
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont", "use_editlist": "0"},
    "matroska": {},
}
MUXING_SHARE = Fraction(9, 10)
"""Of a segment's bytes, what packets may take: MPEG-TS adds 3 to 8 %."""
SECONDS_LEFT_FREE = Fraction(1)
"""Below the limit, for the one picture that an open group of pictures adds, however slow the film."""

MISSING_SECONDS = Fraction(10)
"""By which sound and subtitles may outlast the pictures of a whole film."""


@dataclass(frozen=True)
class CutSegment:
    """`start` and `end` in seconds of media time; the next one starts where this one ends. `index` counts from 0.

    `broken_off` says, in the last one, why the film ends before its time; None where it does not.
    """

    data: bytes
    start: Fraction
    end: Fraction
    index: int
    container: Container
    broken_off: str | None = None


@dataclass(frozen=True)
class MediaInfo:
    """What a file says of itself. `first` is its clock at its first picture; `duration` is its word, None without one.

    `codec`, `width`, `height` and `rate` are of the picture track; without one `codec` is None.
    """

    format: str
    first: Fraction
    duration: Fraction | None
    codec: str | None
    width: int
    height: int
    rate: Fraction | None
    text_tracks: tuple[str, ...]
    warnings: tuple[str, ...]


def probe(source: Path | bytes, *, limits: DecodeLimits = DecodeLimits()) -> MediaInfo:  # noqa: B008 (frozen)
    """What `source` holds; raises a MediaError when it cannot be read."""
    with _opened(source, limits) as (container, fmt):
        track = _track(container, limits)
        others = [v for v in container.streams.video if is_video(v) and v is not track]
        packets = _Packets(container, track)
        group = next(_groups(_timed(packets), track, limits), None)
        if group is None and packets.damage is not None:
            raise packets.damage
        if group is None:
            raise DamagedMediaError("; ".join(("the file holds no picture to begin with", *_unread(source, limits))))
        video = track if isinstance(track, VideoStream) else None
        return MediaInfo(
            format=fmt,
            first=group.start * _tick(track),
            duration=Fraction(container.duration, av.time_base) if container.duration else None,
            codec=video.codec_context.name if video else None,
            width=video.codec_context.width if video else 0,
            height=video.codec_context.height if video else 0,
            rate=video.guessed_rate if video else None,
            text_tracks=tuple(s.language or "und" for s in container.streams.subtitles),
            warnings=tuple(f"video track {v.index} is ignored: only one picture track is read" for v in others),
        )


def cut(
    source: Path | bytes,
    *,
    target_seconds: Fraction,
    container: Literal["auto"] | Container = "auto",
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008 (frozen)
) -> Iterator[CutSegment]:
    """The segments of `source`, each at least `target_seconds` long where key frames and `limits` allow it.

    `auto` is MPEG-TS where that loses nothing, else Matroska. Text tracks are left out, sound too unless there is no
    picture. A film that is damaged further on ends there, and the last segment says so. Raises a MediaError: also for
    pictures that hang together for longer than `limits`, in mid-film.
    """
    with _opened(source, limits) as (media, fmt):
        track = _track(media, limits)
        containers = _containers(container, track, turned=_needs_matrix(source, fmt, limits))
        packets = _Packets(media, track)
        groups = _groups(_timed(packets), track, limits)
        origin: int | None = None
        held: list[_Group] = []
        start, index = Fraction(0), 0
        for group in groups:
            origin = group.start if origin is None else origin
            if held and _is_full(held, group, target_seconds, limits):
                end = _media_time(group.start, origin, held[-1])
                data, used = _segment(held, group, origin, containers=containers, limits=limits)
                yield CutSegment(data, start, end, index, used)
                held, start, index = [], end, index + 1
            held.append(group)
        if origin is None:
            raise packets.damage or DamagedMediaError("the file holds no picture to begin with")
        duration = held[-1].last_duration
        end = on_rate((held[-1].last - origin) * _tick(track), duration) + duration
        data, used = _segment(held, None, origin, containers=containers, limits=limits)
        yield CutSegment(data, start, end, index, used, _broken_off(packets, fmt, end))


@dataclass
class _Group:
    """A key frame and what hangs on it, in order of decoding. `leading` is shown before it, and kept apart."""

    track: Track
    packets: list[TrackPacket]
    leading: list[TrackPacket] = field(default_factory=list)
    bytes: int = 0

    @property
    def start(self) -> int:
        return cast("int", self.packets[0].pts)

    @property
    def last(self) -> int:
        return max(cast("int", p.pts) for p in self.packets)

    @property
    def last_duration(self) -> Fraction:
        if isinstance(self.track, AudioStream):
            return (self.packets[-1].duration or 0) * _tick(self.track)
        return shown_for(self.track, self.packets, sorted(cast("int", p.pts) for p in self.packets))


def _groups(packets: Iterator[TrackPacket], track: Track, limits: DecodeLimits) -> Iterator[_Group]:
    """The groups of pictures of a film; what precedes the first key frame cannot be decoded and is left out."""
    group: _Group | None = None
    for packet in packets:
        if packet.is_keyframe:
            if group is not None:
                yield group
            group = _Group(track, [])
        if group is None:
            continue
        group.bytes += packet.size
        if group.packets and cast("int", packet.pts) < group.start:
            group.leading.append(packet)
        else:
            group.packets.append(packet)
        _check(group, limits)
    if group is not None:
        yield group


def _check(group: _Group, limits: DecodeLimits) -> None:
    """Refuses a group that cannot become a segment, before all of it is in memory."""
    newest = cast("int", group.packets[-1].pts)
    seconds = (newest - group.start) * _tick(group.track)
    if seconds > limits.max_seconds or group.bytes > limits.max_bytes * MUXING_SHARE:
        at = float(group.start * _tick(group.track))
        most = f"{float(limits.max_seconds):g} s or {limits.max_bytes / (1 << 20):.2g} MiB"
        raise UnsupportedMediaError(
            f"from {at:.1f} s on, more than {most} of video "
            "hangs on one key frame and cannot be split without re-encoding; encode with a key frame every 2 s"
        )


def _is_full(held: Sequence[_Group], group: _Group, target_seconds: Fraction, limits: DecodeLimits) -> bool:
    """Whether the segment of `held` ends before `group`."""
    tick = _tick(group.track)
    if (group.start - held[0].start) * tick >= target_seconds:
        return True
    return (
        (group.last - held[0].start) * tick > limits.max_seconds - SECONDS_LEFT_FREE
        or sum(g.bytes for g in held) + group.bytes > limits.max_bytes * MUXING_SHARE
        or sum(len(g.packets) for g in (*held, group)) >= limits.max_frames
    )


def _media_time(pts: int, origin: int, group: _Group) -> Fraction:
    """`pts` in seconds since the film's first picture; exact at a constant rate, also where a container rounds.

    Within half a tick, so that in whole ms it stays what the container says.
    """
    tick = _tick(group.track)
    return on_rate((pts - origin) * tick, group.last_duration, tick / 2)


def _segment(
    held: Sequence[_Group],
    following: _Group | None,
    origin: int,
    *,
    containers: Sequence[Container],
    limits: DecodeLimits,
) -> tuple[bytes, Container]:
    """The segment of `held`, in the first of `containers` that takes it, damaged as its packets may be.

    What is shown before the key frame of `following` belongs to it, with that key frame.
    """
    packets = list(held[0].packets)  # what leads the first group is in the segment before, or undecodable
    for group in held[1:]:
        packets += [group.packets[0], *group.leading, *group.packets[1:]]
    if following is not None and following.leading:
        packets += [_copy(following.packets[0]), *following.leading]
    container, *others = containers
    spare = [_copy(packet) for packet in packets] if others else []
    try:
        data = _muxed(packets, held[0].track, origin, container=container)
    except DamagedMediaError:
        if not others:
            raise
        container = others[0]
        data = _muxed(spare, held[0].track, origin, container=container)
    if len(data) > limits.max_bytes:
        raise LimitExceededError("bytes", limits.max_bytes, len(data))
    return data, container


def _muxed(packets: Sequence[TrackPacket], track: Track, origin: int, *, container: Container) -> bytes:
    buffer = io.BytesIO()
    options = _MUXING[container] | {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
    with foreign_errors(), av.open(buffer, "w", format=container, options=options) as muxer:
        out = muxer.add_stream_from_template(cast("VideoStream", track), opaque=True)  # else AV1 finds no encoder
        prepared = _media_timed(packets, origin)
        if container == "mpegts" and track.codec_context.name == "h264":
            prepared = _with_parameters(prepared, track)
        for packet in prepared:
            packet.stream = out
            muxer.mux(packet)
    return buffer.getvalue()


def _media_timed(packets: Iterable[TrackPacket], origin: int) -> Iterator[TrackPacket]:
    for packet in packets:
        packet.pts = cast("int", packet.pts) - origin
        packet.dts = cast("int", packet.dts) - origin
        yield packet


def _with_parameters(packets: Iterable[TrackPacket], track: Track) -> Iterator[TrackPacket]:
    """H.264 with its parameter sets before every key frame; the muxer's own filter gives them to IDR frames only."""
    in_band = BitStreamFilterContext("h264_mp4toannexb,dump_extra=freq=keyframe", track)
    for packet in packets:
        yield from cast("list[TrackPacket]", in_band.filter(packet))
    yield from cast("list[TrackPacket]", in_band.filter(None))


def _copy(packet: TrackPacket) -> TrackPacket:
    """`packet` once more: muxing takes a packet's times and stream away."""
    copy = cast("TrackPacket", Packet(bytes(packet)))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy


class _Packets:
    """The packets of one track, to the end or to where the container cannot be read: `damage` says why, then."""

    def __init__(self, container: InputContainer, track: Track) -> None:
        self.container, self._track = container, track
        self.damage: DamagedMediaError | None = None

    def __iter__(self) -> Iterator[TrackPacket]:
        while True:
            try:
                with foreign_errors():
                    yield from cast("Iterator[TrackPacket]", self.container.demux(self._track))
                return
            except DamagedMediaError as e:
                if not isinstance(
                    e.__cause__, BlockingIOError
                ):  # MPEG-TS: 64 KiB that are none; it goes on behind them
                    self.damage = e
                    return


def _broken_off(packets: _Packets, fmt: str, end: Fraction) -> str | None:
    """What there is to say of a film whose pictures end at `end` (a transport stream's length is only estimated)."""
    if packets.damage is not None:
        return f"the film breaks off after {float(end):.1f} s: {packets.damage}"
    said = Fraction(packets.container.duration or 0, av.time_base)
    if fmt != "mpegts" and said - end > MISSING_SECONDS:
        return f"the film says that it lasts {float(said):.1f} s, but its pictures end after {float(end):.1f} s"
    return None


def _timed(packets: Iterable[TrackPacket]) -> Iterator[TrackPacket]:
    """`packets`, each with both its times. Matroska leaves out the first decoding times with B-frames."""
    waiting: list[TrackPacket] | None = []
    for packet in packets:
        if not packet.size or (packet.pts is None and packet.dts is None):
            continue
        if packet.pts is None:
            packet.pts = packet.dts
        if waiting is not None and packet.dts is None:
            waiting.append(packet)
            continue
        yield from _with_decoding_times(waiting or [], packet)
        waiting = None
        if packet.dts is None:
            packet.dts = packet.pts
        yield packet
    for packet in waiting or ():  # no packet has one
        packet.dts = packet.pts
        yield packet


def _with_decoding_times(waiting: Sequence[TrackPacket], following: TrackPacket) -> Sequence[TrackPacket]:
    known = cast("int", following.dts)
    for n, packet in enumerate(reversed(waiting), 1):
        packet.dts = min(known - n * (following.duration or 1), cast("int", packet.pts))
    return waiting


def _unread(source: Path | bytes, limits: DecodeLimits) -> tuple[str, ...]:
    """What is not read of the text tracks."""
    with _opened(source, limits) as (container, _):
        return read_tracks(container)[1]


@contextmanager
def _opened(source: Path | bytes, limits: DecodeLimits) -> Iterator[tuple[InputContainer, str]]:
    """The container and the name of its format; raises UnsupportedMediaError that says what `source` is instead."""
    if isinstance(source, bytes):
        with open_media(source, fmt=_format(source), max_pixels=limits.max_pixels) as container:
            yield container, _format(source)
        return
    with source.open("rb") as file:
        if file.seek(0, io.SEEK_END) == 0:
            raise UnsupportedMediaError(explain(b""))
        file.seek(0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            fmt = _format(data)
        with open_media(file, fmt=fmt, max_pixels=limits.max_pixels) as container:
            yield container, fmt


def _format(data: bytes | mmap.mmap) -> str:
    fmt = sniff(data)
    if fmt is None:
        raise UnsupportedMediaError(explain(data))
    if fmt == "mov" and (reason := missing_init(data)):
        raise UnsupportedMediaError(reason)
    return fmt


def _track(container: InputContainer, limits: DecodeLimits) -> Track:
    """The track that is cut: the first of pictures that can be read, else of sound."""
    videos = [v for v in container.streams.video if is_video(v)]
    readable = [v for v in videos if v.codec_context is not None and v.codec_context.name in CARRIES["matroska"]]
    sized = [v for v in readable if v.codec_context.width]
    if readable:
        check_pixels(chosen := (sized or readable)[0], limits)
        return chosen
    if videos:
        context = videos[0].codec_context
        codec = f"is {context.name}" if context is not None else "has a codec that is not known here"
        raise UnsupportedMediaError(f"the video {codec}; use {VIDEO_READ}")
    if container.streams.audio:
        return container.streams.audio[0]
    raise UnsupportedMediaError("the file holds no picture and no sound")


def _tick(track: Track) -> Fraction:
    """The unit of the track's time stamps, in seconds."""
    return track.time_base or Fraction(1, 1000)


def _containers(wanted: Literal["auto"] | Container, track: Track, *, turned: bool) -> tuple[Container, ...]:
    """What segments of `track` go into, and what else, if damage forbids that: Matroska looks into no packet.

    Raises UnsupportedMediaError where `wanted` would lose the picture.
    """
    if isinstance(track, AudioStream):
        return ("matroska",)
    codec = track.codec_context.name
    if wanted == "auto":
        return ("matroska",) if turned or codec not in CARRIES["mpegts"] else ("mpegts", "matroska")
    if codec not in CARRIES[wanted] or (turned and wanted == "mpegts"):
        what = "the picture's orientation or shape" if codec in CARRIES[wanted] else codec
        raise UnsupportedMediaError(f"{wanted} does not carry {what}; cut into matroska")
    return (wanted,)


def _needs_matrix(source: Path | bytes, fmt: str, limits: DecodeLimits) -> bool:
    """Whether the container, not the codec, says how the picture is turned or how wide its pixels are."""
    if fmt not in ("mov", "matroska"):
        return False
    with _opened(source, limits) as (container, _):
        track = _track(container, limits)
        if not isinstance(track, VideoStream):
            return False
        if track.sample_aspect_ratio not in (None, 0, 1):
            return True
        with foreign_errors():
            first = next(container.decode(track), None)
        return first is not None and display_matrix(first) is not None
