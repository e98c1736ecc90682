"""Media records without a decoder: coloured pictures, words and their times, as ingest would have written them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import simplejpeg

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.schemas.codec import pack
from framecue.schemas.media import Cue, Frame, Media, Origin, SegmentMedia, TextMedia
from tests.support.encoders import PALETTE


def jpeg(colour: str) -> bytes:
    """A small picture of one colour of the light model's palette."""
    picture = np.full((36, 64, 3), PALETTE[colour], np.uint8)
    return bytes(simplejpeg.encode_jpeg(picture, quality=95, colorspace="RGB"))


def cue(start_ms: int, end_ms: int, text: str) -> Cue:
    """A cue in media time, from a document."""
    return Cue(start_ms=start_ms, end_ms=end_ms, text=text, clock="start", source="document")


def segment(
    index: int,
    colours: Sequence[str],
    *,
    stream: str = "cam1",
    cues: Sequence[Cue] = (),
    end: bool = False,
    session: str = "s",
) -> SegmentMedia:
    """The `index`-th segment of 2 s of a session, its frames evenly spread, one for each of `colours`."""
    begin = Fraction(2 * index)
    step = Fraction(2, max(1, len(colours)))
    times = [begin + i * step for i in range(len(colours))]
    frames = [
        Frame(at=t, cell=int(t * 2), width=64, height=36, jpeg=jpeg(c)) for t, c in zip(times, colours, strict=True)
    ]
    return SegmentMedia(
        stream=stream,
        origin=Origin(topic="segments", partition=0, offset=index),
        digest=hashlib.sha256(f"{stream}/{session}/{index}".encode()).digest()[:16],
        session=session,
        seq=index,
        start=begin,
        end=end,
        container="mpegts",
        wraps=True,
        first=begin,
        last=begin + 2 - Fraction(1, 25),
        last_duration=Fraction(1, 25),
        sampling_per_second=Fraction(2),
        frames=tuple(frames),
        cues=tuple(cues),
    )


def text(*cues: Cue, stream: str = "cam1", lag_ms: int | None = None) -> TextMedia:
    """One text message."""
    return TextMedia(
        stream=stream, origin=Origin(topic="subtitles", partition=0, offset=0), lag_ms=lag_ms, cues=tuple(cues)
    )


def media_log(*media: Media, broker: MemoryBroker | None = None) -> list[Record]:
    """`media` written to partition 0 of the `media` topic and read back, each under its stream's key."""
    broker = broker or MemoryBroker(partitions=1)
    reader = broker.consumer("media_log", ["media"])
    reader.poll(100_000)
    keys = [getattr(m, "stream", None) for m in media]
    broker.commit(
        [Message("media", k.encode() if k else None, pack(m), partition=0) for k, m in zip(keys, media, strict=True)]
    )
    return list(reader.poll(100_000))
