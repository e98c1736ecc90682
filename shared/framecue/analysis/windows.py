"""Windows: the frames and words of one stretch of media time, and what the rules in force make of them.

A window draws its frames to itself as segments come; its words are looked up on the shelf each time it is judged, so
that a late cue needs nothing moved. What was judged is kept until a frame, a cue or finality changes it.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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

QUOTED = 3
"""How many cues stand as evidence beside a peak."""


@dataclass(order=True)
class Frame:
    """One sampled frame on the media time axis. `cell` tells frames of one grid cell apart from neighbours."""

    at_ms: int
    cell: tuple[int, int]
    """The grid's phase (clock offset, ms) and the cell's number on it."""
    partition: int
    offset: int
    index: int
    vector: bytes = field(repr=False, compare=False)
    """fp16 as in the log; empty where the model failed on this frame."""
    samples: bytes = field(repr=False, compare=False)
    """Luma grid; empty where the picture could not be read."""

    @property
    def ref(self) -> FrameRef:
        """How results name it."""
        return FrameRef(partition=self.partition, offset=self.offset, index=self.index, at_ms=self.at_ms)


class Verdict(NamedTuple):
    """What one rule says of one window: `score` None is undecided, and holds an event as it is."""

    picture: float | None
    text: float | None
    score: float | None


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
        insort(self.frames, frame)
        return True


class Judged(NamedTuple):
    """A window as judged: what its annotation is made from, and what events fold over."""

    scene: Scene | None
    verdicts: tuple[Verdict, ...]
    state: TextState
    cues: tuple[Cue, ...]
    quotes: tuple[tuple[Cue, ...], ...]
    """For each rule, the cues that speak for it, best first."""
    model_failed: bool


def judge(
    window: Window, *, end_ms: int, final: bool, rules: CompiledRules, shelf: Shelf, settings: MachineSettings,
    known: KnownScores,
) -> Judged:  # fmt: skip
    """What the rules in force say of `window`, with the words on the shelf as they are now."""
    frames = [f for f in window.frames if f.vector]
    picture, scene = _judge_frames(frames, rules, known)
    joined = [c for c in shelf.joined if overlaps(c.start_ms, c.end_ms, window.start_ms, end_ms)]
    verdicts, quotes = _judge_rules(picture, (window.start_ms, end_ms), joined, rules, shelf, known)
    return Judged(
        scene=scene,
        verdicts=verdicts,
        state=_text_state(end_ms, final=final, present=bool(joined), shelf=shelf, settings=settings),
        cues=tuple(joined),
        quotes=quotes,
        model_failed=len(frames) < len(window.frames),
    )


class KnownScores:
    """Scores of frames and cues under a rules version, each computed once: what a re-fold need not ask again."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, int, int, int], tuple[Floats, Floats | None]] = {}
        self._cues: dict[tuple[str, Cue], Floats] = {}

    def of_frames(self, frames: Sequence[Frame], rules: CompiledRules) -> list[tuple[Floats, Floats | None]]:
        """For each frame its scores (rules,) and its distribution (labels + 1,), None without labels."""
        keys = [(rules.version, f.partition, f.offset, f.index) for f in frames]
        missing = [i for i, key in enumerate(keys) if key not in self._frames]
        if missing:
            vectors = np.stack([from_wire(frames[i].vector) for i in missing])
            scores, spread = rules.picture_scores(vectors), rules.distribution(vectors)
            for n, i in enumerate(missing):
                self._frames[keys[i]] = (scores[n], None if spread is None else spread[n])
        return [self._frames[key] for key in keys]

    def of_cues(self, cues: Sequence[Cue], rules: CompiledRules) -> Floats:
        """(N, rules); a cue without a vector (its model failed) only counts where a pattern matches."""
        missing = [c for c in cues if (rules.version, c) not in self._cues]
        if missing:
            nothing = np.zeros(rules.space.text_dims, np.float32)
            vectors = np.stack([from_wire(c.vector) if c.vector else nothing for c in missing])
            for cue, row in zip(missing, rules.text_scores([c.text for c in missing], vectors), strict=True):
                self._cues[rules.version, cue] = row
        return np.stack([self._cues[rules.version, c] for c in cues])

    def keep(self, frames: Iterable[Frame], cues: Iterable[Cue]) -> None:
        """Forgets all others."""
        wanted = {(f.partition, f.offset, f.index) for f in frames}
        words = set(cues)
        self._frames = {key: known for key, known in self._frames.items() if key[1:] in wanted}
        self._cues = {key: known for key, known in self._cues.items() if key[1] in words}


