"""Captioner as a stage: made from what the request names, or skipped with its reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.broker.stage import Outputs
from framecue.clock import FixedClock
from framecue.errors import ModelError
from framecue.models.protocols import Description, Picture
from framecue.schemas.annotation import FrameRef, JoinedCue, LabelScore
from framecue.schemas.caption import Caption, CaptionRequest
from framecue.schemas.codec import pack
from framecue.schemas.results import read_result
from framecue_services.captioner.worker import EXPIRED, CaptionWorker
from tests.support.encoders import ColourCaptioner
from tests.support.films import media_log, segment

CUE = JoinedCue(start_ms=0, end_ms=1000, text="mind the gap", source="document")


def request(*frames: FrameRef, start_ms: int = 0) -> CaptionRequest:
    return CaptionRequest(
        id=f"cam1/0/{start_ms}+2000",
        stream="cam1",
        epoch=0,
        start_ms=start_ms,
        end_ms=start_ms + 2000,
        cues=(CUE,),
        frames=frames,
        traceparent="00-aa-bb-01",
    )


def frame(offset: int, index: int = 0) -> FrameRef:
    return FrameRef(partition=0, offset=offset, index=index, at_ms=0)


def asked(broker: MemoryBroker, *values: bytes) -> list[Record]:
    broker.commit([Message("caption-requests", b"cam1", value) for value in values])
    return list(broker.consumer("asked", ["caption-requests"]).poll(100))


def captions(outputs: Outputs) -> list[Caption]:
    read = [read_result(m.topic, m.value) for m in outputs.messages if m.topic == "captions"]
    return [c for c in read if isinstance(c, Caption)]


def film() -> MemoryBroker:
    broker = MemoryBroker(partitions=1)
    media_log(segment(0, ["red", "blue"]), segment(1, ["green"]), broker=broker)
    return broker


def test_a_caption_says_what_it_was_made_from() -> None:
    broker = film()
    outputs = CaptionWorker(ColourCaptioner(), broker).handle(asked(broker, pack(request(frame(0, 1)))))
    assert captions(outputs) == [
        Caption(
            id="cam1/0/0+2000",
            stream="cam1",
            epoch=0,
            start_ms=0,
            end_ms=2000,
            text="Mostly blue. “mind the gap”",
            model="light",
            named=(LabelScore(label="blue", score=1.0),),
            frames=(frame(0, 1),),
            cues=(CUE,),
        )
    ]
    assert dict(outputs.messages[0].headers)["traceparent"] == b"00-aa-bb-01"


def test_a_caption_is_stamped_by_the_clock() -> None:
    broker = film()
    worker = CaptionWorker(ColourCaptioner(), broker, clock=FixedClock(0))
    (caption,) = captions(worker.handle(asked(broker, pack(request(frame(0))))))
    assert caption.published_at == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("frames", "status", "reason", "used"),
    [
        ((frame(77),), "skipped", EXPIRED, ()),
        ((frame(77), frame(1)), "made", None, (frame(1),)),  # what is left is enough
        ((), "made", None, ()),  # words alone
    ],
    ids=["all expired", "some expired", "no frames"],
)
def test_a_caption_uses_the_pictures_that_are_left(
    frames: tuple[FrameRef, ...], status: str, reason: str | None, used: tuple[FrameRef, ...]
) -> None:
    broker = film()
    (caption,) = captions(CaptionWorker(ColourCaptioner(), broker).handle(asked(broker, pack(request(*frames)))))
    assert (caption.status, caption.reason, caption.frames) == (status, reason, used)


class Weary(ColourCaptioner):
    """Fails on the first call."""

    def __init__(self) -> None:
        self.calls = 0

    def describe(self, frames: Sequence[Picture], *, scene: LabelScore | None, quotes: Sequence[str]) -> Description:
        self.calls += 1
        if self.calls == 1:
            raise ModelError("out of memory")
        return super().describe(frames, scene=scene, quotes=quotes)


def test_a_model_error_skips_one_caption_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    broker = film()
    records = asked(broker, pack(request(frame(0))), pack(request(frame(1), start_ms=2000)))
    with caplog.at_level(logging.WARNING):
        outputs = CaptionWorker(Weary(), broker).handle(records)
    assert [(c.status, c.reason) for c in captions(outputs)] == [("skipped", "out of memory"), ("made", None)]
    assert outputs.failed == 1
    assert "cam1/0/0+2000" in caplog.text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"garbage", "not a caption-request record"),
        (pack(request(frame(0, 9))), "has no picture 9"),
    ],
)
def test_a_request_that_makes_no_sense_is_a_dead_letter(value: bytes, reason: str) -> None:
    broker = film()
    good = pack(request(frame(1)))
    outputs = CaptionWorker(ColourCaptioner(), broker).handle(asked(broker, value, good))
    assert [m.topic for m in outputs.messages] == ["deadletter", "captions"]
    assert reason in dict(outputs.messages[0].headers)["framecue-dead-reason"].decode()
    assert outputs.failed == 0


@pytest.mark.parametrize(
    ("patience_ms", "expected"),
    [
        (60_000, ["skipped", "made", "made"]),  # waited; written later; nothing waits behind the last
        (None, ["made", "made", "made"]),
    ],
)
def test_a_backlog_is_shed_in_the_open(patience_ms: int | None, expected: list[str]) -> None:
    clock = FixedClock(1_700_000_000_000)
    broker = MemoryBroker(partitions=1, clock=clock)
    media_log(segment(0, ["red", "blue"]), broker=broker)
    reader = broker.consumer("asked", ["caption-requests"])
    requests = [Message("caption-requests", b"cam1", pack(request(frame(0), start_ms=s))) for s in (0, 2000, 4000)]
    broker.commit(requests[:1])
    clock.advance(61_000)
    broker.commit(requests[1:])
    clock.advance(59_000)
    batch = reader.poll(9)
    made = captions(CaptionWorker(ColourCaptioner(), broker, patience_ms=patience_ms).handle(batch))
    assert [c.status for c in made] == expected
    assert made[0].reason == (None if patience_ms is None else "waited for 120 s, and others wait behind it")


def test_the_last_of_a_backlog_is_made_however_old() -> None:
    clock = FixedClock(1_700_000_000_000)
    broker = MemoryBroker(partitions=1, clock=clock)
    media_log(segment(0, ["red", "blue"]), broker=broker)
    records = asked(broker, *(pack(request(frame(0), start_ms=s)) for s in (0, 2000)))
    clock.advance(3_600_000)
    made = captions(CaptionWorker(ColourCaptioner(), broker, patience_ms=60_000).handle(records))
    assert [c.status for c in made] == ["skipped", "made"]
