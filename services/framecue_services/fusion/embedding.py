"""Embed: media records become features records, batched over all streams of a batch. A map without state but caches.

A model that fails is asked again with parts of what it failed on, down to the one frame or cue that it cannot take:
that one goes on without a vector, the others are not affected. It must not know the fold.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from framecue.analysis.spaces import Array, to_wire
from framecue.errors import MediaError, ModelError
from framecue.media.pictures import jpeg_to_rgb, luma_grid
from framecue.models.protocols import Model, Picture
from framecue.schemas.features import (
    CueFeatures,
    Features,
    ForgetFeatures,
    FrameFeatures,
    RulesFeatures,
    SegmentFeatures,
    TextFeatures,
    TickFeatures,
)
from framecue.schemas.media import (
    ForgetMedia,
    Frame,
    Media,
    RulesMedia,
    SegmentFacts,
    SegmentMedia,
    TextFacts,
    TextMedia,
)
from framecue.schemas.segment import CUES_MAX
from framecue.telemetry.calls import Input, model_call

T = TypeVar("T")
FRAMES_AT_ONCE = 128
"""Frames decoded and embedded together: about 100 MB of pixels, and enough to keep a device busy."""
TEXTS_AT_ONCE = 256
HALVED_FROM = 16
"""Items: from here on a model is asked in two calls, so that a failure costs half a batch and not all of it. With fewer
the second call would cost more than a failure, which is rare."""
PARTS = 8
"""What a model fails on is asked again in so many parts: three rounds find one frame among 128, and only the first
repeats much."""
TEXTS_REMEMBERED = 20_000
"""Vectors of words said before, 30 MB of 384 dimensions: captions repeat themselves, and prompts come with each change
of rules."""
TEXT_REMEMBERED_MAX = 500
"""Characters; what is longer comes again less often than it would fill memory."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One media record, and where in the `media` topic it stands."""

    partition: int
    offset: int
    media: Media


@dataclass(frozen=True)
class Seen:
    """What became of one frame: an empty vector where the model failed; no grid where the picture cannot be read."""

    vector: bytes = b""
    grid: bytes = b""
    error: str | None = None


