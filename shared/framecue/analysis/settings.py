"""What the machine is told: plain numbers, in ms of media time unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MachineSettings:
    """`settle_ms` None means lag + 10 s. Bounds are checked where a person sets them (`framecue.settings`)."""

    window_ms: int = 2_000
    reorder_ms: int = 10_000
    max_gap_ms: int = 60_000
    lag_ms: int = 0
    settle_after_ms: int | None = None
    signal_lost_ms: int = 10_000
    """Broker time without a segment."""
    text_lost_ms: int = 60_000
    idle_ms: int = 300_000
    """Broker time without segment or text."""
    caption_every_ms: int = 10_000

    @property
    def settle_ms(self) -> int:
        """How far behind the watermark words may still come."""
        return self.lag_ms + 10_000 if self.settle_after_ms is None else self.settle_after_ms

    def __post_init__(self) -> None:
        if self.settle_ms < self.reorder_ms:
            raise ValueError(f"settle ({self.settle_ms} ms) must not be shorter than reorder ({self.reorder_ms} ms)")
