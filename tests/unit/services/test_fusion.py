"""Fusion as a stage: features and results leave together, in order, for the right streams."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from framecue.analysis.machine import Refused
from framecue.analysis.settings import MachineSettings
from framecue.analysis.words import PENDING_MAX
from framecue.broker.protocol import Message, Record
from framecue.broker.stage import Outputs
from framecue.clock import Clock, FixedClock
from framecue.models.protocols import Model
from framecue.schemas.annotation import Annotation
from framecue.schemas.codec import unpack_features, unpack_request
from framecue.schemas.deadletter import parse_dead_letter
from framecue.schemas.event import Event
from framecue.schemas.features import CueFeatures, RulesFeatures, SegmentFeatures
from framecue.schemas.media import ForgetMedia, RulesMedia, TextMedia, Tick
from framecue.schemas.results import read_result
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import parse_cues
from framecue_services.fusion.worker import FusionWorker, refused_letters
from tests.support.encoders import light_model
from tests.support.films import cue, media_log, segment, text
from tests.unit.services.test_embedding import Failing

RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "blue")),),
    events=(EventRule(name="goes blue", picture=("blue",)),),
)


def worker(clock: Clock | None = None, model: Model | None = None) -> FusionWorker:
    return FusionWorker(model or light_model(), settings=MachineSettings(), clock=clock)


def of(outputs: Outputs, topic: str) -> list[Message]:
    return [m for m in outputs.messages if m.topic == topic]


def annotations(outputs: Outputs) -> list[Annotation]:
    read = [read_result(m.topic, m.value) for m in of(outputs, "annotations")]
    return [a for a in read if isinstance(a, Annotation)]


def events(outputs: Outputs) -> list[Event]:
    read = [read_result(m.topic, m.value) for m in of(outputs, "events")]
    return [e for e in read if isinstance(e, Event) and not e.rule.startswith("framecue.")]


def film(stream: str = "cam1") -> list[object]:
    return [segment(i, [c] * 4, stream=stream, end=i == 3) for i, c in enumerate(("red", "red", "blue", "red"))]


def test_a_film_gives_scenes_and_events() -> None:
    outputs = worker().handle(media_log(RulesMedia(rules=RULES), *film()))
    last = {a.start_ms: a for a in annotations(outputs)}
    assert [(s, a.scene.label) for s, a in sorted(last.items()) if a.scene] == [
        (0, "red"),
        (2000, "red"),
        (4000, "blue"),
        (6000, "red"),
    ]
    assert [(e.phase, e.start_ms, e.end_ms) for e in events(outputs)] == [
        ("started", 4000, None),
        ("ended", 4000, 6000),
    ]


def test_features_leave_before_the_results_that_rest_on_them() -> None:
    log = media_log(RulesMedia(rules=RULES), *film())
    outputs = worker().handle(log)
    topics = [m.topic for m in outputs.messages]
    assert topics[:3] == ["features", "features", "annotations"]
    features = [unpack_features(m.value or b"") for m in of(outputs, "features")]
    assert isinstance(features[0], RulesFeatures)
    assert [f.seq for f in features[1:] if isinstance(f, SegmentFeatures)] == [0, 1, 2, 3]
    assert [(m.key, m.partition) for m in of(outputs, "features")] == [(r.key, 0) for r in log]


def test_the_same_log_in_any_batches_gives_the_same_bytes() -> None:
    log = media_log(RulesMedia(rules=RULES), *film(), *film("cam2"))
    whole = worker().handle(log).messages
    single = worker()
    assert [m for r in log for m in single.handle([r]).messages] == list(whole)


def test_results_carry_their_trace_and_time_of_publication() -> None:
    log = [replace(r, headers=(("traceparent", b"00-aa-bb-01"),)) for r in media_log(*film())]
    outputs = worker(FixedClock(1_700_000_000_000)).handle(log)
    headers = dict(of(outputs, "annotations")[0].headers)
    assert (headers["traceparent"], headers["ce_time"]) == (b"00-aa-bb-01", b"2023-11-14T22:13:20.000Z")
    assert json.loads(of(outputs, "annotations")[0].value or b"")["published_at"] == "2023-11-14T22:13:20.000Z"
    requests = of(outputs, "caption-requests")
    assert {dict(m.headers)["traceparent"] for m in requests} == {b"00-aa-bb-01"}
    # The value says what the log says and no more: it must not change with what is measured.
    assert {unpack_request(m.value or b"").traceparent for m in requests} == {None}


def test_nothing_is_stamped_without_a_clock() -> None:
    outputs = worker().handle(media_log(*film()))
    assert {a.published_at for a in annotations(outputs)} == {None}


def test_a_stream_that_appears_later_knows_the_rules_in_force() -> None:
    fusion = worker()
    log = media_log(RulesMedia(rules=RULES), *film("first"), *film("second"))
    fusion.handle(log[:5])
    outputs = fusion.handle(log[5:])
    assert [(e.stream, e.phase) for e in events(outputs)] == [("second", "started"), ("second", "ended")]


def test_what_was_folded_before_gives_nothing_when_it_comes_again() -> None:
    fusion = worker()
    log = media_log(RulesMedia(rules=RULES), *film())
    assert fusion.handle(log[:3]).messages
    again = fusion.handle(log)
    assert again.given[:3] == ((), (), ())
    straight = worker()
    straight.handle(log[:3])
    assert again.messages == straight.handle(log[3:]).messages


def test_rules_reach_every_stream_of_the_partition() -> None:
    fusion = worker()
    log = media_log(*film("b")[:2], *film("a")[:2], RulesMedia(rules=RULES), *film("a")[2:], *film("b")[2:])
    outputs = fusion.handle(log)
    assert [(e.stream, e.phase) for e in events(outputs)] == [
        ("a", "started"),
        ("a", "ended"),
        ("b", "started"),
        ("b", "ended"),
    ]


def test_ticks_reach_every_stream_of_the_partition() -> None:
    fusion = worker()
    live = [
        segment(0, ["red"], stream=s).model_copy(
            update={"origin": segment(0, []).origin.model_copy(update={"at_ms": 1_000})}
        )
        for s in ("b", "a")
    ]
    silent = Tick(topic="segments", partition=0, caught_up=True, at_ms=60_000)
    outputs = fusion.handle(media_log(*live, silent))
    lost = [read_result("events", m.value) for m in of(outputs, "events")]
    assert [(e.stream, e.rule) for e in lost if isinstance(e, Event)] == [
        ("a", "framecue.signal_lost"),
        ("b", "framecue.signal_lost"),
    ]


def skipped() -> TextMedia:
    """What ingest writes of a segment that it left out."""
    return text().model_copy(update={"session": "s", "warnings": ("segments were skipped",)})


def test_what_was_skipped_is_a_gap_and_one_warning() -> None:
    log = media_log(*film()[:2], *[skipped()] * 10, *(segment(i, ["red"]) for i in range(12, 20)))
    outputs = worker().handle(log)
    told = [read_result("events", m.value) for m in of(outputs, "events")]
    built_in = [(e.rule, e.start_ms, e.end_ms) for e in told if isinstance(e, Event)]
    assert [e for e in built_in if e[0] == "framecue.gap"] == [("framecue.gap", 4000, 24_000)]
    assert [rule for rule, *_ in built_in].count("framecue.warning") == 1


def test_skips_ahead_of_a_stream_are_remembered_once() -> None:
    fusion = worker()
    outputs = fusion.handle(media_log(*[skipped()] * 50, *film()))
    told = [read_result("events", m.value) for m in of(outputs, "events")]
    assert [e.rule for e in told if isinstance(e, Event)].count("framecue.warning") == 1


def test_a_forgotten_stream_ends_and_begins_anew() -> None:
    fusion = worker()
    outputs = fusion.handle(media_log(RulesMedia(rules=RULES), *film()[:3], ForgetMedia(stream="cam1"), *film()[:1]))
    assert [(e.phase, e.reason) for e in events(outputs)] == [("started", None), ("ended", "end")]
    *_, closing, fresh = annotations(outputs)
    assert (closing.start_ms, closing.settled_until_ms) == (4000, 6000)
    assert (fresh.start_ms, fresh.revision) == (0, 1)
    assert fusion.handle(media_log(ForgetMedia(stream="nobody"))).messages[1:] == ()


def test_finish_closes_the_epoch_once() -> None:
    fusion = worker()
    fusion.handle(media_log(RulesMedia(rules=RULES), *film()[:3]))
    closing = Outputs((fusion.finish("cam1"),))
    assert [(e.phase, e.reason) for e in events(closing)] == [("ended", "end")]
    assert annotations(closing)[-1].settled_until_ms == 6000
    assert fusion.finish("cam1") == fusion.finish("unknown") == ()


def test_what_is_no_media_record_is_a_dead_letter_and_the_neighbours_go_on() -> None:
    good = media_log(*film())
    odd = Record("media", 0, 99, None, b"cam1", b"\x93garbage")
    outputs = worker().handle([good[0], odd, *good[1:]])
    (letter,) = [parse_dead_letter(m.value or b"", m.headers) for m in of(outputs, "deadletter")]
    assert (letter.stage, letter.error, letter.value, letter.origin.offset) == ("fusion", "MessageError", odd.value, 99)
    assert annotations(outputs) == annotations(worker().handle(good))
    assert outputs.failed == 0


def test_a_model_error_degrades_its_window_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    model = replace(light_model(), images=Failing("blue"))
    with caplog.at_level(logging.WARNING):
        outputs = worker(model=model).handle(media_log(RulesMedia(rules=RULES), *film()))
    assert {a.start_ms: a.degraded for a in annotations(outputs)} == {0: None, 2000: None, 4000: "model", 6000: None}
    assert outputs.failed == 1
    assert "the device gave up" in caplog.text


def test_words_that_cannot_wait_become_dead_letters_and_the_rest_waits() -> None:
    words = [cue(10**6 + i, 10**6 + i + 1, f"w{i:05}") for i in range(PENDING_MAX // 2)]
    outputs = worker().handle(media_log(text(*words), text(*words), text(*words)))
    letters = [parse_dead_letter(m.value or b"", m.headers) for m in of(outputs, "deadletter")]
    refused = [c.text for letter in letters for c in parse_cues(letter.value)]
    assert len(words) <= len(refused) < 3 * len(words)
    assert refused == [c.text for c in (*words, *words, *words)][-len(refused) :]
    assert all("a stream holds at most" in letter.reason for letter in letters)


def test_refused_words_keep_their_times_and_clocks() -> None:
    cues = [
        CueFeatures(start_ms=i, end_ms=i + 1, text=f"w{i}", language="en", clock=clock, source="document")
        for i, clock in enumerate(("start", "wall", "start"))
    ]
    origin = segment(0, []).origin
    letters = list(refused_letters(Refused(origin, "too many", tuple(cues))))
    assert [(dict(x.headers)["framecue-clock"], x.origin, x.reason) for x in letters] == [
        (b"start", origin, "too many"),
        (b"wall", origin, "too many"),
    ]
    assert [[(c.start_ms, c.end_ms, c.text, c.language) for c in parse_cues(x.value)] for x in letters] == [
        [(0, 1, "w0", "en"), (2, 3, "w2", "en")],
        [(1, 2, "w1", "en")],
    ]
