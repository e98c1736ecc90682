"""What bytes are, told from the bytes alone, so that libavformat is never left to guess. Imports no decoder.

libavformat's own probing takes a playlist for a video and opens what it names; `sniff` knows four kinds and no more.
"""

from __future__ import annotations

import mmap
import re
from typing import TypeAlias

Bytes: TypeAlias = bytes | mmap.mmap

TS_PACKET = 188
MP4_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"mdat", b"free", b"skip", b"wide", b"emsg", b"prft", b"uuid")
READ = "send MPEG-TS, MP4, Matroska, WebM or FLV"


def sniff(data: Bytes) -> str | None:
    """The name of the demuxer that reads `data` (its first 64 KiB will do), or None when it is none of ours."""
    if data[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if data[:4] == b"FLV\x01":
        return "flv"
    if data[4:8] in MP4_BOXES:
        return "mov"
    return "mpegts" if ts_layout(data) else None


def ts_layout(data: Bytes) -> tuple[int, int] | None:
    """(packet size, offset of the first sync byte) of an MPEG-TS; None when `data` is none.

    Packets are 188 bytes, with a time code before each 192, with a checksum after each 204; capture may begin anywhere.
    """
    for size, lead in ((TS_PACKET, 0), (192, 4), (204, 0)):
        for start in range(min(size, len(data) - TS_PACKET + 1)):
            at = range(start + lead, len(data), size)[:5]
            if len(at) >= min(3, len(data) // size) > 0 and all(data[i] == 0x47 for i in at):
                return size, start + lead
    return None


def explain(data: Bytes) -> str:
    """A sentence that says what `data` is, when it is not media that we read, and what to send instead."""
    if not data:
        return f"the segment is empty; {READ}"
    for magic, at, what in _MAGIC:
        if data[at : at + len(magic)] == magic:
            return f"these bytes are {what}; {READ}"
    text = _as_text(data)
    if text is None:
        return f"these bytes are no media that is known here; {READ}"
    for pattern, what in _TEXTS:
        if re.match(pattern, text):
            return f"these bytes are {what}"
    return f"these bytes are text, not media; {READ}, and text to the subtitles topic"


def missing_init(data: Bytes) -> str | None:
    """Why an MP4 cannot be read alone: a fragment without its init segment, or one that lost its index; else None."""
    boxes = _top_level_boxes(data)
    if b"moov" in boxes:
        return None
    if boxes & {b"moof", b"styp", b"sidx"}:
        return "this is an MP4 fragment without its init segment; send the init segment and the fragment as one message"
    return "this MP4 has no readable index (moov): it is cut off or damaged; send a whole file, or fragmented MP4"


def _top_level_boxes(data: Bytes) -> set[bytes]:
    found: set[bytes] = set()
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        found.add(kind)
        if size < 8:  # 0 means "to the end"; anything else that small is damage
            break
        at += size
    return found


def _as_text(data: Bytes) -> str | None:
    """The beginning of `data` as text without its mark and leading blanks; None when it is binary."""
    head = data[:4096]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "replace").lstrip()
    text = head.decode("utf-8-sig", "replace")
    printable = sum(c.isprintable() or c in "\r\n\t" for c in text)
    return text.lstrip() if printable > 0.9 * len(text) else None


_MAGIC = (
    (b"\xff\xd8\xff", 0, "a JPEG picture"),
    (b"\x89PNG\r\n", 0, "a PNG picture"),
    (b"GIF8", 0, "a GIF picture"),
    (b"WEBP", 8, "a WebP picture"),
    (b"AVI ", 8, "an AVI file"),
    (b"WAVE", 8, "a WAV sound file"),
    (b"OggS", 0, "an Ogg file"),
    (b"ID3", 0, "an MP3 sound file"),
    (b"fLaC", 0, "a FLAC sound file"),
    (b"\xff\xf1", 0, "raw AAC sound"),
    (b"\x00\x00\x01\xba", 0, "an MPEG program stream (VOB)"),
    (b"\x30\x26\xb2\x75", 0, "a Windows Media file"),
    (b"\x00\x00\x00\x01", 0, "a bare H.264 or HEVC stream without a container, so without times"),
    (b"\x00\x00\x01", 0, "a bare video stream without a container, so without times"),
    (b"\x1f\x43\xb6\x75", 0, "a Matroska cluster without its header"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"PK\x03\x04", 0, "a ZIP archive"),
    (b"%PDF", 0, "a PDF document"),
)
_TEXTS = (
    (r"#EXTM3U", "an HLS playlist, and no list is followed; send the segments that it names"),
    (r"ffconcat\b|(file|stream|duration)\s+\S", "a concat script, and no list is followed; send the media it names"),
    (r"v=0\s", "an SDP description of a live session, and no address is opened; send the media itself"),
    (r"(?s)(<\?xml.*?)?<MPD\b", "a DASH manifest, and no list is followed; send the segments that it names"),
    (r"(?s)(<\?xml.*?)?<(tt|tt:tt)\b", "a TTML document; send it to the subtitles topic"),
    (r"<", "XML or HTML, not media"),
    (r"WEBVTT", "a WebVTT document; send it to the subtitles topic"),
    (r"\[Script Info\]", "an ASS document; send it to the subtitles topic"),
    (r"\d+\s+\d+:\d\d:\d\d[,.]\d+\s*-->", "an SRT document; send it to the subtitles topic"),
    (r"[\[{]", "JSON; cues go to the subtitles topic"),
)
