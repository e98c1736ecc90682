"""Results built by hand for the tests of the command line and the report."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from framecue.schemas.annotation import Annotation, FrameRef, JoinedCue, JoinedText, LabelScore, RuleScore, Scene
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event

WINDOW_MS = 2000


def frame(at_ms: int) -> FrameRef:
    """One frame per window, found at the offset that counts windows."""
    return FrameRef(partition=0, offset=at_ms // WINDOW_MS, index=0, at_ms=at_ms)


def jpeg(color: tuple[int, int, int] = (90, 140, 200), size: tuple[int, int] = (683, 384)) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG")
    return out.getvalue()


def cue(start_ms: int, end_ms: int, text: str, *, lag_ms: int = 0) -> JoinedCue:
    return JoinedCue(start_ms=start_ms, end_ms=end_ms, text=text, source="document", lag_ms=lag_ms)


def rule_score(
    rule: str, picture: float | None = None, text: float | None = None, score: float | None = None
) -> RuleScore:
    return RuleScore(rule=rule, picture=picture, text=text, score=score)


def annotation(
    index: int,
    label: str | None = "a street",
    *,
    rules: tuple[RuleScore, ...] = (),
    cues: tuple[JoinedCue, ...] = (),
    **more: Any,
) -> Annotation:
    """The annotation of the `index`-th window."""
    start_ms = index * WINDOW_MS
    scene = label and Scene(
        label=label,
        score=0.8,
        runners_up=(LabelScore(label="runner-up", score=0.1),),
        matched=(LabelScore(label="cab", score=0.4),),
    )
    values: dict[str, Any] = {
        "id": f"film/0/{start_ms}+{WINDOW_MS}",
        "revision": 1,
        "stream": "film",
        "epoch": 0,
        "start_ms": start_ms,
        "end_ms": start_ms + WINDOW_MS,
        "settled_until_ms": start_ms + WINDOW_MS,
        "scene": scene or None,
        "rules": rules,
        "text": JoinedText(state="present" if cues else "silent", cues=cues, lag_ms=cues[0].lag_ms if cues else None),
        "frames": (frame(start_ms),),
        "model": "light",
        "space": "light-1",
    }
    return Annotation(**{**values, **more})


def event(rule: str, start_ms: int, end_ms: int | None = None, **more: Any) -> Event:
    """The latest change of an event."""
    values: dict[str, Any] = {
        "id": f"film/0/{rule}/{start_ms}",
        "sequence": 1,
        "phase": "started" if end_ms is None else "ended",
        "stream": "film",
        "epoch": 0,
        "rule": rule,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "reason": None if end_ms is None else "score",
        "peak": 0.9,
        "model": "light",
        "space": "light-1",
    }
    return Event(**{**values, **more})


def caption(index: int, text: str) -> Caption:
    start_ms = index * WINDOW_MS
    return Caption(
        id=f"film/0/{start_ms}+{WINDOW_MS}",
        stream="film",
        epoch=0,
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS,
        text=text,
        model="light",
    )
