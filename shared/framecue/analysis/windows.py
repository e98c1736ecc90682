"""Windows: the frames and words of one stretch of media time, and what the rules in force make of them.

A window draws its frames to itself as segments come; its words are looked up on the shelf each time it is judged, so
that a late cue needs nothing moved. What was judged is kept until a frame, a cue or finality changes it.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from framecue.analysis.rules import CompiledRules
from framecue.analysis.scores import DECIMALS, Floats, combined, published, upper_half_mean
from framecue.analysis.settings import MachineSettings
from framecue.analysis.spaces import from_wire
from framecue.analysis.words import Cue, Shelf
from framecue.schemas.annotation import Annotation, FrameRef, JoinedText, LabelScore, RuleScore, Scene, TextState
from framecue.schemas.event import Evidence
from framecue.schemas.rules import UNKNOWN
from framecue.timeline import distance, overlaps

MATCHED = 3
"""How many things a scene says it was recognised through."""

RANKED = 32
"""How many labels a scene shows with their scores: a user's all, a classifier's thousand not."""

QUOTED = 3
"""How many cues stand as evidence beside a peak."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One sampled frame on the media time axis, known by identity: two are never equal.

    `cell` tells frames of one grid cell apart from neighbours.
    """

    at_ms: int
    cell: tuple[int, int]
    """The grid's phase (clock offset, ms) and the cell's number on it."""
    partition: int
    offset: int
    index: int
    vector: bytes = field(repr=False)
    """fp16 as in the log; empty where the model failed on this frame."""
    samples: bytes = field(repr=False)
    """Luma grid; empty where the picture could not be read."""

    def order(self) -> tuple[int, int, int, int]:
        """By time; of one instant, by place in the log."""
        return self.at_ms, self.partition, self.offset, self.index

    @cached_property
    def ref(self) -> FrameRef:
        """How results name it."""
        return FrameRef(partition=self.partition, offset=self.offset, index=self.index, at_ms=self.at_ms)


@dataclass
class Window:
    """One stretch of media time that may still change."""

    start_ms: int
    frames: list[Frame] = field(default_factory=list)
    damaged: bool = False
    rules: str | None = None
    """The version of the rules in force when the watermark passed its end; None until then."""
    revision: int = 0
    content: bytes = b""
    """Digest of what was last published, less what may change without a revision."""
    wall_ms: int | None = None

    @property
    def pictures(self) -> list[Frame]:
        """The frames whose picture could be read."""
        return [f for f in self.frames if f.samples]

    def add(self, frame: Frame) -> bool:
        """Takes a frame, keeping the earliest of each grid cell; whether anything changed."""
        for i, other in enumerate(self.frames):
            if other.cell == frame.cell:
                if other.at_ms <= frame.at_ms:
                    return False
                del self.frames[i]
                break
        insort(self.frames, frame, key=Frame.order)
        return True


class Seen(NamedTuple):
    """The frames of a window that the model could look at, and what the rules make of them."""

    frames: tuple[Frame, ...]
    scores: Floats
    """(frames, rules)."""
    picture: tuple[float, ...]
    """Of each rule, as published."""
    scene: Scene | None


class Said(NamedTuple):
    """Cues within reach of a window, and what the rules make of them."""

    cues: tuple[Cue, ...]
    scores: Floats
    """(cues, rules)."""
    text: tuple[float, ...]
    """Of each rule, as published."""


class Judged(NamedTuple):
    """A window as judged: what its annotation is made from, and what events fold over."""

    scene: Scene | None
    verdicts: tuple[RuleScore, ...]
    """Of each rule. One that is the same object as before rests on the same frames and the same words."""
    state: TextState
    cues: tuple[Cue, ...]
    seen: Seen | None
    said: Mapping[int, Said]
    """By tolerance: what was within reach."""
    model_failed: bool


def judge(
    window: Window, *, end_ms: int, final: bool, rules: CompiledRules, shelf: Shelf, settings: MachineSettings,
    known: KnownScores, before: Judged | None = None,
) -> Judged:  # fmt: skip
    """What the rules in force say of `window`, with the words on the shelf as they are now.

    `before` is what they said last: a verdict whose frames and words are the same is kept.
    """
    frames = tuple(f for f in window.frames if f.vector)
    seen = known.seen(frames, rules) if frames else None
    joined = tuple(c for c in shelf.joined if overlaps(c.start_ms, c.end_ms, window.start_ms, end_ms))
    said = _within_reach((window.start_ms, end_ms), joined, rules, shelf, known)
    verdicts = []
    for i, reach in enumerate(rules.reaches):
        heard = None if reach is None else said.get(reach)
        if before is not None and before.seen is seen and (reach is None or before.said.get(reach) is heard):
            verdicts.append(before.verdicts[i])
        else:
            verdicts.append(_verdict(i, rules, seen, heard))
    return Judged(
        scene=None if seen is None else seen.scene,
        verdicts=tuple(verdicts),
        state=_text_state(end_ms, final=final, present=bool(joined), shelf=shelf, settings=settings),
        cues=joined,
        seen=seen,
        said=said,
        model_failed=len(frames) < len(window.frames),
    )


class KnownScores:
    """What the rules make of frames and cues, each computed once: what a re-fold need not ask again."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, tuple[Frame, ...]], Seen] = {}
        self._said: dict[tuple[str, tuple[Cue, ...]], Said] = {}
        self._cues: dict[tuple[str, Cue], Floats] = {}

    def seen(self, frames: tuple[Frame, ...], rules: CompiledRules) -> Seen:
        """What `rules` make of the frames of a window, at least one."""
        key = (rules.version, frames)
        if key not in self._seen:
            self._seen[key] = _see(frames, rules)
        return self._seen[key]

    def said(self, cues: tuple[Cue, ...], rules: CompiledRules) -> Said:
        """What `rules` make of cues, at least one; one that its model failed on counts where a pattern matches."""
        key = (rules.version, cues)
        if key not in self._said:
            scores = self._cue_scores(cues, rules)
            self._said[key] = Said(cues, scores, _published(scores.max(axis=0)))
        return self._said[key]

    def _cue_scores(self, cues: tuple[Cue, ...], rules: CompiledRules) -> Floats:
        missing = [c for c in cues if (rules.version, c) not in self._cues]
        if missing:
            nothing = np.zeros(rules.space.text_dims, np.float32)
            vectors = np.stack([from_wire(c.vector) if c.vector else nothing for c in missing])
            for cue, row in zip(missing, rules.text_scores([c.text for c in missing], vectors), strict=True):
                self._cues[rules.version, cue] = row
        return np.stack([self._cues[rules.version, c] for c in cues])

    def keep(self, windows: Iterable[Window], cues: Iterable[Cue]) -> None:
        """Forgets all others."""
        frames = {frame for window in windows for frame in window.frames}
        words = set(cues)
        self._seen = {key: seen for key, seen in self._seen.items() if frames.issuperset(key[1])}
        self._said = {key: said for key, said in self._said.items() if words.issuperset(key[1])}
        self._cues = {key: known for key, known in self._cues.items() if key[1] in words}


