"""Whether this machine can decode what is promised. It must not know what to do about it."""

from __future__ import annotations

from av.codec import Codec
from av.codec.codec import UnknownCodecError

from framecue.media.opening import DECODERS


def missing_decoders() -> tuple[str, ...]:
    """The decoders, by FFmpeg's names, that this build of PyAV lacks."""
    return tuple(name for name in DECODERS.split(",") if not _has(name))


def _has(decoder: str) -> bool:
    try:
        return bool(Codec(decoder, "r").is_decoder)
    except UnknownCodecError:
        return False
