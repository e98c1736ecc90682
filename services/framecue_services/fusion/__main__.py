"""Fusion as a process: media records come in, features and results go out. A wiring diagram.

framecue run fusion
"""

from __future__ import annotations

from typing import Literal

from framecue.broker.protocol import Broker
from framecue.clock import SystemClock
from framecue.models.loading import load_model
from framecue.schemas.topics import MEDIA
from framecue.settings import Settings
from framecue_services.fusion.worker import FusionWorker
from framecue_services.hosting import host


def run(settings: Settings, *, other_space: Literal["refuse", "adopt"] = "refuse") -> None:
    """Serves until told to stop; raises as `hosting.host` does. `other_space` is what becomes of another model's."""
    chosen = settings.model
    model = load_model(chosen.name, lock=chosen.lock, deterministic=chosen.deterministic, device=chosen.device)

    def stage(broker: Broker) -> FusionWorker:
        return FusionWorker(
            model,
            settings=settings.analysis.machine(),
            clock=SystemClock(),
            broker=broker,
            snapshot_every_ms=settings.delivery.snapshot_every_ms,
            other_space=other_space,
        )

    host("fusion", settings, topics=(MEDIA.name,), stage=stage)
