"""What DESIGN promises of whole streams, seen from outside: real segments through every stage, only the model is light.

The film is ten seconds each of red, green and blue with a line of words in every part; a moving bar keeps it alive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from framecue.analysis.settings import MachineSettings
from framecue.media.pool import DecoderPool
from framecue.media.segmenting import CutSegment, cut
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.rules import RuleSet, rules_from_yaml
from framecue.schemas.segment import CueIn, Headers, SegmentHeaders, segment_headers
from framecue.schemas.topics import DEADLETTER
from framecue_services.cli.embedded import EmbeddedPipeline
from tests.support.clips import make_clip
from tests.support.encoders import PALETTE, light_model

SECONDS = 30
PARTS = ("red", "green", "blue")
RULES = rules_from_yaml("""
scenes:
  - labels: [red, green, blue]
events:
  - {name: green, picture: green, for: 4s}
  - {name: greeting, text: [/hello/]}
  - {name: named, picture: green, text: [/green/], combine: both}
""")
CUES = (
    CueIn(start_ms=1_000, end_ms=3_500, text="hello there"),
    CueIn(start_ms=12_500, end_ms=14_200, text="now it is green"),
    CueIn(start_ms=22_000, end_ms=24_000, text="and blue"),
)

Sent = tuple[bytes, Headers]


def draw(index: int, at: Fraction) -> np.ndarray:
    """The colour of the part, and a white bar that moves with every frame."""
    picture = np.empty((180, 320, 3), np.uint8)
    picture[:] = PALETTE[PARTS[int(at) // 10]]
    picture[:, (index * 7) % 300 : (index * 7) % 300 + 12] = 255
    return picture


def film(fps: int = 25) -> bytes:
    return make_clip(seconds=SECONDS, fps=fps, gop=2 * fps, bframes=2, container="mp4", pattern=draw)


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def pieces() -> list[CutSegment]:
    return list(cut(film(), target_seconds=Fraction(2), container="mpegts"))


@dataclass(frozen=True)
class Outcome:
    """What a subscriber is left with: the last of every annotation and event, and all that ever came."""

    annotations: dict[str, Annotation]
    events: dict[str, Event]
    all: tuple[Annotation | Event | Caption, ...]
    digests: dict[str, tuple[str, ...]]
    dead: int

    def closed(self, *rules: str) -> list[tuple[str, int, int | None, str | None, float | None]]:
        """The events that were not taken back, bar ids: rule, span, reason, peak."""
        kept = (e for e in self.events.values() if e.phase != "retracted" and (not rules or e.rule in rules))
        return sorted((e.rule, e.start_ms, e.end_ms, e.reason, e.peak) for e in kept)

    def final(self) -> list[dict[str, object]]:
        """The annotations bar what may differ: numbers, the settled mark, where pictures stand in the log."""
        out = []
        for a in sorted(self.annotations.values(), key=lambda a: (a.epoch, a.start_ms)):
            plain = a.model_dump(exclude={"revision", "settled_until_ms", "wall_at", "published_at", "frames"})
            out.append(plain | {"frames": [f.at_ms for f in a.frames], "pictures": self.digests[a.id]})
        return out


def run(
    decoders: DecoderPool,
    sent: Iterable[Sent],
    *,
    rules: RuleSet = RULES,
    stream: str = "cam1",
    texts: Sequence[Sent] = (),
    machine: MachineSettings = MachineSettings(),  # noqa: B008 (frozen)
) -> Outcome:
    """Pushes everything in the order given and collects what comes out."""
    with EmbeddedPipeline(light_model(), decoders=decoders, machine=machine) as pipeline:
        pipeline.set_rules(rules)
        results = list(pipeline.pump())
        for data, headers in texts:
            pipeline.push_text(stream, data, headers=headers)
        for data, headers in sent:
            pipeline.push_segment(stream, data, headers=headers)
            results += pipeline.pump()
        results += pipeline.finish(stream)
        annotations = {r.id: r for r in results if isinstance(r, Annotation)}
        digests = {
            a.id: tuple(hashlib.sha256(pipeline.picture(f) or b"").hexdigest()[:12] for f in a.frames)
            for a in annotations.values()
        }
        dead = len(pipeline.broker.consumer("test", [DEADLETTER.name]).poll(100))
    check_numbers(results)
    return Outcome(annotations, {r.id: r for r in results if isinstance(r, Event)}, tuple(results), digests, dead)


def check_numbers(results: Iterable[Annotation | Event | Caption]) -> None:
    """(id, revision) and (id, sequence) are unique and without gaps."""
    seen: dict[tuple[str, str], int] = {}
    for result in results:
        if isinstance(result, Caption):
            continue
        number = result.revision if isinstance(result, Annotation) else result.sequence
        key = (type(result).__name__, result.id)
        assert number == seen.get(key, 0) + 1, f"{result.id} went from {seen.get(key, 0)} to {number}"
        seen[key] = number


def tagged(segments: Sequence[CutSegment], *, session: str = "s1", cues: Sequence[CueIn] = CUES) -> list[Sent]:
    """As `push` sends them: numbered, timed, each cue with the segment it starts in."""
    out = []
    for n, piece in enumerate(segments):
        mine = [c for c in cues if piece.start * 1000 <= (c.start_ms or 0) < piece.end * 1000]
        headers = SegmentHeaders(
            session=session, seq=n, start=piece.start, cues=tuple(mine), end=n == len(segments) - 1
        )
        out.append((piece.data, segment_headers(headers)))
    return out


def bare(segments: Sequence[CutSegment]) -> list[Sent]:
    """As FFmpeg and any Kafka client send them: no headers."""
    return [(piece.data, ()) for piece in segments]


def swapped(sent: Sequence[Sent]) -> list[Sent]:
    """Neighbours in the wrong order: 1 0 3 2 …"""
    out = list(sent)
    for i in range(0, len(out) - 1, 2):
        out[i], out[i + 1] = out[i + 1], out[i]
    return out


def swapped_later(sent: Sequence[Sent]) -> list[Sent]:
    """As `swapped`, but the first comes first: without headers it says where media time 0 is."""
    return [sent[0], *swapped(sent[1:])]


def twice(sent: Sequence[Sent]) -> list[Sent]:
    return [s for s in sent for _ in range(2)]


def test_film_gives_scenes_and_events(decoders: DecoderPool, pieces: list[CutSegment]) -> None:
    seen = run(decoders, tagged(pieces))
    scenes = [a["scene"]["label"] for a in seen.final()]
    assert scenes == ["red"] * 5 + ["green"] * 5 + ["blue"] * 5
    assert [e[:4] for e in seen.closed("green", "greeting", "named")] == [
        ("green", 10_000, 20_000, "score"),
        ("greeting", 0, 4_000, "score"),
        ("named", 10_000, 20_000, "score"),
    ]
    assert [e[1] for e in seen.closed("framecue.shot_cut")] == [10_000, 20_000]
    assert not seen.closed("framecue.gap", "framecue.warning", "framecue.black", "framecue.frozen")


@pytest.mark.parametrize("fps", [24, 25, 30])
def test_same_results_when_cut_otherwise(decoders: DecoderPool, fps: int) -> None:
    """2, 6 and 10 s as TS, fragmented MP4 and Matroska: windows, pictures, words, scores and events are the same."""
    source = film(fps)
    outcomes = {
        (seconds, container): run(
            decoders, tagged(list(cut(source, target_seconds=Fraction(seconds), container=container)))
        )
        for seconds in (2, 6, 10)
        for container in ("mpegts", "mp4", "matroska")
    }
    reference = outcomes[2, "mpegts"]
    assert len(reference.annotations) == SECONDS // 2
    for how, outcome in outcomes.items():
        assert outcome.final() == reference.final(), how
        assert outcome.closed() == reference.closed(), how


@pytest.mark.parametrize(
    ("delivery", "headers"),
    [
        pytest.param(twice, tagged, id="twice, numbered"),
        pytest.param(twice, bare, id="twice, known by their digests"),
        pytest.param(swapped, tagged, id="swapped, placed by their start"),
        pytest.param(swapped_later, bare, id="swapped, placed by the clock of MPEG-TS"),
    ],
)
def test_same_results_when_delivered_oddly(decoders: DecoderPool, pieces: list[CutSegment], delivery, headers) -> None:
    straight, odd = run(decoders, headers(pieces)), run(decoders, delivery(headers(pieces)))
    assert odd.final() == straight.final()
    assert odd.closed() == straight.closed()
    assert {a.epoch for a in odd.annotations.values()} == {0}


@pytest.mark.parametrize("headers", [tagged, bare])
def test_one_gap_when_a_segment_is_lost(decoders: DecoderPool, pieces: list[CutSegment], headers) -> None:
    sent = headers(pieces)
    seen = run(decoders, sent[:4] + sent[5:])
    assert [e[:3] for e in seen.closed("framecue.gap")] == [("framecue.gap", 8_000, 10_000)]
    assert {a.epoch for a in seen.annotations.values()} == {0}
    assert [a.degraded for a in seen.annotations.values() if a.degraded] == ["gap"]


def test_stray_is_a_warning_and_closes_nothing(decoders: DecoderPool, pieces: list[CutSegment]) -> None:
    """A segment whose clock lies an hour away, in the middle of a stream without headers."""
    stray = make_clip(seconds=2, pattern=draw, start=Fraction(3600), container="mpegts")
    sent = bare(pieces)
    seen = run(decoders, [*sent[:7], (stray, ()), *sent[7:]])
    straight = run(decoders, sent)
    assert len(seen.closed("framecue.warning")) == 1
    assert seen.final() == straight.final()
    assert {a.epoch for a in seen.annotations.values()} == {0}


@pytest.mark.parametrize("second", [pytest.param("s2", id="another session"), pytest.param(None, id="no headers")])
def test_new_epoch_when_the_clock_is_at_zero_again(
    decoders: DecoderPool, pieces: list[CutSegment], second: str | None
) -> None:
    first = tagged(pieces[:6], session="s1") if second else bare(pieces[8:])
    again = tagged(pieces[:6], session=second) if second else bare(pieces[:8])
    seen = run(decoders, [*first, *again])
    assert {a.epoch for a in seen.annotations.values()} == {0, 1}
    assert next(a.start_ms for a in seen.annotations.values() if a.epoch == 1) == 0


def test_words_decide_when_pictures_are_equal(decoders: DecoderPool, pieces: list[CutSegment]) -> None:
    """The same film under two ids: only one is told that it is green, and says that the words made the difference."""
    told = run(decoders, tagged(pieces), stream="told")
    silent = run(decoders, tagged(pieces, cues=CUES[:1]), stream="silent")
    assert told.closed("named")
    assert not silent.closed("named")
    for a, b in zip(told.final(), silent.final(), strict=True):
        assert [r["picture"] for r in a["rules"]] == [r["picture"] for r in b["rules"]]
    evidence = next(e for e in told.events.values() if e.rule == "named").evidence
    assert evidence.picture is not None
    assert evidence.picture > 0.6
    assert evidence.text == 1
    assert [c.text for c in evidence.cues] == ["now it is green"]


def test_events_of_words_end_when_speech_stops(decoders: DecoderPool, pieces: list[CutSegment]) -> None:
    """A live-like source, tagged to the session, goes silent in the green part: text and both end, picture goes on."""
    rules = rules_from_yaml("""
events:
  - {name: seen, picture: green}
  - {name: said, text: [/green/]}
  - {name: meant, picture: green, text: [/green/], combine: both, tolerance: 0s}
""")
    cues = [CueIn(start_ms=at, end_ms=at + 1_900, text="green green") for at in range(10_000, 15_000, 2_000)]
    seen = run(decoders, tagged(pieces, cues=cues), rules=rules)
    ends = {e[0]: e[2] for e in seen.closed("seen", "said", "meant")}
    assert ends == {"seen": 20_000, "said": 16_000, "meant": 16_000}


def test_next_good_segment_is_analysed_after_a_bad_one(decoders: DecoderPool, pieces: list[CutSegment]) -> None:
    """Garbage, a playlist and half a segment cost dead letters, not the stream."""
    sent = tagged(pieces)
    bad: list[Sent] = [(b"garbage" * 99, ()), (b"#EXTM3U\nfile:///etc/passwd\n", ()), (b"", ())]
    seen = run(decoders, [*sent[:3], *bad, *sent[3:]])
    assert seen.dead == len(bad)
    assert seen.final() == run(decoders, sent).final()