def _see(frames: tuple[Frame, ...], rules: CompiledRules) -> Seen:
    vectors = np.stack([from_wire(f.vector) for f in frames])
    scores, spread = rules.picture_scores(vectors), rules.distribution(vectors)
    scene = None if spread is None else _scene(spread.mean(axis=0), frames, rules)
    return Seen(frames, scores, _published(upper_half_mean(scores)), scene)


def _published(scores: Floats) -> tuple[float, ...]:
    return tuple(np.round(scores, DECIMALS).tolist())


def _scene(spread: Floats, frames: Sequence[Frame], rules: CompiledRules) -> Scene:
    names = (*rules.labels, UNKNOWN)
    scores = _published(spread)
    leading = np.argsort(-spread, kind="stable")[:RANKED].tolist()
    ranked = [LabelScore(label=names[i], score=scores[i]) for i in leading]
    middle = frames[len(frames) // 2]
    matched = rules.space.explain(from_wire(middle.vector), MATCHED)
    return Scene(
        label=ranked[0].label,
        score=ranked[0].score,
        runners_up=tuple(ranked[1:]),
        matched=tuple(LabelScore(label=name, score=published(w)) for name, w in matched),
    )


def _within_reach(
    span: tuple[int, int], joined: tuple[Cue, ...], rules: CompiledRules, shelf: Shelf, known: KnownScores
) -> Mapping[int, Said]:
    """For each reach that a rule asks for, the cues within it; none where there are none."""
    out = {}
    for reach in {reach for reach in rules.reaches if reach is not None}:
        near = joined
        if reach:
            near = tuple(c for c in shelf.joined if distance(c.start_ms, c.end_ms, *span) <= reach)
        if near:
            out[reach] = known.said(near, rules)
    return out


def _verdict(i: int, rules: CompiledRules, seen: Seen | None, said: Said | None) -> RuleScore:
    rule = rules.events[i]
    picture = seen.picture[i] if seen is not None and rule.picture else None
    text = None if said is None else said.text[i]
    score = combined(rule.combine, picture, text, rule.weights)
    return RuleScore(rule=rule.name, picture=picture, text=text, score=score, calibrated=rules.calibrated[i])


def _text_state(end_ms: int, *, final: bool, present: bool, shelf: Shelf, settings: MachineSettings) -> TextState:
    if present:
        return "present"
    if shelf.first_start_ms is None or shelf.first_start_ms >= end_ms:
        return "none"
    last = shelf.last_losable_end(end_ms)
    if last is not None and end_ms - last >= settings.text_lost_ms:
        return "lost"
    return "silent" if final else "pending"


def evidence(judged: Judged, rules: CompiledRules, i: int) -> Evidence:
    """What speaks for the `i`-th rule in this window: frames and cues, the best first."""
    verdict, seen, reach = judged.verdicts[i], judged.seen, rules.reaches[i]
    said = None if reach is None else judged.said.get(reach)
    frames, cues = [], []
    if seen is not None:
        frames = [seen.frames[n] for n in np.argsort(-seen.scores[:, i], kind="stable")]
    if said is not None:
        best = np.argsort(-said.scores[:, i], kind="stable")[:QUOTED]
        cues = [said.cues[n] for n in best if published(said.scores[n, i]) >= rules.events[i].exit]
    return Evidence(
        frames=tuple(f.ref for f in frames),
        cues=tuple(c.joined for c in cues),
        picture=verdict.picture,
        text=verdict.text,
    )


def annotation_of(
    window: Window, judged: Judged, *, rules: CompiledRules, degraded: str | None, stream: str, epoch: int,
    end_ms: int, settled_until_ms: int, model: str, window_ms: int, wall_at: str | None,
) -> Annotation:  # fmt: skip
    """The annotation of `window` as it stands; its revision is the one after the last published."""
    return Annotation(
        id=f"{stream}/{epoch}/{window.start_ms}+{window_ms}",
        revision=window.revision + 1,
        stream=stream,
        epoch=epoch,
        start_ms=window.start_ms,
        end_ms=end_ms,
        wall_at=wall_at,
        settled_until_ms=settled_until_ms,
        scene=judged.scene,
        rules=judged.verdicts,
        text=JoinedText(
            state=judged.state,
            cues=tuple(c.joined for c in judged.cues),
            lag_ms=judged.cues[0].lag_ms if judged.cues else None,
        ),
        frames=tuple(f.ref for f in window.frames),
        degraded=degraded,
        model=model,
        space=rules.space.id,
        calibrated=all(rules.calibrated),
    )


def content_digest(annotation: Annotation) -> bytes:
    """What makes a revision when it changes: all but number, wall time, settled mark, and `none` or `pending`."""
    plain = annotation.model_copy(update={"revision": 1, "settled_until_ms": 0, "wall_at": None, "published_at": None})
    if plain.text.state == "none":
        plain = plain.model_copy(update={"text": plain.text.model_copy(update={"state": "pending"})})
    return hashlib.blake2b(plain.model_dump_json().encode(), digest_size=16).digest()
