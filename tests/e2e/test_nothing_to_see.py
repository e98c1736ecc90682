"""The default model behind whole streams: what shows nothing, or is asked for nothing, is `unknown` and no event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice

import pytest

from framecue.analysis.settings import MachineSettings
from framecue.media.pool import DecoderPool
from framecue.media.segmenting import cut
from framecue.models.protocols import Model
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import Event
from framecue.schemas.rules import UNKNOWN, EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CueIn, SegmentHeaders, segment_headers
from framecue.timeline import to_ms
from framecue_services.cli.embedded import EmbeddedPipeline
from tests.support.clips import make_clip
from tests.support.footage import footage
from tests.support.pictures import SIZES
from tests.support.prompts import GIBBERISH, LABELS

pytestmark = pytest.mark.model

Piece = tuple[Fraction, bytes]
"""Where it begins, in seconds of the stream."""
CLIPS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")
SPOKEN = (
    "The traffic is heavy this morning, take care.",
    "What a lovely day.",
    "I am late for my own wedding!",
    "They will not start without me.",
)


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2) as pool:
        yield pool


def footage_of(*names: str) -> list[Piece]:
    """The first two pieces of each, one after the other."""
    pieces, at = list[Piece](), Fraction(0)
    for name in names:
        for piece in islice(cut(footage(name), target_seconds=Fraction(2)), 2):
            pieces.append((at, piece.data))
            at += piece.end - piece.start
    return pieces


def asked(*phrases: str) -> tuple[EventRule, ...]:
    """An event for each phrase, in picture or in words."""
    return tuple(EventRule(name=f"event {i}", picture=(p,), text=(p,)) for i, p in enumerate(phrases))


def run(
    model: Model, decoders: DecoderPool, clips: Iterable[Piece], rules: RuleSet, spoken: Iterable[str] = ()
) -> tuple[list[Annotation], list[Event]]:
    """The last annotations and the rules' events of a stream of `clips`, with a line of `spoken` in each."""
    lines = iter(spoken)
    with EmbeddedPipeline(model, decoders=decoders, machine=MachineSettings()) as pipeline:
        pipeline.set_rules(rules)
        for i, (start, data) in enumerate(clips):
            at_ms = to_ms(start)
            cues = [CueIn(start_ms=at_ms + 200, end_ms=at_ms + 1800, text=line) for line in islice(lines, 1)]
            said = SegmentHeaders(session="s", seq=i, start=start, cues=tuple(cues))
            pipeline.push_segment("cam1", data, headers=segment_headers(said))
        results = list(pipeline.finish("cam1"))
    last = {r.id: r for r in results if isinstance(r, Annotation)}
    return list(last.values()), [r for r in results if isinstance(r, Event) and not r.rule.startswith("framecue.")]


def test_gibberish_names_nothing_and_fires_nothing_on_real_streams(default_model: Model, decoders: DecoderPool) -> None:
    pieces = footage_of(*CLIPS)
    rules = RuleSet(scenes=(SceneRule(labels=GIBBERISH),), events=asked(*GIBBERISH))
    annotations, events = run(default_model, decoders, pieces, rules, SPOKEN)
    assert len(annotations) >= len(pieces)
    assert {a.scene.label for a in annotations if a.scene} == {UNKNOWN}
    assert {c.text for a in annotations for c in a.text.cues} == set(SPOKEN)
    assert events == []


def test_black_and_noise_in_three_sizes_are_unknown_and_fire_nothing(
    default_model: Model, decoders: DecoderPool
) -> None:
    drawn = [(pattern, (width, height)) for height, width in SIZES for pattern in ("black", "noise")]
    clips = [
        (Fraction(2 * i), make_clip(seconds=2, fps=4, size=size, pattern=pattern))
        for i, (pattern, size) in enumerate(drawn)
    ]
    rules = RuleSet(scenes=(SceneRule(labels=LABELS),), events=asked(*LABELS, *GIBBERISH))
    annotations, events = run(default_model, decoders, clips, rules)
    assert [len(a.frames) for a in annotations] == [4] * len(clips)
    assert [a.scene and a.scene.label for a in annotations] == [UNKNOWN] * len(clips)
    assert events == []


def test_swapped_labels_swap_the_outputs(default_model: Model, decoders: DecoderPool) -> None:
    pieces = footage_of("bikes.mp4")
    seen = []
    for first, second in (("city traffic", "a man in a suit"), ("a man in a suit", "city traffic")):
        rules = RuleSet(
            scenes=(SceneRule(labels=(first, second)),),
            events=(EventRule(name="first", picture=(first,)), EventRule(name="second", picture=(second,))),
        )
        seen.append(run(default_model, decoders, pieces, rules))
    (straight, (one,)), (swapped, (other,)) = ((a, {e.rule for e in events}) for a, events in seen)
    assert (one, other) == ("first", "second")
    assert {a.scene.label for a in straight if a.scene} - {UNKNOWN} == {"city traffic"}
    for a, b in zip(straight, swapped, strict=True):
        assert a.scene == b.scene
        assert [r.score for r in a.rules] == [r.score for r in b.rules][::-1]
