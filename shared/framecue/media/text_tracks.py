"""Text tracks of an opened container: packets in, cues out, on the container's own clock. Decodes no picture of text.

The payload of a text packet is its words in every format that is read here, so no decoder runs: SubRip and WebVTT as
they are, ASS after its eighth comma, mov_text behind its length, TTML as a whole document. Streams that FFmpeg has no
name for are told apart by their first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from framecue.errors import MediaError, SubtitleError, UnsupportedMediaError
from framecue.media.documents import parse_document
from framecue.media.drafts import CUES_MAX, Drafts
from framecue.media.encodings import decode_text
from framecue.media.opening import foreign_errors, open_media
from framecue.media.sniffing import sniff
from framecue.media.styling import plain_ass, plain_subrip, plain_webvtt
from framecue.schemas.media import Cue
from framecue.timeline import to_ms

BYTES_MAX = 4 << 20
"""Of text in one container, as in one document."""
_PLAIN = {
    "srt": plain_subrip,
    "subrip": plain_subrip,
    "text": plain_subrip,
    "mov_text": plain_subrip,
    "ass": plain_ass,
    "ssa": plain_ass,
    "webvtt": plain_webvtt,
}
"""FFmpeg's names of text decoders; PyAV gives the decoder's, not the codec's."""
_BITMAPS = {"pgssub": "PGS", "dvdsub": "VobSub", "dvbsub": "DVB", "xsub": "XSUB"}
_TELETEXT = range(0x10, 0x20)
"""First byte of an EBU teletext payload in MPEG-TS (EN 300 472, data_identifier)."""
_HEAD_BYTES = 1 << 16


@dataclass
class _Track:
    """`codec` is FFmpeg's name, or None where it has none: then the payload tells. `data` is what libavformat takes
    WebVTT in MP4 for, beside time codes and telemetry: only its own boxes are kept."""

    codec: str | None
    language: str | None
    transport: bool
    data: bool
    packets: list[tuple[Fraction, Fraction | None, bytes]] = field(default_factory=list)


class TrackReader:
    """Feed it the packets of `wants`, in any order; `finish` gives the cues of all tracks together."""

    def __init__(self, container: InputContainer) -> None:
        self._tracks: dict[int, _Track] = {}
        self._warnings: list[str] = []
        self._bytes = self._count = 0
        self._full = False
        wants = []
        for stream in container.streams:
            data = stream.type == "data" and container.format.name.startswith("mov")
            if stream.type != "subtitle" and not data:
                continue
            codec, language = _codec(stream), _language(stream)
            if codec is None or codec in _PLAIN:
                wants.append(stream)
                self._tracks[stream.index] = _Track(codec, language, container.format.name == "mpegts", data)
            elif not data:
                kind = f"{_BITMAPS[codec]} (bitmap)" if codec in _BITMAPS else codec
                self._warnings.append(_unread(kind, language))
        self.wants: tuple[Stream, ...] = tuple(wants)

    def feed(self, packet: Packet[Stream]) -> None:
        """Takes a packet; one of another stream, an empty one or one without a time is passed over. Never raises."""
        track = self._tracks.get(packet.stream_index)
        at = packet.pts if packet.pts is not None else packet.dts
        if track is None or not packet.size or at is None or packet.time_base is None or self._full:
            return
        payload = bytes(packet)
        if track.data and not _is_boxed(payload):
            return
        self._bytes, self._count = self._bytes + packet.size, self._count + 1
        if self._bytes > BYTES_MAX or self._count > CUES_MAX:
            self._full = True
            return
        duration = packet.duration * packet.time_base if packet.duration else None
        track.packets.append((at * packet.time_base, duration, payload))

    def finish(self) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
        """The cues in the order they start, and a sentence for each thing that is not read or was guessed.

        The same words at the same time in the same language, from two tracks, are one cue.
        """
        cues: set[Cue] = set()
        warnings = list(self._warnings)
        for track in self._tracks.values():
            drafts = Drafts()
            try:
                _read(track, drafts)
            except SubtitleError as e:
                drafts.warnings.append(f"{_named('a text', track.language)} is not read to its end: {e.reason}")
            cues.update(drafts.cues(clock="container", source="container", language=track.language))
            warnings += drafts.warnings
        if self._full:
            warnings.append(
                f"the container holds more than {CUES_MAX} cues or {BYTES_MAX >> 20} MiB of text; the rest is not read"
            )
        ordered = sorted(cues, key=lambda c: (c.start_ms, c.end_ms, c.text, c.language or ""))
        return tuple(ordered), tuple(dict.fromkeys(warnings))


