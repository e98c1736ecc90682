"""All stages in one process on real clips: what `analyze` and the embedded demo stand on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from framecue.analysis.settings import MachineSettings
from framecue.clock import FixedClock
from framecue.media.pictures import jpeg_to_rgb
from framecue.media.pool import DecoderPool
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, version
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CueIn, Headers, SegmentHeaders, segment_headers
from framecue_services.cli.embedded import EmbeddedPipeline
from tests.support.clips import Picture, make_clip
from tests.support.encoders import PALETTE, light_model

COLOURS = ("red", "red", "blue", "blue", "green", "green")
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "blue", "green")),),
    events=(
        EventRule(name="blue seen", picture=("blue",)),
        EventRule(name="goal said", text=("goal",)),
        EventRule(name="goal in blue", picture=("blue",), text=("goal",), combine="both", tolerance_ms=500),
    ),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(2) as decoders:
        yield decoders


def clip(colour: str, index: int) -> bytes:
    def draw(frame: int, at: Fraction) -> Picture:
        picture = np.full((90, 160, 3), PALETTE[colour], np.uint8)
        picture[frame % 90] //= 2  # something moves
        return picture

    return make_clip(seconds=2, fps=10, size=(160, 90), pattern=draw, start=Fraction(2 * index))


@pytest.fixture(scope="module")
def clips() -> list[bytes]:
    return [clip(colour, i) for i, colour in enumerate(COLOURS)]


def headers(index: int, *cues: CueIn, last: int = len(COLOURS) - 1) -> Headers:
    return segment_headers(
        SegmentHeaders(session="run", seq=index, start=Fraction(2 * index), cues=cues, end=index == last)
    )


def words(start_ms: int, end_ms: int, text: str) -> CueIn:
    return CueIn(start_ms=start_ms, end_ms=end_ms, text=text)


def pipeline(pool: DecoderPool, **more: object) -> EmbeddedPipeline:
    return EmbeddedPipeline(light_model(), decoders=pool, machine=MachineSettings(), **more)  # type: ignore[arg-type]


def run(pool: DecoderPool, clips: Iterable[bytes], *cues: CueIn, stream: str = "cam1") -> list[PublishedResult]:
    with pipeline(pool) as pipe:
        pipe.set_rules(RULES)
        out: list[PublishedResult] = []
        for i, data in enumerate(clips):
            here = [c for c in cues if c.start_ms is not None and 2000 * i <= c.start_ms < 2000 * (i + 1)]
            pipe.push_segment(stream, data, headers=headers(i, *here))
            out += pipe.pump()
        return out


def last_annotations(results: Iterable[PublishedResult]) -> list[Annotation]:
    found = {r.id: r for r in results if isinstance(r, Annotation)}
    return sorted(found.values(), key=lambda a: a.start_ms)


def closed(results: Iterable[PublishedResult]) -> list[tuple[str, int, int | None]]:
    ours = {r.id: r for r in results if isinstance(r, Event) and not r.rule.startswith("framecue.")}
    return sorted((e.rule, e.start_ms, e.end_ms) for e in ours.values() if e.phase == "ended")


def test_a_film_with_words_gives_scenes_events_and_captions(pool: DecoderPool, clips: list[bytes]) -> None:
    results = run(pool, clips, words(4500, 5500, "goal"))
    assert [a.scene.label for a in last_annotations(results) if a.scene] == list(COLOURS)
    assert [a.text.state for a in last_annotations(results)] == ["none", "none", *["present"] * 1, *["silent"] * 3]
    assert closed(results) == [("blue seen", 4000, 8000), ("goal in blue", 4000, 8000), ("goal said", 4000, 6000)]
    captions = [r for r in results if isinstance(r, Caption)]
    assert "Mostly red" in (captions[0].text or "")
    assert {c.id for c in captions} <= {r.id for r in results if isinstance(r, Annotation)}


def test_results_come_in_versions_without_gaps(pool: DecoderPool, clips: list[bytes]) -> None:
    results = run(pool, clips, words(4500, 5500, "goal"))
    seen: dict[tuple[type, str], int] = {}
    for result in results:
        key = (type(result), result.id)
        assert version(result) == seen.get(key, 0) + 1
        seen[key] = version(result)
    firsts = [r.start_ms for r in results if isinstance(r, Annotation) and r.revision == 1]
    assert firsts == [2000 * i for i in range(len(COLOURS))]


def test_two_runs_are_equal_to_the_byte_and_know_no_time(pool: DecoderPool, clips: list[bytes]) -> None:
    runs = [[r.model_dump_json() for r in run(pool, clips, words(4500, 5500, "goal"))] for _ in range(2)]
    assert runs[0] == runs[1]
    assert all('"published_at":null' in line and '"epoch":0' in line for line in runs[0])


def test_pushing_all_at_once_gives_the_same_results(pool: DecoderPool, clips: list[bytes]) -> None:
    with pipeline(pool) as pipe:
        pipe.set_rules(RULES)
        for i, data in enumerate(clips):
            pipe.push_segment("cam1", data, headers=headers(i))
        at_once = list(pipe.pump())
    one_by_one = run(pool, clips)
    for kind in (Annotation, Event, Caption):
        assert [r for r in at_once if isinstance(r, kind)] == [r for r in one_by_one if isinstance(r, kind)]


def test_the_same_film_under_two_ids_differs_only_by_its_words(pool: DecoderPool, clips: list[bytes]) -> None:
    silent, spoken = run(pool, clips, stream="a"), run(pool, clips, words(4500, 5500, "goal"), stream="b")
    pictures = [
        [(a.scene, [r.picture for r in a.rules]) for a in last_annotations(results)] for results in (silent, spoken)
    ]
    assert pictures[0] == pictures[1]
    assert [rule for rule, _, _ in closed(silent)] == ["blue seen"]
    assert [rule for rule, _, _ in closed(spoken)] == ["blue seen", "goal in blue", "goal said"]


def test_late_words_revise_their_windows(pool: DecoderPool, clips: list[bytes]) -> None:
    with pipeline(pool) as pipe:
        pipe.set_rules(RULES)
        for i, data in enumerate(clips[:3]):
            pipe.push_segment("cam1", data, headers=headers(i))
        first = list(pipe.pump())
        pipe.push_text("cam1", b"1\n00:00:02,600 --> 00:00:03,400\ngoal\n")
        revised = list(pipe.pump())
    assert {r.revision for r in first if isinstance(r, Annotation)} == {1}
    assert [(r.start_ms, r.revision, r.text.state) for r in revised if isinstance(r, Annotation)] == [
        (2000, 2, "present")
    ]


def test_finish_closes_what_did_not_say_that_it_ends(pool: DecoderPool, clips: list[bytes]) -> None:
    with pipeline(pool) as pipe:
        pipe.set_rules(RULES)
        for i, data in enumerate(clips[:3]):
            pipe.push_segment("cam1", data, headers=headers(i))
        results = list(pipe.finish("cam1"))
        assert closed(results) == [("blue seen", 4000, 6000)]
        assert last_annotations(results)[-1].settled_until_ms == 6000
        assert list(pipe.finish("cam1")) == []


def test_every_picture_that_a_result_names_can_be_fetched(pool: DecoderPool, clips: list[bytes]) -> None:
    with pipeline(pool) as pipe:
        for i, data in enumerate(clips):
            pipe.push_segment("cam1", data, headers=headers(i))
        annotations = last_annotations(pipe.pump())
        for annotation, colour in zip(annotations, COLOURS, strict=True):
            for ref in annotation.frames:
                jpeg = pipe.picture(ref)
                assert jpeg is not None
                middle = jpeg_to_rgb(jpeg)[45, 80].astype(int)
                assert np.abs(middle - PALETTE[colour]).max() < 40
        assert pipe.picture(FrameRef(partition=0, offset=10_000, index=0, at_ms=0)) is None


def test_old_pictures_leave_memory_and_results_stay_the_same(pool: DecoderPool, clips: list[bytes]) -> None:
    with pipeline(pool, media_bytes=0) as pipe:
        pipe.set_rules(RULES)
        for i, data in enumerate(clips):
            pipe.push_segment("cam1", data, headers=headers(i))
        results = list(pipe.pump())
        frames = [ref for a in last_annotations(results) for ref in a.frames]
        assert frames
        assert {pipe.picture(ref) for ref in frames} == {None}
    assert last_annotations(results) == last_annotations(run(pool, clips))
    assert {c.status for c in results if isinstance(c, Caption)} == {"skipped"}


def test_a_segment_that_cannot_be_used_costs_its_window_only(pool: DecoderPool, clips: list[bytes]) -> None:
    torn = [*clips[:1], b"#EXTM3U\n", *clips[2:]]
    with pipeline(pool) as pipe:
        for i, data in enumerate(torn):
            pipe.push_segment("cam1", data, headers=headers(i))
            list(pipe.pump())
        letters = pipe.broker.consumer("test", ["deadletter"]).poll(10)
        shown = pipe.store.timeline("cam1")
    assert [r.value for r in letters] == [b"#EXTM3U\n"]
    assert [(a.start_ms, a.degraded) for a in shown] == [
        (2000 * i, "gap" if i == 1 else None) for i in range(len(COLOURS))
    ]


def test_the_store_shows_what_is_on_with_the_picture_of_an_event(pool: DecoderPool, clips: list[bytes]) -> None:
    clock = FixedClock(1_700_000_000_000)
    with pipeline(pool, clock=clock, partitions=3) as pipe:
        pipe.set_rules(RULES)
        for i, data in enumerate(clips[:4]):
            pipe.push_segment("cam1", data, headers=headers(i))
            clock.advance(2000)
            list(pipe.pump())
        latest = pipe.store.latest("cam1")
        assert latest is not None
        assert latest.annotation is not None
        assert (latest.annotation.start_ms, latest.annotation.epoch) == (6000, 1_700_000_000_000)
        assert latest.annotation.published_at == "2023-11-14T22:13:28.000Z"
        (event,) = [e for e in latest.open_events if not e.rule.startswith("framecue.")]
        assert event.rule == "blue seen"
        evidence = pipe.store.evidence(event.id)
        assert evidence is not None
        assert jpeg_to_rgb(evidence)[45, 80, 2] > 200
        assert pipe.store.streams() == ("cam1",)
