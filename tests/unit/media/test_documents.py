"""Subtitle documents: a table per format, real documents, and hostile ones."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.errors import SubtitleError
from framecue.media.documents import DOCUMENT_MAX_BYTES, parse_document, read_document
from tests.support.paths import SHARED

ASS = "[Script Info]\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
TT = '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" {}><body>{}</body></tt>'
SRT = "1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n00:00:03,000 --> 00:00:04,000\ntwo\n"


def spans(text: str | bytes, **hints: str) -> list[tuple[int, int, str]]:
    document = parse_document(text.encode() if isinstance(text, str) else text, **hints)
    return [(c.start_ms, c.end_ms, c.text) for c in document.cues]


SUBRIP = [
    (SRT, [(1000, 2000, "one"), (3000, 4000, "two")], "as it should be"),
    (SRT.replace("\n", "\r\n"), [(1000, 2000, "one"), (3000, 4000, "two")], "CRLF leaves no CR"),
    (SRT.replace(",", "."), [(1000, 2000, "one"), (3000, 4000, "two")], "dot for comma"),
    (SRT.replace("00:00:", "00:"), [(1000, 2000, "one"), (3000, 4000, "two")], "no hours"),
    ("00:01,000 --> 00:02,000\n42\n\n00:03,000-->00:04,000\nb", [(1000, 2000, "42"), (3000, 4000, "b")], "no index"),
    ("1\n00:01,0 --> 00:02,0\na\n2\n00:03,0 --> 00:04,0\nb", [(1000, 2000, "a"), (3000, 4000, "b")], "no blank line"),
    ("1\n00:01,0 --> 00:02,0\na\n\nb\n\n2\n00:03,0 --> 00:04,0\nc", [(1000, 2000, "a\nb"), (3000, 4000, "c")], "blank"),
    ("1\n00:01,0 --> 00:02,0\na\n\n2\n", [(1000, 2000, "a")], "breaks off after an index"),
    ("1\n00:01,0 --> 00:02,0\nnumber:\n42", [(1000, 2000, "number:\n42")], "a last line that is a number is text"),
    ("1\n00:01,0 -->\na\n\n2\n00:03,0 --> 00:04,0\nb", [(1000, 3000, "a"), (3000, 4000, "b")], "open end: the next"),
    ("1\n00:01,0 -->\na", [(1000, 11000, "a")], "open end of the last: ten seconds"),
    ("1\n00:05,0 --> 00:02,0\na", [(5000, 15000, "a")], "an end before the start counts as open"),
    ("2\n00:03,0 --> 00:04,0\nb\n\n1\n00:01,0 --> 00:02,0\na", [(1000, 2000, "a"), (3000, 4000, "b")], "sorted"),
    ("1\n00:01,0 --> 00:03,0\na\n\n2\n00:02,0 --> 00:04,0\nb", [(1000, 3000, "a"), (2000, 4000, "b")], "overlap kept"),
    ("1\n00:01,0 --> 00:02,0 X1:0 Y1:9\n{\\an8}<i>a</i>\\Nb", [(1000, 2000, "a\nb")], "styling goes"),
    ("1\n00:01,0 --> 00:02,0\n<sighs> 1 < 2 > 0", [(1000, 2000, "<sighs> 1 < 2 > 0")], "words in brackets stay"),
    (
        "1\n00:01,0 --> 00:02,0\n&lt;b&gt; &amp;amp; &#27;[2J",
        [(1000, 2000, "<b> &amp; [2J")],
        "entities once, then clean",
    ),
    ("1\n00:01,0 --> 00:02,0\nlook --> there", [(1000, 2000, "look --> there")], "an arrow in the words"),
    ("1\n00:01,0 --> 00:02,0\n \n\n2\n00:03,0 --> 00:04,0\nb", [(3000, 4000, "b")], "empty cues are dropped"),
]
WEBVTT = [
    ("WEBVTT\n\n00:01.000 --> 00:02.000 align:start\na\nb\n\nc", [(1000, 2000, "a\nb")], "a blank line ends the text"),
    ("WEBVTT - x\nKind: captions\n\nid\n00:01.000-->00:02.000\na", [(1000, 2000, "a")], "identifier, odd spaces"),
    ("WEBVTT\n\nNOTE\n00:01.000 --> 00:02.000\nno\n\n00:03.000 --> 00:04.000\nb", [(3000, 4000, "b")], "notes"),
    ("WEBVTT\n\nSTYLE\n::cue {}\n\nREGION\nid:r\n\n00:03.000 --> 00:04.000\nb", [(3000, 4000, "b")], "styles"),
    (
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>a <c.x>b</c> <00:01.500>c</v> &amp;",
        [(1000, 2000, "a b c &")],
        "tags",
    ),
    ("WEBVTT\n\n100:00:01.000 --> 100:00:02.000\na", [(360_001_000, 360_002_000, "a")], "hours have no bound"),
    ("WEBVTT", [], "an empty piece of a live playlist is no error"),
    ("WEBVTT\n00:01.000 --> 00:02.000\na", [(1000, 2000, "a")], "no blank line after the header"),
]
SUBSTATION = [
    (
        ASS + "Dialogue: 0,0:00:01.50,0:00:02.25,D,,0,0,0,,{\\k20}a, {\\i1}b\\Nc",
        [(1500, 2250, "a, b\nc")],
        "karaoke, commas",
    ),
    (ASS + "Comment: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,a", [], "comments are not shown"),
    (ASS + "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}a", [(1000, 2000, "a")], "drawings"),
    ("[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,a, b", [(1000, 2000, "a, b")], "own order"),
    ("Dialogue: Marked=0,0:00:01.00,0:00:02.00,D,,0,0,0,,a", [(1000, 2000, "a")], "a piece without its header"),
]
TTML = [
    (TT.format("", '<div begin="10s"><p begin="1s" end="2s">a<br/>b</p></div>'), [(11000, 12000, "a\nb")], "nested"),
    (TT.format("", '<p begin="00:00:01.5" dur="500ms">a\n  b</p>'), [(1500, 2000, "a b")], "dur; white space"),
    (TT.format('ttp:tickRate="10000000"', '<p begin="15000000t" end="20000000t">a</p>'), [(1500, 2000, "a")], "ticks"),
    (TT.format('ttp:frameRate="25"', '<p begin="00:00:01:05" end="50f">a</p>'), [(1200, 2000, "a")], "frames"),
    (
        TT.format('ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"', '<p begin="24f" end="48f">a</p>'),
        [(1001, 2002, "a")],
        "the rate is exact",
    ),
    (
        TT.format("", '<p begin="1s" end="9s">a</p><p begin="2s" end="3s">b</p>'),
        [(1000, 9000, "a"), (2000, 3000, "b")],
        "overlap",
    ),
    (
        TT.format("", '<div timeContainer="seq"><p dur="1s">a</p><p dur="2s">b</p></div>'),
        [(0, 1000, "a"), (1000, 3000, "b")],
        "a sequence counts on",
    ),
    (
        TT.format("", '<p begin="1s" end="9s"><span end="2s">a</span><span begin="2s">b</span></p>'),
        [(1000, 3000, "a"), (3000, 9000, "b")],
        "timed spans are cues of their own, clipped by their parent",
    ),
    (TT.format("", '<div end="2s"><p begin="1s" end="5s">a</p></div>'), [(1000, 2000, "a")], "the parent's end clips"),
    (TT.format("", "<p begin='1s' end='2s'>a<metadata>no</metadata></p>"), [(1000, 2000, "a")], "metadata is not said"),
    (
        '<?xml version="1.0"?><x:tt xmlns:x="u"><x:body><x:p begin="1s" end="2s">a</x:p></x:body></x:tt>',
        [(1000, 2000, "a")],
        "prefix",
    ),
    (TT.format("", "<p begin='1s' end='2s'>a</p><p>")[:-9], [(1000, 2000, "a")], "a document that breaks off"),
]
JSON = [
    ('[{"start_ms":1000,"end_ms":2000,"text":"a"}]', [(1000, 2000, "a")], "a list"),
    ('{"start_ms":1000,"end_ms":2000,"text":"a\\u001b[2J"}', [(1000, 2000, "a[2J")], "one; no escapes"),
    ('{"at":"1970-01-01T00:00:01.5Z","text":"a"}', [(1500, 1500, "a")], "an instant of wall time"),
    ("[]", [], "nothing to say"),
]


@pytest.mark.parametrize(
    ("text", "expected", "why", "kind"),
    [
        (*row, kind)
        for kind, rows in (("srt", SUBRIP), ("vtt", WEBVTT), ("ass", SUBSTATION), ("ttml", TTML), ("json", JSON))
        for row in rows
    ],
)
def test_parse_document_reads_each_format(text, expected, why, kind):
    assert spans(text) == expected, why
    assert parse_document(text.encode()).format == kind


def test_parse_document_places_webvtt_on_the_mpegts_clock():
    text = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:01.000,MPEGTS:900001\n\n00:01.000 --> 00:02.000\na"

    document = parse_document(text.encode())

    assert document.clock == document.cues[0].clock == "mpegts"
    assert spans(text) == [(10_000, 11_000, "a")]
    assert spans(text.replace("LOCAL:00:00:01.000,MPEGTS:900001", "MPEGTS:90045,LOCAL:00:00:00.000"))[0][0] == 2001


@pytest.mark.parametrize(
    ("text", "clock", "source", "why"),
    [
        ("Goal for the home side!", "live", "live", "a line of text"),
        ("[applause]", "live", "live", "not JSON, though it begins like it"),
        ("<i>so</i> --> it goes", "live", "live", "neither XML nor a time line"),
        ('{"at":"2026-01-31T12:00:00+01:00","text":"a"}', "wall", "document", "wall time"),
        (SRT, "start", "document", "media time"),
    ],
)
def test_parse_document_says_how_times_are_meant(text, clock, source, why):
    document = parse_document(text.encode(), language="en")

    cue = document.cues[0]
    assert (document.clock, cue.clock, cue.source, cue.language) == (clock, clock, source, "en"), why


@pytest.mark.parametrize(
    ("text", "language", "why"),
    [
        (TT.format('xml:lang="de"', '<p begin="1s" end="2s">a</p>'), "de", "the document's own"),
        (TT.format('xml:lang="de"', '<p xml:lang="fr" begin="1s" end="2s">a</p>'), "fr", "the nearest"),
        ("WEBVTT\nLanguage: it\n\n00:01.000 --> 00:02.000\na", "it", "a header that players write"),
        ('{"start_ms":0,"end_ms":1,"text":"a","language":"es"}', "es", "the cue's own"),
        (SRT, "en", "SubRip has none: the header's"),
    ],
)
def test_parse_document_keeps_the_language(text, language, why):
    assert parse_document(text.encode(), language="en").cues[0].language == language, why


@pytest.mark.parametrize(
    ("data", "content_type", "warning", "why"),
    [
        (SRT.encode(), "text/vtt", "says WebVTT, the content is SubRip", "the content decides"),
        (SRT.replace("one", "été").encode("cp1252"), None, "read as cp1252", "a guess is reported"),
        ((SRT + "\n3\nsoon --> later\nx").encode(), None, "1, the first at line 10", "what is bad is counted"),
        (SRT.replace("02,000", "00,500").encode(), None, "end before they start: 1", "mended, and said"),
        (b"WEBVTT\nX-TIMESTAMP-MAP=x\n\n00:01.000 --> 00:02.000\na", None, "X-TIMESTAMP-MAP", "a map that is none"),
        (
            TT.format('ttp:timeBase="smpte"', "<p begin='1s' end='2s'>a</p>").encode(),
            None,
            "smpte",
            "read as media time",
        ),
        (
            TT.format("", "<p begin='soon'>b</p><p begin='1s' end='2s'>a</p>").encode(),
            None,
            "first at line 1",
            "bad time",
        ),
    ],
)
def test_parse_document_warns_where_it_mends(data, content_type, warning, why):
    document = parse_document(data, content_type=content_type)

    assert len(document.warnings) == 1, why
    assert warning in document.warnings[0], why
    assert document.cues


@pytest.mark.parametrize(
    ("data", "said", "why"),
    [
        (b"", "empty", "nothing"),
        (b"\x00" * 50, "empty", "nothing but padding"),
        (b"PG" + b"\0" * 8 + b"\x16\0\x13", "bitmap", "PGS"),
        (b"\0\0\x01\xbaxxxx", "bitmap", "VobSub"),
        (b"# VobSub index file, v7", "bitmap", "its index"),
        (b"\x1aE\xdf\xa3xxxx", "film", "Matroska"),
        (b"PK\x03\x04xxxx", "archive", "zip"),
        (b"{10}{20}text", "frames", "MicroDVD"),
        (b"#EXTM3U\n#EXT-X-VERSION:3", "playlist", "HLS"),
        (bytes(range(256)) * 4, "binary", "noise"),
        (b"1\nsoon --> later\nx", "cannot be understood", "no time can be read"),
        (b'{"start_ms":5,"end_ms":1,"text":"a"}', "ends", "JSON that does not hold together"),
        (
            b'{"start_ms":99999999999999999999,"end_ms":99999999999999999999,"text":"a"}',
            "less than or equal to",
            "no int64",
        ),
        (b'<?xml version="1.0"?><html/>', "'tt'", "other XML"),
        (b'<?xml version="1.0"?><!DOCTYPE tt [<!ENTITY a "b">]><tt>&a;</tt>', "entities", "refused, not expanded"),
        (b'<?xml version="1.0"?><!DOCTYPE tt SYSTEM "file:///etc/passwd"><tt>&a;</tt>', "XML", "nothing is fetched"),
        (b"<tt>" + b"<div>" * 100_000, "deeper", "nesting is bounded"),
        (b"x" * (DOCUMENT_MAX_BYTES + 1), "4 MiB", "size is bounded"),
        (b"x" * 10_001, "10000 characters", "a live line is bounded"),
        (b"00:01.000 --> 00:02.000\na\n\n" * 20_001, "20000 cues", "the number of cues is bounded"),
    ],
)
def test_parse_document_refuses_with_a_sentence(data, said, why):
    with pytest.raises(SubtitleError) as refused:
        parse_document(data)

    assert said in refused.value.reason, why


def test_parse_document_refuses_text_that_its_content_type_denies():
    with pytest.raises(SubtitleError, match="no WebVTT"):
        parse_document(b"hello", content_type="text/vtt; charset=utf-8")


def test_parse_document_believes_the_declared_charset():
    data = SRT.replace("one", "Привет").encode("koi8-r")

    assert spans(data, content_type="application/x-subrip; charset=koi8-r")[0][2] == "Привет"


@pytest.mark.parametrize(
    "hostile",
    [
        "1\n00:01,0 --> 00:02,0\n" + "\n" * 500_000 + "x",
        "1\n00:01,0 --> 00:02,0\n" + "<" * 500_000,
        "1\n00:01,0 --> 00:02,0\n" + "{\\" * 250_000,
        "1\n00:01,0 --> 00:02,0\n" + "< i" * 150_000,
        "WEBVTT\n\n00:01.0 --> 00:02.0\n" + "<a " * 150_000 + "&" * 100_000,
        "00:01,0 -->" + " " * 500_000 + "x\na",
        ASS + "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,," + "{\\p1" * 100_000,
        "<tt " + " ".join(f'a{i}="1"' for i in range(50_000)) + "/>",
    ],
    ids=["blank lines", "brackets", "braces", "spaced tags", "webvtt tags", "spaces", "drawings", "attributes"],
)
def test_parse_document_takes_linear_time(hostile):
    began = time.process_time()
    with suppress(SubtitleError):
        parse_document(hostile.encode())

    assert time.process_time() - began < 3, "half a megabyte; a quadratic pattern takes minutes"


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=300), seed=st.sampled_from([SUBRIP, WEBVTT, SUBSTATION, TTML, JSON]), at=st.integers(0, 400)
)
def test_parse_document_raises_nothing_else_when_a_document_is_mutated(data, seed, at):
    document = seed[0][0].encode()
    for hostile in (data, document[:at] + data + document[at:], document[:at] + data):
        try:
            parsed = parse_document(hostile)
        except SubtitleError:
            continue
        else:
            assert [c.start_ms for c in parsed.cues] == sorted(c.start_ms for c in parsed.cues)
            assert all(c.end_ms >= c.start_ms and c.text.strip() for c in parsed.cues)


def test_read_document_names_the_file(tmp_path):
    (tmp_path / "notes.srt").write_text("only words")

    with pytest.raises(SubtitleError, match=r"notes\.srt is no subtitle document"):
        read_document(tmp_path / "notes.srt")
    with pytest.raises(SubtitleError, match=r"cannot be opened"):
        read_document(tmp_path / "absent.srt")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "kind", "count", "first", "why"),
    [
        ("popeye_p1.eng.srt", "srt", 14, (0, 4000, "[barking and roaring]"), "byte order mark, italics"),
        ("popeye_p2.eng.srt", "srt", 16, (0, 2000, "[laughing]"), "byte order mark"),
        (
            "tsduck_012_expected.srt",
            "srt",
            9,
            (2160, 7120, "Un train met dix secondes\npour dépasser un point donné."),
            "",
        ),
        ("popcorn_unit.srt", "srt", 10, (2400, 5200, "[Background Music Playing]"), "dots, settings, tags"),
        (
            "popcorn_unit.vtt",
            "vtt",
            9,
            (460, 20000, "A bad cue, ms are not 3 digits. Should be ignored"),
            "all are words",
        ),
        (
            "popcorn_data.ssa",
            "ass",
            3,
            (2400, 7200, "Senator, we're\nmaking our final approach into Coruscant."),
            "karaoke",
        ),
        ("popcorn_data.ttml", "ttml", 10, (1120, 5450, "This is a subtitle on a separate target."), "old namespace"),
        (
            "exo_dash_standalone-ttml_sample.xml",
            "ttml",
            3,
            (20, 500, "First Subtitle after 20ms of silence"),
            "overlap",
        ),
        ("exo_dash_standalone-webvtt_sample.vtt", "vtt", 2, (20, 234, "This is the first subtitle."), "header comment"),
        ("shaka_hls_text/subtitle.vtt", "vtt", 3, (600, 2880, "Heute haben wir einen wesentlichen Meilenstein"), ""),
    ],
)
def test_read_document_reads_real_documents(name, kind, count, first, why):
    document = read_document(SHARED / "media" / "subs" / name)

    cue = document.cues[0]
    assert (document.format, len(document.cues), (cue.start_ms, cue.end_ms, cue.text)) == (kind, count, first), why
