"""Results in words, for terminals and pages: times, reasons, and text that is safe to print.

Knows the wire models only; how a word is coloured or marked up is the caller's business.
"""

from __future__ import annotations

import unicodedata

from framecue.schemas import event as events
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import Event
from framecue.schemas.rules import RESERVED, EventRule

_BUILT_IN = {
    events.SHOT_CUT: "shot cut",
    events.BLACK: "black picture",
    events.FROZEN: "frozen picture",
    events.SIGNAL_LOST: "signal lost",
    events.SUBTITLES_LOST: "subtitles lost",
    events.GAP: "gap",
    events.WARNING: "warning",
}
_ENDINGS = {
    "score": "the score fell",
    "signal_lost": "the signal was lost",
    "back": "it came back",
    "rule": "the rule changed",
    "epoch": "a new run of the stream began",
    "end": "the stream ended",
    "idle": "the stream went idle",
}
_TEXT_STATES = {
    "none": "no words yet",
    "pending": "words may still come",
    "silent": "nothing said",
    "lost": "subtitles lost",
    "present": "words joined",
}
_DEGRADED = {
    "gap": "part of the stream is missing",
    "damaged": "part of the media is damaged",
    "model": "the model failed here",
}
_JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji are spelled with; they move nothing."""


def clean(text: str) -> str:
    """`text` on one line, without what could fool a terminal or a reader: control, bidi and format characters."""
    kept = (c for c in text if c.isspace() or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return " ".join("".join(kept).split())


def about_faces(state: str) -> str:
    """A `Faces.state` as a sentence under pictures."""
    match state.partition(": ")[::2]:
        case "blurred", _:
            return "Faces are blurred where they were found; the topics hold pictures as they were decoded."
        case "shown", _:
            return "Faces are shown as they are: privacy.faces is off."
        case _, why:
            return f"Faces are not blurred: {why}."


def clock(ms: int) -> str:
    """Media time as a player shows it: `0:04`, `12:30.5`, `1:02:03`."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    seconds, rest = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return sign + whole + (f".{rest:03d}".rstrip("0") if rest else "")


def counted(count: int, noun: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def in_bytes(count: float) -> str:
    """So many bytes, as people say it: `71.8 GiB`, `3.0 KiB`, `12 B`."""
    for unit, whole in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= whole:
            return f"{count / whole:.1f} {unit}"
    return f"{count:.0f} B"


def is_built_in(rule: str) -> bool:
    """Whether an event of this name comes from FrameCue itself, not from a user's rule."""
    return rule.startswith(RESERVED)


def event_name(rule: str) -> str:
    """The event's name for people."""
    return _BUILT_IN.get(rule, rule.removeprefix(RESERVED))


def text_state(annotation: Annotation) -> str:
    """What is known of the window's words."""
    return _TEXT_STATES[annotation.text.state]


def degraded(reason: str) -> str:
    """Why a window says less than it could."""
    return _DEGRADED.get(reason, reason)


def decided_by(rule: EventRule | None, event: Event) -> str:
    """One clause on what carried the event: `picture 0.91 and words 0.83, both needed`."""
    picture, text = event.evidence.picture, event.evidence.text
    found = [f"{name} {value:.2f}" for name, value in (("picture", picture), ("words", text)) if value is not None]
    if rule is None or not found:
        return " and ".join(found)
    match rule.combine:
        case "picture":
            return f"by picture alone: {found[0]}"
        case "text":
            return f"by words alone: {found[-1]}"
        case "both":
            return f"{' and '.join(found)}, both needed"
        case "either":
            return f"{' or '.join(found)}, either is enough"
        case "weighted":
            return f"{' and '.join(found)}, weighed together"


def ending(event: Event, rule: EventRule | None) -> str:
    """Why the event ended, or an empty string while it goes on."""
    if event.phase == "retracted":
        return "retracted: with later words it does not hold"
    if event.reason is None:
        return ""
    below = f" below {rule.exit:.2f}" if event.reason == "score" and rule is not None else ""
    return _ENDINGS[event.reason] + below