class Embedder:
    """`embed` from one thread."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._images = measured("frames", model.images.embed)
        self._texts = _Vectors(measured("texts", model.texts.embed))
        self._prompts = _Vectors(measured("prompts", model.texts.embed_prompts))

    def embed(self, batch: Sequence[Source]) -> list[tuple[Features, ...]]:
        """What each record of `batch` gives: one features record, or several where a document has many cues.

        Raises ModelError only when the prompts of a rules record cannot be embedded: rules hold whole, or not at all.
        """
        frames = [f for s in batch if isinstance(s.media, SegmentMedia) for f in s.media.frames]
        words = [c.text for s in batch if isinstance(s.media, SegmentMedia | TextMedia) for c in s.media.cues]
        seen = iter(self._look(frames))
        vectors = self._texts.of(words)
        return [tuple(self._features(source, seen, vectors)) for source in batch]

    def embed_again(self, rules: RulesFeatures) -> RulesFeatures:
        """`rules` with the vectors of this model; raises ModelError as `embed` does."""
        return self._rules(RulesMedia(rules=rules.rules, at_ms=rules.at_ms))

    def _look(self, frames: Sequence[Frame]) -> Iterator[Seen]:
        for at in range(0, len(frames), FRAMES_AT_ONCE):
            pictures = [_picture(f) for f in frames[at : at + FRAMES_AT_ONCE]]
            rows = iter(asked(self._images, [p for p in pictures if not isinstance(p, str)]))
            for picture in pictures:
                if isinstance(picture, str):
                    yield Seen(error=picture)
                    continue
                row = next(rows)
                grid = luma_grid(picture)
                yield Seen(grid=grid, error=row) if isinstance(row, str) else Seen(to_wire(row), grid)

    def _features(self, source: Source, seen: Iterator[Seen], vectors: dict[str, Array | str]) -> Iterator[Features]:
        space = self._model.space.id
        match source.media:
            case SegmentMedia() as media:
                yield _segment(source, media, seen=[next(seen) for _ in media.frames], vectors=vectors, space=space)
            case TextMedia() as media:
                yield from _text(media, vectors, space=space)
            case RulesMedia() as media:
                yield self._rules(media)
            case ForgetMedia() as media:
                yield ForgetFeatures(**media.model_dump())
            case tick:
                yield TickFeatures(**tick.model_dump())

    def _rules(self, media: RulesMedia) -> RulesFeatures:
        rules = media.rules
        return RulesFeatures(
            rules=rules,
            at_ms=media.at_ms,
            space=self._model.space.id,
            picture_vectors=_all(rules.picture_prompts(), self._prompts),
            text_vectors=_all(rules.text_prompts(), self._texts),
        )


class _Vectors:
    """The vectors of texts, those of the last ones remembered."""

    def __init__(self, embed: Callable[[Sequence[str]], Array]) -> None:
        self._embed = embed
        self._known: OrderedDict[str, Array] = OrderedDict()

    def of(self, texts: Sequence[str]) -> dict[str, Array | str]:
        """For each of `texts` its vector, or why there is none."""
        out: dict[str, Array | str] = {}
        for text in dict.fromkeys(texts):
            if text in self._known:
                self._known.move_to_end(text)
                out[text] = self._known[text]
        new = [t for t in dict.fromkeys(texts) if t not in out]
        for at in range(0, len(new), TEXTS_AT_ONCE):
            some = new[at : at + TEXTS_AT_ONCE]
            out |= zip(some, asked(self._embed, some), strict=True)
        self._remember(out, new)
        return out

    def _remember(self, out: dict[str, Array | str], new: Sequence[str]) -> None:
        # A copy each: a row alone would keep the whole batch that it was embedded with.
        short = (t for t in new if len(t) <= TEXT_REMEMBERED_MAX)
        self._known |= {t: row.copy() for t in short if not isinstance(row := out[t], str)}
        while len(self._known) > TEXTS_REMEMBERED:
            self._known.popitem(last=False)


def measured(given: Input, embed: Callable[[Sequence[T]], Array]) -> Callable[[Sequence[T]], Array]:
    """`embed`, with what each call takes shown to operators."""

    def call(items: Sequence[T]) -> Array:
        with model_call(given, len(items)):
            return embed(items)

    return call


def asked(embed: Callable[[Sequence[T]], Array], items: Sequence[T]) -> list[Array | str]:
    """A row for each of `items`, or why the model has none for it: an error costs one item, not its batch.

    One bad item costs less than a good batch beside it, where a failing call costs what a good one does.
    """
    half = (len(items) + 1) // 2 if len(items) >= HALVED_FROM else len(items)
    return [row for at in range(0, len(items), half or 1) for row in _asked(embed, items[at : at + half])]


def _asked(embed: Callable[[Sequence[T]], Array], items: Sequence[T]) -> list[Array | str]:
    try:
        rows = embed(items)
        if len(rows) != len(items):
            raise ModelError(f"the model gave {len(rows)} vectors for {len(items)} inputs")
    except ModelError as e:
        if len(items) == 1:
            _log.warning("one input has no vector: %s", e)
            return [str(e)]
        part = -(-len(items) // PARTS)
        return [row for at in range(0, len(items), part) for row in _asked(embed, items[at : at + part])]
    return [row if _fits(row) else "the model gave a vector that is not finite in fp16" for row in rows]


def _fits(row: Array) -> bool:
    """Whether the log can hold `row`: one NaN would spoil every score of its window."""
    return bool((np.abs(row) <= np.finfo(np.float16).max).all())


def _picture(frame: Frame) -> Picture | str:
    try:
        return jpeg_to_rgb(frame.jpeg)
    except MediaError as e:
        return str(e)


def _segment(
    source: Source, media: SegmentMedia, *, seen: Sequence[Seen], vectors: dict[str, Array | str], space: str
) -> SegmentFeatures:
    cues, cue_error = _cues(media.cues, vectors)
    return SegmentFeatures(
        **_shared(SegmentFacts, media),
        space=space,
        media_partition=source.partition,
        media_offset=source.offset,
        frames=tuple(
            FrameFeatures(at=frame.at, cell=frame.cell, index=i, vector=one.vector, grid=one.grid)
            for i, (frame, one) in enumerate(zip(media.frames, seen, strict=True))
            if one.grid
        ),
        cues=cues,
        model_error=next((one.error for one in seen if one.error), cue_error),
    )


def _text(media: TextMedia, vectors: dict[str, Array | str], *, space: str) -> Iterator[TextFeatures]:
    """In records of bounded size: the vectors of a long document would pass the topic's limit."""
    for at in range(0, max(1, len(media.cues)), CUES_MAX):
        cues, error = _cues(media.cues[at : at + CUES_MAX], vectors)
        facts = _shared(TextFacts, media) | ({"warnings": ()} if at else {})
        yield TextFeatures(**facts, space=space, cues=cues, model_error=error)


def _cues(cues: Sequence[Any], vectors: dict[str, Array | str]) -> tuple[tuple[CueFeatures, ...], str | None]:
    out, error = [], None
    for cue in cues:
        row = vectors[cue.text]
        if isinstance(row, str):
            error = error or row
        out.append(CueFeatures(**dict(cue), vector=b"" if isinstance(row, str) else to_wire(row)))
    return tuple(out), error


def _shared(facts: type[SegmentFacts | TextFacts], media: SegmentMedia | TextMedia) -> dict[str, Any]:
    """What a media record and its features record have in common."""
    return {name: getattr(media, name) for name in facts.model_fields}


def _all(prompts: Sequence[str], vectors: _Vectors) -> tuple[bytes, ...]:
    rows = vectors.of(prompts)
    for prompt in prompts:
        if isinstance(why := rows[prompt], str):
            raise ModelError(f"the prompt {prompt!r} cannot be embedded: {why}")
    return tuple(to_wire(row) for prompt in prompts if not isinstance(row := rows[prompt], str))
