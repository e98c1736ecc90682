"""`framecue analyze`: a film in, JSON lines out; the composition of every stage over one film.

It holds no logic of theirs: it reads options, files and settings, pushes, and writes what comes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from rich.console import Console

from framecue.errors import DamagedMediaError, SetupError
from framecue.media.segmenting import CutSegment, probe
from framecue.models.protocols import Model
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import WARNING, Event
from framecue.schemas.results import PublishedResult
from framecue.schemas.segment import SegmentHeaders, segment_headers
from framecue.settings import Settings, load_settings, overlaid
from framecue.timeline import to_ms
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.cli.film import check_readable, read_words, segments, sidecars, stream_of
from framecue_services.cli.output import write_line
from framecue_services.cli.progress import Advance, along_film
from framecue_services.cli.report.recording import Recording
from framecue_services.cli.rules_file import DEFAULT_RULES, read_rules
from framecue_services.cli.running import faces, load, pipeline, refusals, write_report
from framecue_services.cli.wording import clean


@dataclass(frozen=True)
class AnalyzeRequest:
    """What the command line asked for; None leaves it to the settings, `subtitles` to what lies beside the film.

    `deterministic` is not left to them: two runs over one film say the same.
    """

    film: Path
    subtitles: tuple[Path, ...] | None = None
    lag_ms: int | None = None
    rules: Path | None = None
    model: str | None = None
    sampling: Literal["exact", "keyframes"] | None = None
    segment_seconds: float = 6.0
    deterministic: bool = True
    stream: str | None = None
    report: Path | None = None


def analyze_film(
    request: AnalyzeRequest,
    *,
    load: Callable[[Settings], Model] = load,
    out: BinaryIO | None = None,
    err: Console | None = None,
) -> None:
    """Writes the film's results to `out` (stdout) as they come, says the rest on `err` (stderr), the report at the end.

    Raises RulesError and SetupError for what is wrong with the call, other InputErrors for an unusable film.
    """
    out, err = out or sys.stdout.buffer, err or Console(stderr=True, highlight=False, soft_wrap=True)
    rules = read_rules(request.rules, default=DEFAULT_RULES)
    settings = _settings(request)
    stream = stream_of(request.film, request.stream)
    _check_places(request)
    limits = settings.ingest.limits()
    info = probe(request.film, limits=limits)
    found = sidecars(request.film) if request.subtitles is None else ()
    words = read_words(request.film, request.subtitles or (), found=found, info=info)
    unread = tuple(dict.fromkeys((*info.warnings, *words.warnings)))
    for sentence in (*words.sources, *unread):
        err.print(f"framecue: {clean(sentence)}", markup=False)
    windows = 0
    total_ms = None if info.duration is None else to_ms(info.duration)
    with along_film(err, total_ms, doing="loading the model") as advance:
        model = load(settings)
        pieces = segments(
            request.film,
            words.cues,
            seconds=Fraction(str(request.segment_seconds)),
            limits=limits,
            lag_ms=settings.analysis.lag_ms,
            warnings=unread,
        )
        with pipeline(model, settings, rules) as running:
            recording = None if request.report is None else Recording(running.picture, faces=faces(settings, err))
            for result in _play(running, stream, pieces, advance, at_once=settings.ingest.decoders):
                windows += isinstance(result, Annotation)
                write_line(out, result)
                if isinstance(result, Event) and result.rule == WARNING and result.message not in unread:
                    err.print(f"framecue: {clean(result.message or '')}", markup=False)
                if recording is not None:
                    recording.add(result)
            refused = refusals(running)
    for reason in dict.fromkeys(refused):
        err.print(f"framecue: not used: {clean(reason)}", markup=False)
    if windows == 0:
        raise DamagedMediaError(
            f"{request.film.name} gave no picture: {refused[0] if refused else 'it holds nothing to look at'}"
        )
    if request.report is not None and recording is not None:
        notes = (*words.sources, *unread)
        write_report(
            request.report,
            recording.recorded(),
            rules,
            title=request.film.name,
            stream=stream,
            settings=settings,
            notes=[f"{note[:1].upper()}{note[1:]}." for note in notes],
        )
        err.print(f"framecue: the report is {request.report}", markup=False)


def _play(
    running: EmbeddedPipeline,
    stream: str,
    pieces: Iterator[tuple[CutSegment, SegmentHeaders]],
    advance: Advance,
    *,
    at_once: int,
) -> Iterator[PublishedResult]:
    """Pushes the film, `at_once` pieces at a time, so that as many decoders have work; gives its results as they come.

    To the end: where the last piece was refused, nothing else closes the stream.
    """
    while some := list(islice(pieces, at_once)):
        for piece, headers in some:
            running.push_segment(stream, piece.data, headers=segment_headers(headers))
        yield from running.pump()
        advance(to_ms(some[-1][0].end), "watching")
    yield from running.finish(stream)


def _settings(request: AnalyzeRequest) -> Settings:
    """The deployment's settings, with what the command line says on top."""
    asked: dict[str, dict[str, object]] = {
        "model": {"name": request.model, "deterministic": request.deterministic},
        "sampling": {"mode": request.sampling},
        "analysis": {"lag_ms": request.lag_ms},
    }
    given = {section: {k: v for k, v in values.items() if v is not None} for section, values in asked.items()}
    return overlaid(load_settings(), given)


def _check_places(request: AnalyzeRequest) -> None:
    """Whether the film can be read and the report written, before an hour is spent."""
    check_readable(request.film)
    report = request.report
    if report is None:
        return
    if not report.parent.is_dir():
        raise SetupError(f"the report cannot go to {report}: there is no folder {report.parent}")
    if report.is_dir():
        raise SetupError(f"the report cannot go to {report}: that is a folder; name a page in it")
    inputs = (request.film, *(request.subtitles or ()), *filter(None, (request.rules,)))
    if report.exists() and any(path.exists() and report.samefile(path) for path in inputs):
        raise SetupError(f"the report cannot go to {report}: that is what is read; name another page")
