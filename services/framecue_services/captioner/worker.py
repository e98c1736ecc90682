"""Captioner: a request becomes a caption, from the frames and words that the request names. A map without state.

Frames are fetched from the `media` topic by where they stand, so a slow model never delays annotations. What cannot be
made is published as skipped, with its reason; so is what waited too long while more waits. It must not know when a
caption is wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from framecue.broker.pictures import fetch_picture
from framecue.broker.protocol import Broker, Message, Record
from framecue.broker.publishing import about, dead_letter, result_message
from framecue.broker.stage import MapStage, Outputs
from framecue.clock import Clock
from framecue.errors import InputError, ModelError
from framecue.media.pictures import jpeg_to_rgb
from framecue.models.protocols import Captioner, Picture
from framecue.schemas.annotation import FrameRef
from framecue.schemas.caption import Caption, CaptionRequest
from framecue.schemas.codec import unpack_request
from framecue.telemetry.calls import model_call, show_model_failures
from framecue.telemetry.metrics import add
from framecue.telemetry.names import RESULTS, SHED
from framecue.telemetry.traces import span, traceparent_of

STAGE = "captioner"
EXPIRED = "the pictures of this window are no longer kept"
PATIENCE_MS = 60_000
"""A sentence about what happened a minute ago is no news, and the next window wants one."""
_log = logging.getLogger(__name__)


class CaptionWorker(MapStage):
    """`broker.stage.Stage` over `caption-requests`. `clock` as in `broker.publishing.result_message`.

    Requests written longer than `patience_ms` ago, by the broker's time, are skipped while others wait behind them;
    None makes every one.
    """

    def __init__(
        self, captioner: Captioner, broker: Broker, *, clock: Clock | None = None, patience_ms: int | None = None
    ) -> None:
        self._captioner, self._broker, self._clock = captioner, broker, clock
        self._patience_ms = patience_ms
        _show_zeros()

    def handle(self, batch: Sequence[Record]) -> Outputs:
        results = [self._one(record, more_wait=i < len(batch) - 1) for i, record in enumerate(batch)]
        return Outputs(tuple((message,) for message, _ in results), failed=sum(failed for _, failed in results))

    def _one(self, record: Record, *, more_wait: bool) -> tuple[Message, bool]:
        """What `record` gives, and whether that is by a fault of our own."""
        try:
            request = unpack_request(record.value or b"")
        except InputError as e:
            return dead_letter(record, STAGE, e), False
        came = traceparent_of(record.headers) or request.traceparent
        with span("caption", came, about={**about(record), "framecue.window": request.id}) as here:
            try:
                caption, failed = self._made(request, record, more_wait=more_wait), False
            except InputError as e:
                here.failed(e)
                return dead_letter(record, STAGE, e), False
            except ModelError as e:
                here.failed(e)
                _log.warning("no caption of %s: %s", request.id, e)
                caption, failed = self._skipped(request, str(e)), True
            add(RESULTS, kind="caption")
            return result_message(caption, self._clock, traceparent=here.traceparent), failed

    def _made(self, request: CaptionRequest, record: Record, *, more_wait: bool) -> Caption:
        if more_wait and (waited_ms := self._waited_ms(record)) is not None:
            add(SHED, group=STAGE, reason="waited")
            return self._skipped(request, f"waited for {waited_ms // 1000} s, and others wait behind it")
        return self._caption(request, self._pictures(request))

    def _waited_ms(self, record: Record) -> int | None:
        """How long `record` waited where that is too long, else None."""
        now_ms = self._broker.now_ms()
        if self._patience_ms is None or now_ms is None or record.timestamp_ms is None:
            return None
        waited_ms = now_ms - record.timestamp_ms
        return waited_ms if waited_ms > self._patience_ms else None

    def _pictures(self, request: CaptionRequest) -> list[tuple[FrameRef, Picture]]:
        """The frames of `request` that are still there."""
        found = ((ref, fetch_picture(self._broker, ref)) for ref in request.frames)
        return [(ref, jpeg_to_rgb(jpeg)) for ref, jpeg in found if jpeg is not None]

    def _caption(self, request: CaptionRequest, pictures: Sequence[tuple[FrameRef, Picture]]) -> Caption:
        if request.frames and not pictures:
            add(SHED, group=STAGE, reason="expired")
            return self._skipped(request, EXPIRED)
        with model_call("caption", len(pictures)):
            made = self._captioner.describe(
                [picture for _, picture in pictures], scene=request.scene, quotes=[c.text for c in request.cues]
            )
        return self._blank(request).model_copy(
            update={"text": made.text, "named": made.named, "frames": tuple(ref for ref, _ in pictures)}
        )

    def _skipped(self, request: CaptionRequest, reason: str) -> Caption:
        return self._blank(request).model_copy(update={"status": "skipped", "reason": reason})

    def _blank(self, request: CaptionRequest) -> Caption:
        return Caption(
            id=request.id,
            stream=request.stream,
            epoch=request.epoch,
            start_ms=request.start_ms,
            end_ms=request.end_ms,
            model=self._captioner.name,
            cues=request.cues,
        )


def _show_zeros() -> None:
    """Shows what is to be counted before it is: no alert sees a step from nothing to one."""
    show_model_failures()
    add(RESULTS, 0, kind="caption")
    for reason in ("waited", "expired"):
        add(SHED, 0, group=STAGE, reason=reason)
