"""Features records built by hand, and a space whose scores are set like dials: for tests of the fold without a model.

`DialSpace` reads an image vector as the logits of eight prompts: a rule with picture ["dial 0"] scores exactly what
`segment(scores={0: .7})` says (to fp16). Cue vectors are zero: words count where a /pattern/ matches.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from framecue.analysis.spaces import Array, Pairing, to_wire
from framecue.schemas.features import (
    GRID_HEIGHT,
    GRID_WIDTH,
    CueFeatures,
    FrameFeatures,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
    TickFeatures,
)
from framecue.schemas.media import Origin
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.timeline import to_ms

DIALS = 8
STREAM = "cam1"
SEGMENTS, SUBTITLES = "framecue.segments", "framecue.subtitles"


@dataclass(frozen=True)
class DialSpace:
    """Prompt "dial N" reads the N-th number of a frame; labels are dials too, `unknown` is the share that is left."""

    id: str = "dials"
    image_dims: int = DIALS
    text_dims: int = DIALS
    picture: Pairing = field(default_factory=lambda: Pairing(1.0, np.zeros((1, DIALS), np.float32)))
    text: Pairing = field(default_factory=lambda: Pairing(1.0, np.zeros((1, DIALS), np.float32)))
    closed_labels: tuple[str, ...] | None = None

    def similarity(self, images: Array, texts: Array) -> Array:
        return images @ texts.T

    def text_similarity(self, cues: Array, texts: Array) -> Array:
        return cues @ texts.T - 20

    def distribution(self, images: Array, labels: Array) -> Array:
        p = 1 / (1 + np.exp(-(images @ labels.T)))
        p = p / np.maximum(p.sum(axis=1, keepdims=True), 1)
        return np.concatenate([p, 1 - p.sum(axis=1, keepdims=True)], axis=1)

    def explain(self, image: Array, top: int = 3) -> Sequence[tuple[str, float]]:
        return ()


def logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))


def dials(scores: Mapping[int, float]) -> bytes:
    """An image vector on which the rules of `scores` score that, and all others nothing."""
    return to_wire(np.array([logit(scores.get(i, 0.0)) for i in range(DIALS)], np.float32))


def noise_grid(seed: int) -> bytes:
    """Luma samples of a lively picture around mid grey: neighbours differ, but are no cut."""
    rng = np.random.default_rng(seed)
    base = np.linspace(60, 180, GRID_WIDTH * GRID_HEIGHT)
    return (base + rng.integers(-6, 7, base.size)).astype(np.uint8).tobytes()


def flat_grid(level: int) -> bytes:
    return bytes([level]) * (GRID_WIDTH * GRID_HEIGHT)


@dataclass
class Log:
    """Numbers the records of one stream as a broker would. `at0_ms` is the broker's time of media time 0."""

    stream: str = STREAM
    at0_ms: int | None = 1_000_000
    per_second: int = 2
    offsets: dict[str, int] = field(default_factory=dict)

    def _origin(self, topic: str, at_ms: int | None) -> Origin:
        offset = self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return Origin(topic=topic, partition=0, offset=offset, at_ms=at_ms)

    def segment(
        self,
        begin_ms: int,
        end_ms: int,
        *,
        scores: Mapping[int, float] | Callable[[int], Mapping[int, float]] | None = None,
        grid: Callable[[int], bytes] | None = None,
        session: str | None = None,
        seq: int | None = None,
        start: bool | None = None,
        own: Fraction | None = None,
        cues: Sequence[CueFeatures] = (),
        end: bool = False,
        at_ms: int | None = None,
        frames: Sequence[int] | None = None,
        wraps: bool = False,
        content: str = "",
        **facts: object,
    ) -> SegmentFeatures:
        """S[begin, end). `own` is where its own clock begins (media time unless given); `start` sends the header.

        `scores` and `grid` may depend on the frame's media time; `content` makes the digest differ.
        """
        first = Fraction(begin_ms, 1000) if own is None else own
        step = 1000 // self.per_second
        times = frames if frames is not None else list(range(-(-begin_ms // step) * step, end_ms, step))
        if at_ms is None and self.at0_ms is not None:
            at_ms = self.at0_ms + end_ms
        start = session is not None if start is None else start
        made = []
        for i, t in enumerate(times):
            at = first + Fraction(t - begin_ms, 1000)
            values = scores(t) if callable(scores) else scores or {}
            cell = (t if start else to_ms(at)) // step
            made.append(
                FrameFeatures(
                    at=at,
                    cell=cell,
                    index=i,
                    vector=dials(values),
                    grid=grid(t) if grid is not None else noise_grid(t),
                )
            )
        origin = self._origin(SEGMENTS, at_ms)
        return SegmentFeatures(
            stream=self.stream,
            origin=origin,
            digest=hashlib.sha256(f"{begin_ms}-{end_ms}-{first}-{content}".encode()).digest()[:16],
            session=session,
            seq=seq,
            start=Fraction(begin_ms, 1000) if start else None,
            end=end,
            container="mpegts" if wraps else "mov",
            wraps=wraps,
            first=first,
            last=first + Fraction(end_ms - begin_ms - 40, 1000),
            last_duration=Fraction(40, 1000),
            sampling_per_second=Fraction(self.per_second),
            space="dials",
            media_partition=0,
            media_offset=origin.offset,
            frames=tuple(made),
            cues=tuple(cues),
            **facts,
        )

    def text(
        self,
        *cues: CueFeatures,
        session: str | None = None,
        lag_ms: int | None = None,
        at_ms: int | None = None,
    ) -> TextFeatures:
        """One message of cues."""
        return TextFeatures(
            stream=self.stream,
            origin=self._origin(SUBTITLES, at_ms),
            session=session,
            lag_ms=lag_ms,
            space="dials",
            cues=cues,
        )

    def live(self, text: str, at_ms: int) -> TextFeatures:
        """A live line that arrived at `at_ms` of the broker's clock."""
        return self.text(cue(0, 0, text, clock="live", source="live"), at_ms=at_ms)

    def tick(self, at_ms: int, *, caught_up: bool = True, topic: str = SEGMENTS) -> TickFeatures:
        return TickFeatures(topic=topic, partition=0, caught_up=caught_up, at_ms=at_ms)


def cue(start_ms: int, end_ms: int, text: str, *, clock: str = "start", source: str = "document") -> CueFeatures:
    """C[start, end] with a zero vector."""
    return CueFeatures(
        start_ms=start_ms,
        end_ms=end_ms,
        text=text,
        clock=clock,
        source=source,
        vector=to_wire(np.zeros(DIALS, np.float32)),
    )


def rules(*events: EventRule, labels: Sequence[str] = ()) -> RulesFeatures:
    """A rules record; prompts and labels named "dial N" read that dial, others read nothing."""
    made = RuleSet(scenes=(SceneRule(labels=tuple(labels)),) if labels else (), events=events)

    def vector(prompt: str) -> bytes:
        out = np.zeros(DIALS, np.float32)
        if prompt.startswith("dial "):
            out[int(prompt[5:])] = 1
        return to_wire(out)

    return RulesFeatures(
        rules=made,
        space="dials",
        picture_vectors=tuple(vector(p) for p in made.picture_prompts()),
        text_vectors=tuple(vector(p) for p in made.text_prompts()),
    )


def rule(name: str, **settings: object) -> EventRule:
    """An event rule under the names that a rules file uses; durations as text ("4s") or ms."""
    return EventRule.model_validate({"name": name, **settings})
