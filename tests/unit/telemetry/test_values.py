"""What is written must not depend on whether anybody measures: a fold done again gives the same bytes anywhere."""

from __future__ import annotations

from dataclasses import replace

from framecue.analysis.settings import MachineSettings
from framecue.broker.protocol import Message
from framecue.clock import FixedClock
from framecue.telemetry.setup import Reporting, reporting
from framecue_services.fusion.worker import FusionWorker
from tests.support.collector import collecting
from tests.support.encoders import light_model
from tests.support.films import cue, media_log, segment

CAME = f"00-{'a' * 32}-{'b' * 16}-01"


def folded() -> list[Message]:
    """What fusion makes of a film, each record of which says a traceparent in its value and another in its header."""
    film = [segment(n, ("red", "blue"), cues=[cue(2_000 * n, 2_000 * n + 900, "goal")], end=n == 2) for n in range(3)]
    log = media_log(*(media.model_copy(update={"traceparent": "as pushed"}) for media in film))
    worker = FusionWorker(light_model(), settings=MachineSettings(), clock=FixedClock(1_000))
    return list(worker.handle([replace(r, headers=(("traceparent", CAME.encode()),)) for r in log]).messages)


def test_values_are_the_same_measured_or_not() -> None:
    plain = folded()
    with collecting() as collector, reporting(Reporting("fusion", otlp_endpoint=collector.endpoint)):
        measured = folded()
    assert {m.topic for m in plain} >= {"features", "annotations", "caption-requests"}
    assert [(m.topic, m.key, m.value) for m in measured] == [(m.topic, m.key, m.value) for m in plain]
    assert {dict(m.headers)["traceparent"] for m in plain} == {CAME.encode()}
    made = {dict(m.headers)["traceparent"].decode() for m in measured if m.topic == "annotations"}
    assert made <= {f"00-{span.trace}-{span.id}-01" for span in collector.named("fold")}
