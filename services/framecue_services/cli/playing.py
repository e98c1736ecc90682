"""Where a demo plays: in this process, or on real servers in real time. The same sends, the same results.

It must not know what is played, nor how results are shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from framecue import Client
from framecue.client import Subscription
from framecue.errors import BrokerError
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.results import PublishedResult
from framecue.schemas.segment import CueIn, SegmentHeaders, SubtitleHeaders, segment_headers, subtitle_headers
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.cli.watching import in_order

POLL_S = 0.1
FINAL_S = 60.0
"""How long the last window may take to be final: a cold model on a busy machine."""
QUIET_S = 3.0
"""After which silence nothing more comes: descriptions follow a window within a second."""


class Place(Protocol):
    """Takes what is sent, gives what is made of it. Used by one thread."""

    def until(self, media_ms: int) -> Iterator[PublishedResult]:
        """What comes until it is `media_ms` on the stream's clock, which begins to run at the first call."""
        ...

    def push_segment(self, data: bytes, headers: SegmentHeaders) -> None:
        """Sends a segment."""
        ...

    def push_cues(self, cues: Sequence[CueIn], *, session: str, lag_ms: int) -> None:
        """Sends words that appear now."""
        ...

    def finish(self, end_ms: int) -> Iterator[PublishedResult]:
        """What still comes after the last segment, which ends at `end_ms`."""
        ...

    def picture(self, ref: FrameRef) -> bytes | None:
        """The JPEG of a frame that a result names."""
        ...


class Embedded:
    """A `Place` in this process: no time passes."""

    def __init__(self, running: EmbeddedPipeline, stream: str) -> None:
        self._running, self._stream = running, stream
        self.picture = running.picture

    def until(self, media_ms: int) -> Iterator[PublishedResult]:
        return self._running.pump()

    def push_segment(self, data: bytes, headers: SegmentHeaders) -> None:
        self._running.push_segment(self._stream, data, headers=segment_headers(headers))

    def push_cues(self, cues: Sequence[CueIn], *, session: str, lag_ms: int) -> None:
        headers = SubtitleHeaders(content_type="application/json", session=session, lag_ms=lag_ms)
        data = f"[{','.join(cue.model_dump_json(exclude_none=True) for cue in cues)}]".encode()
        self._running.push_text(self._stream, data, headers=subtitle_headers(headers))

    def finish(self, end_ms: int) -> Iterator[PublishedResult]:
        return self._running.finish(self._stream)


class OnServers:
    """A `Place` on real servers, where `pace` seconds of media go by in one.

    Results of runs that began before `began_at_ms` are left out.
    """

    def __init__(
        self, client: Client, stream: str, *, results: Subscription, began_at_ms: int, pace: float = 1.0
    ) -> None:
        self._client, self._stream, self._results, self._began_at_ms = client, stream, results, began_at_ms
        self._pace = pace
        self._clock_s: float | None = None
        self.picture = client.picture

    def until(self, media_ms: int) -> Iterator[PublishedResult]:
        if self._clock_s is None:
            self._clock_s = time.monotonic()
        due_s = self._clock_s + media_ms / 1000 / self._pace
        while (left_s := due_s - time.monotonic()) > 0:
            yield from self._poll(min(POLL_S, left_s))

    def push_segment(self, data: bytes, headers: SegmentHeaders) -> None:
        self._client.push_segment(self._stream, data, **dict(headers))
        self._client.flush()

    def push_cues(self, cues: Sequence[CueIn], *, session: str, lag_ms: int) -> None:
        self._client.push_text(self._stream, cues, session=session, lag_ms=lag_ms)
        self._client.flush()

    def finish(self, end_ms: int) -> Iterator[PublishedResult]:
        """Until the last window is final and nothing follows; raises BrokerError where that does not come."""
        began_s = last_s = time.monotonic()
        final = False
        while not final or time.monotonic() - last_s < QUIET_S:
            if not final and time.monotonic() - began_s > FINAL_S:
                raise BrokerError(
                    f"the last window was not final {FINAL_S:g} s after the film's end; see the logs of the services"
                )
            for result in self._poll(POLL_S):
                last_s = time.monotonic()
                final = final or _is_last(result, end_ms)
                yield result

    def _poll(self, timeout_s: float) -> Iterator[PublishedResult]:
        return (r for r in in_order(self._results.poll(timeout_s=timeout_s)) if r.epoch >= self._began_at_ms)


def _is_last(result: PublishedResult, end_ms: int) -> bool:
    """Whether this is the final word about the window in which a run ended."""
    return isinstance(result, Annotation) and end_ms <= result.end_ms <= result.settled_until_ms
