"""The latest results of a stream as flat fields, for people: what `HGETALL framecue:latest:<stream>` shows.

Everything is text; what is unknown is left out. The fields of a caption and of the open events begin with their name,
all others are the annotation's. It must not know Redis.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import to_json

CAPTION, OPEN_EVENTS = "caption", "open_events"
CAPTION_JSON = "caption_json"

Fields = Mapping[str, str]


def annotation_fields(annotation: Annotation) -> Fields:
    """Scene, words and the score of each rule; what orders it stands first."""
    scene = annotation.scene
    return _known(
        {
            "epoch": annotation.epoch,
            "start_ms": annotation.start_ms,
            "end_ms": annotation.end_ms,
            "revision": annotation.revision,
            "stream": annotation.stream,
            "id": annotation.id,
            "wall_at": annotation.wall_at,
            "published_at": annotation.published_at,
            "settled_until_ms": annotation.settled_until_ms,
            "scene": scene and scene.label,
            "scene_score": scene and scene.score,
            "text": " / ".join(cue.text for cue in annotation.text.cues) or None,
            "text_state": annotation.text.state,
            "degraded": annotation.degraded,
            "model": annotation.model,
            **{f"rule.{rule.rule}": rule.score for rule in annotation.rules},
        }
    )


def caption_fields(caption: Caption) -> Fields:
    """The sentence and what it is about; what orders it stands first, all that is known last."""
    return _known(
        {
            "caption_epoch": caption.epoch,
            "caption_start_ms": caption.start_ms,
            "caption_end_ms": caption.end_ms,
            "caption": caption.text,
            "caption_status": caption.status,
            CAPTION_JSON: to_json(caption).decode(),
        }
    )


def open_event_fields(events: Iterable[Event]) -> Fields:
    """What goes on, as one line of JSON."""
    shown = [{"rule": e.rule, "start_ms": e.start_ms, "peak": e.peak, "id": e.id} for e in events]
    return {OPEN_EVENTS: json.dumps(shown, ensure_ascii=False, separators=(",", ":"))}


def _known(fields: Mapping[str, object]) -> Fields:
    return {name: str(value) for name, value in fields.items() if value is not None}
