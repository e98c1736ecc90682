"""The captioner as a process: caption requests come in, captions go out. A wiring diagram.

framecue run captioner
"""

from __future__ import annotations

from framecue.broker.protocol import Broker
from framecue.clock import SystemClock
from framecue.models.loading import load_model
from framecue.schemas.topics import CAPTION_REQUESTS
from framecue.settings import Settings
from framecue_services.captioner.worker import PATIENCE_MS, CaptionWorker
from framecue_services.hosting import host


def run(settings: Settings) -> None:
    """Serves until told to stop; raises as `hosting.host` does."""
    chosen = settings.model
    model = load_model(chosen.name, lock=chosen.lock, deterministic=chosen.deterministic, device=chosen.device)

    def stage(broker: Broker) -> CaptionWorker:
        return CaptionWorker(model.captioner, broker, clock=SystemClock(), patience_ms=PATIENCE_MS)

    host("captioner", settings, topics=(CAPTION_REQUESTS.name,), stage=stage)
