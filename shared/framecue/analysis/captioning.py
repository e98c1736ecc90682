"""When a sentence is asked for. What it will say is the captioner's business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from framecue.schemas.annotation import Annotation, LabelScore
from framecue.schemas.caption import QUOTE_MAX, CaptionRequest
from framecue.schemas.event import Event


@dataclass
class Captioned:
    """What the last caption request was about."""

    start_ms: int
    label: str | None
    words: tuple[str, ...]


def caption_requests(
    annotations: Iterable[Annotation], events: Iterable[Event], *, last: Captioned | None, every_ms: int
) -> tuple[Captioned | None, list[CaptionRequest]]:
    """What to ask for where scene or words changed, or something began, at most every so often; and the new `last`.

    A window whose words may still come waits for them.
    """
    started = {e.start_ms for e in events if e.phase == "started"}
    out = []
    for annotation in annotations:
        label = None if annotation.scene is None else annotation.scene.label
        words = tuple(c.text for c in annotation.text.cues)
        if annotation.text.state == "pending" or not annotation.frames:
            continue
        if last is not None:
            news = label != last.label or words != last.words or annotation.start_ms in started
            if annotation.start_ms - last.start_ms < every_ms or not news:
                continue
        last = Captioned(annotation.start_ms, label, words)
        out.append(_request(annotation))
    return last, out


def _request(annotation: Annotation) -> CaptionRequest:
    scene = annotation.scene
    return CaptionRequest(
        id=annotation.id,
        stream=annotation.stream,
        epoch=annotation.epoch,
        start_ms=annotation.start_ms,
        end_ms=annotation.end_ms,
        scene=None if scene is None else LabelScore(label=scene.label, score=scene.score),
        cues=tuple(c.model_copy(update={"text": c.text[:QUOTE_MAX]}) for c in annotation.text.cues),
        frames=annotation.frames,
    )
