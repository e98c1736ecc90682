"""Ingest as a process: segments and subtitles come in, media records go out. A wiring diagram.

framecue run ingest
"""

from __future__ import annotations

from typing import get_args

from framecue.broker.protocol import Broker
from framecue.media.pool import Cause, DecoderPool
from framecue.schemas.topics import MEDIA, SEGMENTS, SUBTITLES
from framecue.settings import Settings
from framecue.telemetry.metrics import observe
from framecue.telemetry.names import DECODER_RESTARTS
from framecue_services.hosting import host
from framecue_services.ingest.worker import IngestWorker


def run(settings: Settings) -> None:
    """Serves until told to stop; raises as `hosting.host` does."""
    own, delivery = settings.ingest, settings.delivery
    skip_older_than_ms = delivery.skip_older_than_ms if delivery.catch_up == "skip_older_than" else None
    with DecoderPool(own.decoders, limits=own.limits(), sampling=settings.sampling.plan()) as pool:

        def stage(broker: Broker) -> IngestWorker:
            _show_restarts(pool)
            return IngestWorker(
                pool,
                partitions=broker.partitions(MEDIA.name),
                threads=own.decoders,
                skip_older_than_ms=skip_older_than_ms,
                now_ms=broker.now_ms,
            )

        host("ingest", settings, topics=(SEGMENTS.name, SUBTITLES.name), stage=stage)


def _show_restarts(pool: DecoderPool) -> None:
    """How many decoders were lost, by why, for operators."""
    observe(DECODER_RESTARTS, lambda: [(pool.restarts.get(cause, 0), {"reason": cause}) for cause in get_args(Cause)])
