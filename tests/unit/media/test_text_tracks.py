"""Text tracks of containers: made here, real ones, and those that are not read."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest

from framecue.errors import DamagedMediaError, UnsupportedMediaError
from framecue.media.opening import open_media
from framecue.media.sniffing import sniff
from framecue.media.text_tracks import TrackReader, read_file_tracks
from framecue.schemas.media import Cue
from tests.support.clips import Line, TextTrack, make_clip
from tests.support.paths import SHARED

WORDS = (Line(100, 900, "one"), Line(500, 1500, "{\\i1}two{\\i0}, three"))


def read(data: bytes) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    with open_media(data, fmt=sniff(data) or "") as container:
        reader = TrackReader(container)
        for packet in container.demux(reader.wants) if reader.wants else ():
            reader.feed(packet)
        return reader.finish()


def spans(cues: tuple[Cue, ...]) -> list[tuple[int, int, str]]:
    return [(c.start_ms, c.end_ms, c.text) for c in cues]


@pytest.mark.parametrize(
    ("container", "codec", "cues", "expected", "why"),
    [
        ("matroska", "srt", WORDS, [(100, 900, "one"), (500, 1500, "two, three")], "overlaps stay, tags go"),
        ("matroska", "webvtt", WORDS, [(100, 900, "one"), (500, 1500, "two, three")], "as WebVTT"),
        ("mp4", "mov_text", WORDS[:1], [(100, 900, "one")], "behind its length, between gaps"),
    ],
)
def test_reader_reads_each_kind_of_track(container, codec, cues, expected, why):
    clip = make_clip(container=container, texts=[TextTrack(cues, codec=codec, language="fra")], size=(64, 64))

    cues, warnings = read(clip)

    assert (spans(cues), warnings) == (expected, ()), why
    assert {(c.language, c.clock, c.source) for c in cues} == {("fra", "container", "container")}


def test_reader_reads_every_track_and_says_a_cue_once():
    tracks = [TextTrack(WORDS[:1], language=language) for language in ("eng", "eng", "deu")]

    cues, _ = read(make_clip(container="matroska", texts=tracks, size=(64, 64)))

    assert [(c.text, c.language) for c in cues] == [("one", "deu"), ("one", "eng")]


def matroska_track(codec: str, payloads: list[bytes], header: bytes | None = None) -> bytes:
    """A Matroska file with one text track, a payload each second."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as muxer:
        stream = muxer.add_stream(codec)
        stream.metadata["language"] = "fra"
        stream.codec_context.subtitle_header = header or b"[Script Info]\n"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for i, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = i * 1000
            packet.duration = 1000
            muxer.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    ("payloads", "texts", "warned", "why"),
    [
        ([b"first\0\xde\xad\xbe\xef"], ["first"], False, "what follows a NUL is rubbish"),
        (["Ça, été".encode("cp1252"), "garçon".encode("cp1252")], ["Ça, été", "garçon"], True, "a code page"),
        ([b"\x1b[2Jx", b"", b"  "], ["[2Jx"], False, "no escapes; empty ones are dropped"),
    ],
)
def test_reader_takes_bad_payloads(payloads, texts, warned, why):
    cues, warnings = read(matroska_track("srt", payloads))

    assert [c.text for c in cues] == texts, why
    assert bool(warnings) is warned, why


def test_reader_reads_ass_behind_its_eighth_comma():
    header = b"[Script Info]\n[Events]\nFormat: Layer, Start, End, Style, Name, Effect, Text\n"

    cues, _ = read(matroska_track("ass", [b"0,0,Default,Ann,0,0,0,,{\\i1}a, b\\Nc"], header))

    assert spans(cues) == [(0, 1000, "a, b\nc")]


def test_reader_reads_webvtt_boxes_in_mp4():
    said = b"x" * 30
    track = TextTrack((Line(100, 900, said.decode()),), codec="mov_text")
    clip = make_clip(container="mp4", texts=[track], size=(64, 64))
    payl = b"payl" + b"<i>hello</i>".ljust(16)
    box = (len(payl) + 12).to_bytes(4, "big") + b"vttc" + (len(payl) + 4).to_bytes(4, "big") + payl
    sample = len(said).to_bytes(2, "big") + said
    assert (len(box), clip.count(sample)) == (len(sample), 1)

    cues, _ = read(clip.replace(sample, box).replace(b"tx3g", b"wvtt"))

    assert spans(cues) == [(100, 900, "hello")]


def test_read_file_tracks_refuses_what_is_no_film(tmp_path):
    (tmp_path / "list.m3u8").write_text("#EXTM3U\nsecret.ts\n")
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 50)

    with pytest.raises(UnsupportedMediaError, match=r"list\.m3u8"):
        read_file_tracks(tmp_path / "list.m3u8")
    with pytest.raises(DamagedMediaError):
        read_file_tracks(tmp_path / "cut.mp4")


NASA = [(210, 4260), (4260, 8350), (8350, 12470), (12470, 16570)]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "times", "warning", "why"),
    [
        ("exo_mkv_sample_with_srt.mkv", [(0, 1234)], "", "SubRip"),
        ("exo_mkv_sample_with_null_terminated_srt.mkv", [(0, 1234)], "", "rubbish behind a NUL"),
        ("exo_mkv_sample_with_overlapping_srt.mkv", [(100, 330), (150, 550), (200, 450)], "", "overlaps"),
        ("exo_mkv_sample_with_ass_subtitles.mkv", [(0, 500)], "", "ASS"),
        ("exo_mkv_sample_with_vtt_subtitles.mkv", [(0, 1234)], "", "WebVTT that FFmpeg has no name for"),
        ("nasa_13013.mp4", NASA, "", "two equal mov_text tracks"),
        ("exo_mkv_sample_with_pgs_subtitles.mkv", [], "the PGS (bitmap) subtitle track 'eng' is not read", "pictures"),
        ("popeye_p1_hevc_pgs.mkv", [], "the PGS (bitmap) subtitle track 'eng' is not read", "pictures"),
        ("popeye_p1_sd_vobsub.mkv", [], "the VobSub (bitmap) subtitle track 'eng' is not read", "pictures"),
        ("tsduck_012_french_teletext.ts", [], "the teletext subtitle track 'fra' is not read", "told by a byte"),
        ("shaka_captions-test.ts", [], "", "no text track"),
    ],
)
def test_read_file_tracks_reads_real_films(name, times, warning, why):
    cues, warnings = read_file_tracks(SHARED / "media" / "subs" / name)

    assert [(c.start_ms, c.end_ms) for c in cues] == times, why
    assert len(warnings) == bool(warning), why
    assert "".join(warnings).startswith(warning), why


@pytest.mark.shared
def test_read_file_tracks_equals_the_document_that_was_muxed():
    from framecue.media.documents import read_document

    cues, _ = read_file_tracks(SHARED / "media" / "derived" / "popeye_p1_hevc_srt_pgs.mkv")

    assert spans(cues) == spans(read_document(SHARED / "media" / "subs" / "popeye_p1.eng.srt").cues)
