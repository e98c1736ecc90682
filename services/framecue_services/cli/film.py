"""A film as the pipeline wants it: self-contained segments, each with the cues that start in it in its headers.

Words come from the film's own text tracks and from documents beside it. It must not know what is made of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

from framecue.errors import SubtitleError, UnsupportedMediaError
from framecue.media.decoding import DecodeLimits
from framecue.media.documents import read_document
from framecue.media.segmenting import CutSegment, MediaInfo, cut
from framecue.media.text_tracks import read_file_tracks
from framecue.schemas.media import Cue
from framecue.schemas.segment import CUE_TEXT_MAX, CUES_MAX, CueIn, SegmentHeaders
from framecue.timeline import to_ms
from framecue_services.cli.stream_ids import typed_stream

SIDECAR_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp")
SESSION = "film"
"""One name for every run of `analyze`: its results are a function of the film."""
HEADER_TEXT_MAX = 1 << 18
"""Characters of all cues in one header: 1 MiB at most, and a message has 2 MiB beside its segment."""
WARNINGS_MAX, WARNING_MAX = 20, 500
"""What the header holds."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})?")


@dataclass(frozen=True)
class Words:
    """The film's words in media time, in order. `sources` say where they came from, `warnings` what was not read."""

    cues: tuple[CueIn, ...]
    sources: tuple[str, ...]
    warnings: tuple[str, ...]


def stream_of(film: Path, asked: str | None) -> str:
    """The stream id asked for, else one made of the film's name; raises SetupError for an impossible one."""
    if asked is None:
        return re.sub(r"[^A-Za-z0-9._-]+", "-", film.stem)[:128].strip("-") or "film"
    return typed_stream(asked)


def check_readable(film: Path) -> None:
    """Raises UnsupportedMediaError where `film` cannot even be opened."""
    try:
        with film.open("rb"):
            pass
    except OSError as e:
        raise UnsupportedMediaError(f"{film} cannot be read: {(e.strerror or str(e)).lower()}") from e


def sidecars(film: Path) -> tuple[Path, ...]:
    """Subtitle documents beside the film with its name: `film.srt`, `film.en.vtt`; in the order of their names."""
    try:
        beside = sorted(film.parent.iterdir())
    except OSError:
        return ()
    return tuple(
        path
        for path in beside
        if path.suffix.lower() in SIDECAR_SUFFIXES
        and (path.stem == film.stem or path.stem.rpartition(".")[0] == film.stem)
        and path.is_file()
    )


def read_words(film: Path, documents: Sequence[Path], *, found: Sequence[Path] = (), info: MediaInfo) -> Words:
    """Everything that is said: the film's own tracks, `documents`, and what was `found` beside it.

    Raises SubtitleError that names the file for one of `documents`; one that was only found is a warning then.
    """
    tracks, unread = read_file_tracks(film)
    cues = [_cue(cue, -to_ms(info.first)) for cue in tracks]
    sources = [f"{len(tracks)} lines from the film's own text tracks"] if tracks else []
    warnings = list(unread)
    for path in (*documents, *found):
        try:
            document = read_document(path, language=_language(film, path))
            cues += [_cue(cue, _shift_ms(cue, path, info)) for cue in document.cues]
        except SubtitleError as e:
            if path in documents:
                raise
            warnings.append(e.reason)
            continue
        warnings += [f"{path.name}: {warning}" for warning in document.warnings]
        sources.append(f"{len(document.cues)} lines from {path.name} ({document.format}, {document.encoding})")
    ordered = sorted(dict.fromkeys(cues), key=lambda c: (_start_ms(c), c.end_ms or 0, c.text))
    return Words(tuple(ordered), tuple(sources), tuple(dict.fromkeys(warnings)))


def segments(
    film: Path | bytes,
    cues: Iterable[CueIn],
    *,
    seconds: Fraction,
    session: str = SESSION,
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008 (frozen)
    lag_ms: int = 0,
    warnings: Sequence[str] = (),
) -> Iterator[tuple[CutSegment, SegmentHeaders]]:
    """The film in pieces of about `seconds`, numbered, timed, the last one marked as the end.

    A cue goes with the piece in which it is said, `lag_ms` before it appears; what is said after the film goes with the
    last. The first piece carries `warnings`. Raises the MediaError tree.
    """
    waiting = sorted(cues, key=_start_ms)
    sent = 0
    pieces = cut(film, target_seconds=seconds, limits=limits)
    piece = next(pieces, None)
    while piece is not None:
        after = next(pieces, None)
        due = len(waiting) if after is None else bisect_left(waiting, to_ms(piece.end) + lag_ms, key=_start_ms)
        left_out = due - sent - _fitting(waiting[sent:due])  # or follows with the next piece
        said = list(warnings) if piece.index == 0 else []
        if after is None and left_out:
            said.append(f"{left_out} lines of text are left out: too many at the end of the film")
        if piece.broken_off is not None:
            said.insert(0, piece.broken_off)
        headers = SegmentHeaders(
            session=session,
            seq=piece.index,
            start=piece.start,
            cues=tuple(waiting[sent : due - left_out]),
            warnings=tuple(w[:WARNING_MAX] for w in said[:WARNINGS_MAX]),
            end=after is None,
        )
        sent = due - left_out
        yield piece, headers
        piece = after


def _fitting(cues: Sequence[CueIn]) -> int:
    """How many of `cues` one header holds, from the first on."""
    lengths = accumulate(len(cue.text) for cue in cues[:CUES_MAX])
    return sum(length <= HEADER_TEXT_MAX for length in lengths)


def _start_ms(cue: CueIn) -> int:
    return cue.start_ms or 0


def _language(film: Path, document: Path) -> str | None:
    """What the name says: `film.en.srt` is English; None where it says nothing."""
    said = document.stem.removeprefix(film.stem).removeprefix(".").lower()
    return said if _LANGUAGE.fullmatch(said) else None


def _shift_ms(cue: Cue, path: Path, info: MediaInfo) -> int:
    """From the cue's clock to media time; raises SubtitleError where it is none that a film has."""
    match cue.clock:
        case "start":
            return 0
        case "mpegts" | "container":
            return -to_ms(info.first)
        case "wall" | "live":
            raise SubtitleError(f"{path.name}: its lines say no time in the film; give start_ms and end_ms, or an SRT")


def _cue(cue: Cue, shift_ms: int) -> CueIn:
    return CueIn(
        start_ms=cue.start_ms + shift_ms,
        end_ms=max(cue.start_ms, cue.end_ms) + shift_ms,
        text=cue.text[:CUE_TEXT_MAX],
        language=cue.language,
    )
