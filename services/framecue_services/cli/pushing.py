"""`framecue push`: a film into Kafka as segments, flat out or as it plays, once or again and again.

A run has a session of its own, and its segments are numbered: so whatever is not known to have arrived is simply sent
again, and counts once. It must not know what is made of them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Literal

from rich.console import Console

from framecue import Client
from framecue.clock import SystemClock
from framecue.errors import BrokerError
from framecue.media.decoding import DecodeLimits
from framecue.media.segmenting import MediaInfo, probe
from framecue.schemas.segment import CueIn, SegmentHeaders
from framecue.settings import load_settings
from framecue.telemetry.setup import reporting
from framecue.timeline import rfc3339, to_ms
from framecue_services.cli.film import Words, check_readable, read_words, segments, sidecars, stream_of
from framecue_services.cli.interrupting import INTERRUPTED, interruptible
from framecue_services.cli.progress import along_film
from framecue_services.cli.wording import clean, clock

PATIENCE_S = 600.0
"""How long Kafka may be away: an outage that somebody is called for."""
RETRY_S = 1.0
FLUSH_BYTES = 8 << 20
"""Sent but not known to have arrived: what may have to be sent again."""


@dataclass(frozen=True)
class PushRequest:
    """What the command line asked for; None leaves it to the settings, `subtitles` to what lies beside the film."""

    film: Path
    stream: str | None = None
    subtitles: tuple[Path, ...] | None = None
    lag_ms: int | None = None
    segment_seconds: float = 2.0
    realtime: bool = False
    loop: bool = False


@dataclass(frozen=True)
class Piece:
    """One segment to send; `end` is where its media time ends, from the start of the run."""

    data: bytes
    headers: SegmentHeaders
    start: Fraction
    end: Fraction

    def told(self, **more: object) -> Piece:
        """The same with more headers."""
        return replace(self, headers=self.headers.model_copy(update=more))


def push_film(request: PushRequest) -> int:
    """Sends the film and says on stderr how it goes; gives the exit code: 0, or 130 where it was interrupted.

    Raises InputErrors for an unusable film or words, BrokerError where Kafka does not answer, or is away for too long.
    """
    err, wall = Console(stderr=True, highlight=False, soft_wrap=True), SystemClock()
    settings = load_settings()
    stream = stream_of(request.film, request.stream)
    check_readable(request.film)
    limits = settings.ingest.limits()
    info = probe(request.film, limits=limits)
    lag_ms = settings.analysis.lag_ms if request.lag_ms is None else request.lag_ms
    words = _words(request, info)
    unread = tuple(dict.fromkeys((*info.warnings, *words.warnings)))
    for sentence in (*words.sources, *unread):
        err.print(f"framecue: {clean(sentence)}", markup=False)
    session = f"{rfc3339(wall.now_ms())}-{secrets.token_hex(3)}"
    pieces = in_rounds(
        request.film,
        words.cues,
        seconds=Fraction(str(request.segment_seconds)),
        session=session,
        limits=limits,
        lag_ms=lag_ms,
        warnings=unread,
        rounds="endless" if request.loop else "one",
    )
    total_ms = None if info.duration is None or request.loop else to_ms(info.duration)
    with (
        reporting(settings.telemetry.reporting("push", slot=settings.slot, prometheus="never")),
        Client.from_settings(settings) as client,
        interruptible() as stop,
        along_film(err, total_ms, doing="connecting to Kafka") as advance,
    ):
        sending = Sending(client, stream, stop=stop, say=lambda text: err.print(f"framecue: {text}", markup=False))
        began_at_ms, began_s = wall.now_ms(), time.monotonic()
        for piece in pieces:
            piece = piece.told(lag_ms=request.lag_ms)
            if request.realtime:
                stop.wait(max(0.0, began_s + float(piece.end) - time.monotonic()))
                piece = piece.told(captured_at_ms=began_at_ms + to_ms(piece.start))
            if stop.is_set():
                piece = piece.told(end=True)
            sending.send(piece, when="at once" if request.realtime else "with others")
            advance(to_ms(piece.end), "pushing")
            if piece.headers.end:
                break
    err.print(f"framecue: {sending.summary} to the stream {stream}, session {session}", markup=False)
    return INTERRUPTED if stop.is_set() else 0


def in_rounds(
    film: Path | bytes,
    cues: Sequence[CueIn],
    *,
    seconds: Fraction,
    session: str,
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008 (frozen)
    lag_ms: int = 0,
    warnings: Sequence[str] = (),
    rounds: Literal["one", "endless"] = "one",
) -> Iterator[Piece]:
    """The film's pieces; in `endless` rounds its media time, numbers and cues go on, and none says that it is the end.

    Raises the MediaError tree.
    """
    seq, began = 0, Fraction(0)
    while True:
        over = began
        for piece, headers in segments(
            film, cues, seconds=seconds, session=session, limits=limits, lag_ms=lag_ms, warnings=warnings
        ):
            over = began + piece.end
            if rounds == "endless":
                headers = _going_on(headers, seq, began)
            seq += 1
            yield Piece(piece.data, headers, began + piece.start, over)
        if rounds == "one":
            return
        began, warnings = over, ()


class Sending:
    """Sends the pieces of one run in their order, and again where Kafka was away meanwhile: up to ten minutes.

    `say` is told when it goes away and comes back. When `stop` is set nobody waits for it any longer.
    """

    def __init__(self, client: Client, stream: str, *, stop: Event, say: Callable[[str], None]) -> None:
        self._client, self._stream, self._stop, self._say = client, stream, stop, say
        self._waiting: list[Piece] = []
        self._segments, self._bytes, self._until = 0, 0, Fraction(0)

    def send(self, piece: Piece, *, when: Literal["at once", "with others"]) -> None:
        """Returns when `piece` stands in Kafka, or waits to be sent with the next ones.

        Raises BrokerError when Kafka was never there, or is away for too long.
        """
        self._waiting.append(piece)
        if when == "at once" or piece.headers.end or sum(len(p.data) for p in self._waiting) >= FLUSH_BYTES:
            self._deliver()

    @property
    def summary(self) -> str:
        """What was sent, in words."""
        return f"{self._segments} segments, {clock(to_ms(self._until))} of media, {self._bytes / 1e6:.1f} MB"

    def _deliver(self) -> None:
        began_s, away = time.monotonic(), False
        while True:
            try:
                for piece in self._waiting:
                    self._client.push_segment(self._stream, piece.data, **dict(piece.headers))
                self._client.flush()
                break
            except BrokerError as e:
                waited_s = time.monotonic() - began_s
                if self._segments == 0 or self._stop.is_set() or waited_s > PATIENCE_S:
                    raise
                if not away:
                    self._say(f"Kafka takes nothing, trying again for {PATIENCE_S / 60:g} minutes: {clean(str(e))}")
                away = True
                self._stop.wait(RETRY_S)
        if away:
            self._say("Kafka is back; nothing was lost")
        self._segments += len(self._waiting)
        self._bytes += sum(len(piece.data) for piece in self._waiting)
        self._until = self._waiting[-1].end
        self._waiting.clear()


def _words(request: PushRequest, info: MediaInfo) -> Words:
    found = sidecars(request.film) if request.subtitles is None else ()
    return read_words(request.film, request.subtitles or (), found=found, info=info)


def _going_on(headers: SegmentHeaders, seq: int, began: Fraction) -> SegmentHeaders:
    """`headers` of a piece in a later round, that begins at `began`."""
    cues = tuple(_shifted(cue, to_ms(began)) for cue in headers.cues)
    start = began + (headers.start or 0)
    return headers.model_copy(update={"seq": seq, "start": start, "cues": cues, "end": False})


def _shifted(cue: CueIn, by_ms: int) -> CueIn:
    if cue.start_ms is None or cue.end_ms is None:
        return cue
    return cue.model_copy(update={"start_ms": cue.start_ms + by_ms, "end_ms": cue.end_ms + by_ms})