def _judge_frames(
    frames: Sequence[Frame], rules: CompiledRules, known: KnownScores
) -> tuple[Floats | None, Scene | None]:
    """Picture scores (rules,) as published, and the scene; None of either without frames."""
    if not frames:
        return None, None
    scored = known.of_frames(frames, rules)
    picture = upper_half_mean(np.stack([scores for scores, _ in scored]))
    spreads = [spread for _, spread in scored if spread is not None]
    scene = _scene(np.stack(spreads).mean(axis=0), frames, rules) if spreads else None
    return np.round(picture, DECIMALS), scene


def _scene(spread: Floats, frames: Sequence[Frame], rules: CompiledRules) -> Scene:
    names = (*rules.labels, UNKNOWN)
    ranked = sorted(
        (LabelScore(label=name, score=published(p)) for name, p in zip(names, spread, strict=True)),
        key=lambda s: -s.score,
    )
    middle = frames[len(frames) // 2]
    matched = rules.space.explain(from_wire(middle.vector), MATCHED)
    return Scene(
        label=ranked[0].label,
        score=ranked[0].score,
        runners_up=tuple(ranked[1:]),
        matched=tuple(LabelScore(label=name, score=published(w)) for name, w in matched),
    )


def _judge_rules(
    picture: Floats | None,
    span: tuple[int, int],
    joined: Sequence[Cue],
    rules: CompiledRules,
    shelf: Shelf,
    known: KnownScores,
) -> tuple[tuple[Verdict, ...], tuple[tuple[Cue, ...], ...]]:
    """Each rule's verdict, and the cues that carried its text."""
    if not rules.events:
        return (), ()
    reach = {0: (joined, known.of_cues(joined, rules) if joined else None)}
    verdicts, quotes = [], []
    for i, rule in enumerate(rules.events):
        text: float | None = None
        best: tuple[Cue, ...] = ()
        if rule.text:
            tolerance = rule.tolerance_ms if rule.combine in ("both", "weighted") else 0
            if tolerance not in reach:
                near = [c for c in shelf.joined if distance(c.start_ms, c.end_ms, *span) <= tolerance]
                reach[tolerance] = (near, known.of_cues(near, rules) if near else None)
            cues, scores = reach[tolerance]
            if scores is not None:
                column = scores[:, i]
                text = published(column.max())
                order = np.argsort(-column, kind="stable")[:QUOTED]
                best = tuple(cues[n] for n in order if published(column[n]) >= rule.exit)
        seen = None if picture is None or not rule.picture else float(picture[i])
        verdicts.append(Verdict(seen, text, combined(rule.combine, seen, text, rule.weights)))
        quotes.append(best)
    return tuple(verdicts), tuple(quotes)


def _text_state(end_ms: int, *, final: bool, present: bool, shelf: Shelf, settings: MachineSettings) -> TextState:
    if present:
        return "present"
    if shelf.first_start_ms is None or shelf.first_start_ms >= end_ms:
        return "none"
    last = shelf.last_losable_end(end_ms)
    if last is not None and end_ms - last >= settings.text_lost_ms:
        return "lost"
    return "silent" if final else "pending"


def evidence(window: Window, judged: Judged, rule: int) -> Evidence:
    """What speaks for `rule` in this window."""
    verdict = judged.verdicts[rule]
    return Evidence(
        frames=tuple(f.ref for f in window.frames),
        cues=tuple(c.joined() for c in judged.quotes[rule]),
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
        rules=tuple(
            RuleScore(rule=rule.name, picture=v.picture, text=v.text, score=v.score, calibrated=calibrated)
            for rule, v, calibrated in zip(rules.events, judged.verdicts, rules.calibrated, strict=True)
        ),
        text=JoinedText(
            state=judged.state,
            cues=tuple(c.joined() for c in judged.cues),
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
