"""Which pictures of a video track are shown, and taking the sampled ones with as little decoding as that needs.

Works on the packets of one track, in order of decoding. It must not know limits, programs, or other tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

from av import Packet, VideoFrame
from av.video.stream import VideoStream

from framecue.errors import DecoderFailedError
from framecue.media.opening import FOREIGN_ERRORS, OUT_OF_MEMORY, describe
from framecue.media.sampling import Sampling, SegmentClock, choose, frame_duration
from framecue.media.side_data import HDR, carries_captions
from framecue.schemas.media import Frame

VideoPacket: TypeAlias = "Packet[VideoStream]"


class Taker:
    """Decodes packets and keeps the pictures that are wanted, as JPEG, by time stamp.

    `damaged` says after how many frames the first error came. From a packet that fails to the next key frame nothing is
    used: it may look right and be wrong. Nor is a picture whose lost parts were made up: it may be all green.
    """

    def __init__(self, stream: VideoStream, sampling: Sampling, start: Fraction | None, tick: Fraction) -> None:
        self.frames: dict[int, Frame] = {}
        self.damaged: str | None = None
        self.warnings: list[str] = []
        self._stream, self._context, self._sampling = stream, stream.codec_context, sampling
        self._start, self._tick = start, tick
        self._cells: dict[int, int] = {}

    def choose(self, packets: Sequence[VideoPacket], stamps: Sequence[int]) -> set[int]:
        """The time stamps to be taken."""
        clock = SegmentClock(self._tick, stamps[0], self._start)
        if self._sampling.mode == "keyframes":
            keys = {p.pts for p in packets if p.is_keyframe}
            self._cells = choose((s for s in stamps if s in keys), clock, self._sampling)
        else:
            self._cells = choose(stamps, clock, self._sampling)
        return set(self._cells)

    def take(self, packets: Sequence[VideoPacket], wanted: set[int]) -> None:
        """Takes `wanted`, decoding as little as that needs: `skip_frame` drops pictures that no other refers to."""
        last = max(i for i, p in enumerate(packets) if p.pts in wanted)
        needed: Iterable[tuple[int, VideoPacket]] = enumerate(packets[: last + 1])
        if self._sampling.mode == "keyframes":
            needed = ((i, p) for i, p in needed if p.pts in wanted)
        for frame in self._decoded(needed, wanted):
            if frame.pts is not None and frame.pts in wanted:
                self._keep(frame, frame.pts)

    def take_all(self, packets: Sequence[VideoPacket]) -> list[int]:
        """Decodes everything and chooses from what comes out; returns all its time stamps, sorted."""
        self.frames, self._cells = {}, {}
        self._context.flush_buffers()
        stamps: set[int] = set()
        for frame in self._decoded(enumerate(packets), wanted=None):
            if frame.pts is None:
                continue
            stamps.add(frame.pts)
            clock = SegmentClock(self._tick, min(stamps), self._start)
            cell = self._sampling.cell(clock.grid(frame.pts))
            if cell not in self._cells.values():
                self._cells[frame.pts] = cell
                self._keep(frame, frame.pts)
        return sorted(stamps)

    def _decoded(self, packets: Iterable[tuple[int, VideoPacket]], wanted: set[int] | None) -> Iterable[VideoFrame]:
        lost, i = False, 0
        for i, packet in packets:
            if lost and not packet.is_keyframe:
                continue
            lost = False
            self._context.skip_frame = "DEFAULT" if wanted is None or packet.pts in wanted else "NONREF"
            frames = self._decode(packet, after=i)
            if frames is None:
                yield from self._decode(None, after=i) or ()
                self._context.flush_buffers()
                lost = True
            else:
                yield from frames
        yield from self._decode(None, after=i) or ()  # pictures that waited for their turn

    def _decode(self, packet: VideoPacket | None, *, after: int) -> list[VideoFrame] | None:
        """The whole pictures that `packet` (None: the end) brought out; None where it failed. Notes damage."""
        wrong = None
        frames: list[VideoFrame] | None = None
        try:
            frames = self._context.decode(packet)
        except FOREIGN_ERRORS as e:
            if isinstance(e, MemoryError):
                raise DecoderFailedError(OUT_OF_MEMORY) from e
            wrong = describe(e)
        if frames and any(f.is_corrupt for f in frames):
            wrong = "parts of a picture are missing"
        if wrong is not None:
            self.damaged = self.damaged or f"damaged after {after} frames: {wrong}"
        return frames and [f for f in frames if not f.is_corrupt]

    def _keep(self, frame: VideoFrame, pts: int) -> None:
        from framecue.media.frames import to_jpeg  # here, since it loads NumPy, which cutting does not need

        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        width, height, jpeg = to_jpeg(frame, aspect, sampling=self._sampling)
        cell = self._cells[pts]
        self.frames[pts] = Frame(at=pts * self._tick, cell=cell, width=width, height=height, jpeg=jpeg)
        if hdr := HDR.get(frame.color_trc):
            self._warn(f"the video is HDR ({hdr}); its pictures are read without tone mapping, so flat")
        if carries_captions(frame):
            self._warn("closed captions (CEA-608 or 708) in the picture are not read; supply text subtitles")

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def shown(packets: Sequence[VideoPacket]) -> tuple[int, list[int]]:
    """The index of the first key frame (0 when none is marked), and the sorted time stamps that are shown from it on.

    What precedes it in decoding or in time needs pictures of the segment before; an edit list hides some, too.
    """
    begin = next((i for i, p in enumerate(packets) if p.is_keyframe), 0)
    from_pts = packets[begin].pts if packets[begin].is_keyframe else None
    stamps = {p.pts for p in packets[begin:] if p.pts is not None and not p.is_discard}
    return begin, sorted(pts for pts in stamps if from_pts is None or pts >= from_pts)


def shown_for(stream: VideoStream, packets: Sequence[VideoPacket], stamps: Sequence[int]) -> Fraction:
    """How long the last of the pictures with the sorted `stamps` is shown, in seconds."""
    tick = stream.time_base or Fraction(1, 1000)
    duration = next((p.duration for p in packets if p.pts == stamps[-1]), None) or 0
    step = stamps[-1] - stamps[-2] if len(stamps) > 1 else None
    hint = duration if duration > 1 else step  # one tick is what demuxers write when nobody told them
    return frame_duration(rates=(stream.guessed_rate, stream.average_rate), hint=hint * tick if hint else None)