def read_file_tracks(path: Path) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """The cues of all text tracks in a film, and warnings, as `TrackReader.finish`.

    Raises UnsupportedMediaError for a container that is not read, DamagedMediaError when it does not open; damage
    further on ends the reading with a warning.
    """
    with foreign_errors(), path.open("rb") as file:
        fmt = sniff(file.read(_HEAD_BYTES))
        file.seek(0)
        if fmt is None:
            raise UnsupportedMediaError(f"{path.name} is no MPEG-TS, MP4, Matroska, WebM or FLV")
        with open_media(file, fmt=fmt) as container:
            return read_tracks(container)


def read_tracks(container: InputContainer) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """As `read_file_tracks`, of a container of which nothing was read."""
    reader = TrackReader(container)
    broken = _feed_all(container, reader) if reader.wants else ()
    cues, warnings = reader.finish()
    return cues, (*warnings, *broken)


def _feed_all(container: InputContainer, reader: TrackReader) -> tuple[str, ...]:
    try:
        with foreign_errors():
            for packet in container.demux(reader.wants):
                reader.feed(packet)
    except MediaError as e:
        return (f"the text tracks break off: {e.reason}",)
    return ()


def _read(track: _Track, drafts: Drafts) -> None:
    first = next((payload for _, _, payload in track.packets if payload.strip(b"\0 \r\n")), b"")
    if track.codec is None and track.transport and first and first[0] in _TELETEXT:
        drafts.warnings.append(_unread("teletext", track.language))
    elif track.codec is None and first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") and b"tt" in first:
        _read_documents(track, drafts)
    elif track.codec is None and b"\0" in first and not _is_boxed(first):
        drafts.warnings.append(_unread("nameless", track.language))
    else:
        _read_payloads(track, drafts)


def _read_documents(track: _Track, drafts: Drafts) -> None:
    """TTML in MP4: each sample is a whole document whose times are the track's; a fragmented one repeats cues."""
    seen: set[tuple[int, int, str]] = set()
    for _, _, payload in track.packets:
        document = parse_document(payload, content_type="application/ttml+xml", language=track.language)
        drafts.warnings += document.warnings
        for cue in document.cues:
            if (key := (cue.start_ms, cue.end_ms, cue.text)) not in seen:
                seen.add(key)
                drafts.add(cue.start_ms, cue.end_ms, cue.text, language=cue.language)


def _read_payloads(track: _Track, drafts: Drafts) -> None:
    """One encoding for the whole track: a single cue is too short to tell."""
    words = [
        (at, duration, text)
        for at, duration, payload in track.packets
        for text in _words(track.codec, payload)
        if text.strip()
    ]
    decoded = decode_text(b"\n".join(text for _, _, text in words), language=track.language)
    if not decoded.certain:
        drafts.warnings.append(f"{_named('a text', track.language)} is not UTF-8; it is read as {decoded.encoding}")
    plain = _PLAIN[track.codec or "webvtt"]
    for at, duration, text in words:
        said = plain(text.decode(decoded.encoding, "replace"))
        drafts.add(to_ms(at), None if duration is None else to_ms(at + duration), said)


def _words(codec: str | None, payload: bytes) -> Iterator[bytes]:
    """The styled text in a packet; what follows a NUL is rubbish that some muxers leave."""
    if codec == "mov_text":
        text = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        if text[:2] in (b"\xfe\xff", b"\xff\xfe"):  # 3GPP TS 26.245 allows UTF-16 with a mark
            text = text.decode("utf-16", "replace").encode()
        yield text.partition(b"\0")[0]
    elif codec in ("ass", "ssa"):
        yield payload.partition(b"\0")[0].split(b",", 8)[-1]
    elif codec is None and _is_boxed(payload):
        for name, body in _boxes(payload):
            if name == b"vttc":
                yield from (text for inner, text in _boxes(body) if inner == b"payl")
    else:
        yield payload.partition(b"\0")[0]


def _is_boxed(payload: bytes) -> bool:
    """Whether it is a sample of WebVTT in MP4: a cue, an empty one, or a note."""
    return payload[4:8] in (b"vttc", b"vtte", b"vtta")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """ISO boxes (name, body): WebVTT in MP4 is made of them (ISO 14496-30)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _codec(stream: Stream) -> str | None:
    context = stream.codec_context  # None where FFmpeg has no decoder; then even the codec's name cannot be asked for
    return None if context is None else str(context.name)


def _language(stream: Stream) -> str | None:
    """`fra,fra` is what two teletext pages say; `und` says nothing."""
    language = str(stream.metadata.get("language", "")).split(",")[0].strip()[:35]
    return None if language in ("", "und") or not language.isascii() else language


def _named(kind: str, language: str | None) -> str:
    return f"{kind} track" + (f" {language!r}" if language else "")


def _unread(kind: str, language: str | None) -> str:
    return f"the {_named(f'{kind} subtitle', language)} is not read; supply text subtitles"
