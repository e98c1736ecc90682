"""What bytes are, from the bytes alone."""

from __future__ import annotations

import pytest

from framecue.media.programs import program_pids
from framecue.media.sniffing import explain, missing_init, sniff, ts_layout
from tests.support.clips import make_clip


@pytest.mark.parametrize(
    ("container", "codec", "expected"),
    [
        ("mpegts", "libx264", "mpegts"),
        ("mp4", "libx264", "mov"),
        ("fmp4", "libx264", "mov"),
        ("matroska", "libx264", "matroska"),
        ("webm", "libvpx", "matroska"),
        ("flv", "libx264", "flv"),
    ],
)
def test_sniff_names_the_demuxer_of_what_is_read(container, codec, expected):
    assert sniff(make_clip(seconds=0.2, size=(64, 48), container=container, codec=codec)) == expected


@pytest.mark.parametrize(
    ("change", "layout", "why"),
    [
        (lambda ts: ts, (188, 0), "as broadcast"),
        (lambda ts: b"\x47junk" + ts, (188, 5), "capture began within a packet"),
        (
            lambda ts: b"".join(b"\0\0\0\0" + ts[i : i + 188] for i in range(0, len(ts), 188)),
            (192, 4),
            "with time codes",
        ),
        (lambda ts: b"".join(ts[i : i + 188] + b"\0" * 16 for i in range(0, len(ts), 188)), (204, 0), "with checksums"),
        (lambda ts: ts[:188], (188, 0), "one packet is enough"),
        (lambda ts: ts[:187], None, "less than a packet is not"),
    ],
)
def test_ts_layout_finds_packets_of_every_kind(change, layout, why):
    assert ts_layout(change(make_clip(seconds=0.2, size=(64, 48)))) == layout, why


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"#EXTM3U\n#EXTINF:2,\nsecret.ts\n", "HLS playlist"),
        (b"ffconcat version 1.0\nfile secret.ts\n", "concat script"),
        (b"file 'secret.ts'\nfile 'other.ts'\n", "concat script"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", "SDP"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>', "DASH manifest"),
        (b'<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"/>', "TTML"),
        (b"<smil/>", "XML"),
        (b"\xef\xbb\xbfWEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "WebVTT"),
        (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n", "SRT"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHello\n".encode("utf-16"), "SRT"),
        (b"[Script Info]\nTitle: x\n", "ASS"),
        (b'[{"start_ms": 0, "end_ms": 1, "text": "x"}]', "JSON"),
        (b"just words", "text, not media"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(100), "AVI"),
        (b"OggS" + bytes(100), "Ogg"),
        (b"\0\0\0\x01\x67" + bytes(100), "without a container"),
        (b"\x1f\x43\xb6\x75" + bytes(100), "Matroska cluster"),
        (bytes(range(256)) * 4, "no media that is known"),
    ],
)
def test_explain_says_what_it_is_instead(data, word):
    assert sniff(data) is None
    assert word in explain(data)


def test_missing_init_when_a_fragment_comes_alone():
    whole = make_clip(seconds=1, size=(64, 48), container="fmp4")
    assert missing_init(whole) is None
    assert "without its init segment" in (missing_init(whole[whole.index(b"moof") - 4 :]) or "")


def test_missing_init_when_the_index_at_the_end_is_cut_off():
    whole = make_clip(seconds=1, size=(64, 48), container="mp4")
    assert "no readable index" in (missing_init(whole[: len(whole) // 2]) or "")


def test_program_pids_of_a_stream_with_one_program():
    assert program_pids(make_clip(seconds=0.4, size=(64, 48), audio=True)) == {1: frozenset({0x100, 0x101})}


def test_program_pids_when_a_map_spans_packets():
    streams = b"".join(bytes([0x1B, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 40]) + bytes(40) for pid in range(0x200, 0x208))
    pmt = _section(0x02, 7, b"\xe2\x00\xf0\x00" + streams)
    pat = _section(0x00, 1, b"\x00\x00\xe0\x10" + b"\x00\x07\xe1\x00" + b"\x00\x08\xe1\x01")
    ts = b"".join(_packets(0, pat) + _packets(0x100, pmt) + [_packet(0x1FFF, True, b"")] * 3)
    assert program_pids(ts) == {7: frozenset(range(0x200, 0x208)), 8: frozenset()}


def _section(table: int, number: int, body: bytes) -> bytes:
    rest = number.to_bytes(2, "big") + b"\xc1\x00\x00" + body + b"\0\0\0\0"
    return bytes([table]) + (0xB000 | len(rest)).to_bytes(2, "big") + rest


def _packets(pid: int, section: bytes) -> list[bytes]:
    payload = b"\x00" + section
    return [_packet(pid, i == 0, payload[i : i + 184]) for i in range(0, len(payload), 184)]


def _packet(pid: int, starts: bool, payload: bytes) -> bytes:
    head = (0x47 << 24 | starts << 22 | pid << 8 | 0x10).to_bytes(4, "big")
    return head + payload.ljust(184, b"\xff")
