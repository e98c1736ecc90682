"""Opening what a stranger sent: only listed formats, no protocol, no second file. Knows nothing of frames or cues.

Each guard alone was seen to fail: a denied `io_open` does not stop a concat script or an SDP, a whitelist does not stop
a reference inside MOV. Together with a format that we sniffed ourselves they open nothing but the bytes at hand.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import av
from av.container import InputContainer

from framecue.errors import DamagedMediaError, DecoderFailedError, MediaError

FORMATS = "mpegts,mov,mp4,matroska,webm,flv"
DECODERS = "h264,hevc,vp8,vp9,libdav1d,mpeg2video"
"""FFmpeg's names of the video decoders that may run on foreign bytes."""
MAX_PIXELS = 8192 * 4352
"""8K with its coded padding. Without a limit 200 KiB of bytes can ask for a gigabyte of picture."""
MAX_STREAMS = 64
TIMEOUT_SECONDS = 20.0
OUT_OF_MEMORY = "the decoder wanted more memory than it may have; send smaller pictures or shorter segments"
FOREIGN_ERRORS = (av.FFmpegError, OSError, ValueError, IndexError, AttributeError)
"""All that PyAV was seen to raise on damaged input: UnicodeDecodeError is a ValueError, our own refusal an OSError."""


@contextmanager
def open_media(source: bytes | BinaryIO, *, fmt: str, max_pixels: int = MAX_PIXELS) -> Iterator[InputContainer]:
    """The container in `source`, read as `fmt` (from `sniff`), with one decoding thread, closed at the end.

    A picture above `max_pixels` is refused by the decoder. Raises DamagedMediaError when it does not open; use no
    stream of it after the block.
    """
    limit = str(max_pixels)
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "none",
        "max_pixels": limit,
        "max_streams": str(MAX_STREAMS),
        "fix_teletext_pts": "0",  # else every time stamp of a teletext track is lost
    }
    with foreign_errors():
        container = av.open(
            io.BytesIO(source) if isinstance(source, bytes) else source,
            "r",
            format=fmt,
            options=options,
            io_open=_deny,
            metadata_errors="replace",
            timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS),
        )
    with container:
        for stream in container.streams.video:
            if stream.codec_context is not None:  # options of the container do not reach its decoders
                stream.codec_context.options = {"max_pixels": limit, "codec_whitelist": DECODERS}
                stream.codec_context.thread_count = 1  # frame threads can deadlock on damaged input
        yield container


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Maps what PyAV raises to DamagedMediaError, want of memory to DecoderFailedError; our own errors pass."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as e:
        raise DecoderFailedError(OUT_OF_MEMORY) from e
    except FOREIGN_ERRORS as e:
        raise DamagedMediaError(f"the media cannot be read: {describe(e)}") from e


def describe(error: BaseException) -> str:
    """What PyAV says of `error`, without numbers and file names."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).strip().rstrip(".")


def _deny(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise PermissionError(f"it asks for {url!r}, and nothing but its own bytes may be opened")
