"""Segments that are lists in disguise open no file and no socket: a watched canary file, a listening canary port."""

from __future__ import annotations

import ctypes
import io
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from framecue.errors import MediaError
from framecue.media.decoding import DecodedSegment
from framecue.media.opening import FORMATS, open_media
from framecue.media.pool import DecoderPool
from tests.support.clips import make_clip

IN_ACCESS, IN_OPEN = 0x1, 0x20
CLIP = make_clip(seconds=0.4, size=(64, 48))
MP4 = make_clip(seconds=0.4, size=(64, 48), container="mp4")


@dataclass(frozen=True)
class Canary:
    """A video file and a port that nobody has any reason to open."""

    file: Path
    server: socket.socket
    watch: int

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def was_opened(self) -> bool:
        """Whether the file was opened or read since the last call."""
        try:
            return bool(os.read(self.watch, 65536))
        except BlockingIOError:
            return False

    def was_called(self) -> bool:
        """Whether somebody connected to the port since the last call."""
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def canary(tmp_path) -> Iterator[Canary]:
    file = tmp_path / "canary.ts"
    file.write_bytes(CLIP)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0
    assert libc.inotify_add_watch(watch, os.fsencode(file), IN_ACCESS | IN_OPEN) >= 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield Canary(file, server, watch)
    os.close(watch)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1) as pool:
        yield pool


def concat(c: Canary) -> bytes:
    return f"ffconcat version 1.0\nfile {c.file.name}\nstream\nexact_stream_id 1\n".encode()


def hls(c: Canary) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{c.file}\n#EXT-X-ENDLIST\n".encode()


def sdp(c: Canary) -> bytes:
    return f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video {c.port} RTP/AVP 96\r\n".encode()


ATTACKS: list[tuple[str, Callable[[Canary], bytes]]] = [
    ("ffconcat, relative", concat),
    ("ffconcat, absolute", lambda c: f"ffconcat version 1.0\nfile {c.file}\n".encode()),
    ("ffconcat, http", lambda c: f"ffconcat version 1.0\nfile http://127.0.0.1:{c.port}/x.ts\n".encode()),
    ("HLS, file", hls),
    ("HLS, http", lambda c: f"#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:{c.port}/x.ts\n".encode()),
    ("SDP", sdp),
    ("DASH", lambda c: f"<MPD><BaseURL>http://127.0.0.1:{c.port}/</BaseURL></MPD>".encode()),
    ("SMIL", lambda c: f'<smil><video src="{c.file}"/></smil>'.encode()),
    ("ASX", lambda c: f'<asx><ref href="http://127.0.0.1:{c.port}/"/></asx>'.encode()),
    ("lavfi", lambda c: f"movie={c.file}".encode()),
    ("image2 pattern", lambda c: os.fsencode(c.file.parent / "%d.png")),
    ("playlist behind a TS", lambda c: CLIP[:188] + hls(c)),
    ("playlist behind ftyp", lambda c: MP4[:32] + hls(c)),
    ("concat behind an EBML head", lambda c: b"\x1aE\xdf\xa3" + concat(c)),
    ("MOV with a url reference, file", lambda c: referring(b"url ", f"file://{c.file}\0".encode())),
    ("MOV with a url reference, http", lambda c: referring(b"url ", f"http://127.0.0.1:{c.port}/x\0".encode())),
    ("MOV with an alias", lambda c: referring(b"alis", alias(c.file))),
    ("MOV that is a reference movie", lambda c: reference_movie(f"http://127.0.0.1:{c.port}/x.mov")),
]


@pytest.mark.parametrize(("name", "attack"), ATTACKS)
def test_a_child_opens_nothing_but_the_bytes_at_hand(name, attack, canary, pool, monkeypatch):
    monkeypatch.chdir(canary.file.parent)
    outcome = attempt(pool, attack(canary))
    assert isinstance(outcome, MediaError) or name.startswith(("MOV", "playlist behind a TS")), outcome
    assert not canary.was_opened()
    assert not canary.was_called()


@pytest.mark.parametrize("fmt", FORMATS.split(","))
@pytest.mark.parametrize(("name", "attack"), [("concat", concat), ("HLS", hls), ("SDP", sdp)])
def test_open_media_opens_nothing_when_sniffing_is_fooled(fmt, name, attack, canary, monkeypatch):
    monkeypatch.chdir(canary.file.parent)
    with pytest.raises(MediaError), open_media(attack(canary), fmt=fmt):
        pytest.fail(f"{name} opened as {fmt}")
    assert not canary.was_opened()
    assert not canary.was_called()


def test_the_canary_sings_when_nothing_guards_it(canary, monkeypatch):
    monkeypatch.chdir(canary.file.parent)
    with av.open(io.BytesIO(concat(canary)), options={"safe": "0", "protocol_whitelist": "file"}) as container:
        assert container.format.name == "concat"
    assert canary.was_opened()
    socket.create_connection(("127.0.0.1", canary.port)).close()
    assert canary.was_called()


def attempt(pool: DecoderPool, data: bytes) -> DecodedSegment | MediaError:
    try:
        return pool.decode(data)
    except MediaError as e:
        return e


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def referring(kind: bytes, content: bytes) -> bytes:
    """An MP4 whose track says that its data lies elsewhere (flags 0)."""
    return _within(MP4, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), box(kind, bytes(4) + content))


def _within(data: bytes, path: tuple[bytes, ...], entry: bytes) -> bytes:
    """`data` with the only entry of the `dref` at `path` replaced; sizes on the way follow."""
    at, out = 0, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + size]
        if kind == path[0]:
            content = content[:8] + entry if len(path) == 1 else _within(content, path[1:], entry)
        out += box(kind, content)
        at += size
    return out


def alias(file: Path) -> bytes:
    """A Macintosh alias record (version 2) that names `file` by its absolute path (tag 2) and volume."""
    path = os.fsencode(file)
    name = os.fsencode(file.name)
    head = bytes(4) + (0).to_bytes(2, "big") + (2).to_bytes(2, "big") + bytes(2) + bytes([1]) + b"/".ljust(27, b"\0")
    head += bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + (1).to_bytes(2, "big") * 2 + bytes(16)
    tags = (2).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + b"\0" * (len(path) % 2)
    return head + tags + b"\xff\xff\0\0"


def reference_movie(url: str) -> bytes:
    text = url.encode() + b"\0"
    rdrf = box(b"rdrf", bytes(4) + b"url " + len(text).to_bytes(4, "big") + text)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", rdrf)))
