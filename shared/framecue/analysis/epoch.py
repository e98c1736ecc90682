"""The state of one run of a stream. All of it goes into a snapshot; what it means to move it on is in `folding`."""

from __future__ import annotations

from dataclasses import dataclass, field

from framecue.analysis.captioning import Captioned
from framecue.analysis.events import Published, Run
from framecue.analysis.order import Timebase
from framecue.analysis.windows import Frame, Window
from framecue.analysis.words import Shelf, TextClock
from framecue.schemas.features import SegmentFeatures


@dataclass
class Gap:
    """Media that is missing. `segments` counts what had been accepted when it appeared."""

    start_ms: int
    end_ms: int
    segments: int
    published: bool = False


@dataclass
class Epoch:
    """The state of one run. All of it goes into a snapshot; nothing else is needed to go on."""

    number: int
    session: str | None
    source: tuple[str, int]
    """Topic and partition that its segments come from."""
    timebase: Timebase = field(default_factory=Timebase)
    clock: TextClock = field(default_factory=TextClock)
    shelf: Shelf = field(default_factory=Shelf)
    windows: dict[int, Window] = field(default_factory=dict)
    """Those that may still change, by start; those before `next_ms` are published."""
    next_ms: int = 0
    """The first window that the watermark has not passed."""
    settled_ms: int = 0
    rules: str = ""
    """The version in force."""
    runs: list[Run] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    signal: Published | None = None
    """The last loss of signal."""
    held: SegmentFeatures | None = None
    """A segment that jumped; the next one says what it was."""
    ending: bool = False
    """The last segment has come, one before it has not."""
    segments: int = 0
    segment_at_ms: int | None = None
    """Broker time of the last segment."""
    active_at_ms: int | None = None
    """Broker time of the last segment or text."""
    last_frame: Frame | None = None
    """The last frame of the windows that are final."""
    cuts: list[int] = field(default_factory=list)
    captioned: Captioned | None = None
    warned: list[str] = field(default_factory=list)
    singles: dict[str, int] = field(default_factory=dict)
    """How many events of one record left, by rule and start."""

    @property
    def signal_lost(self) -> bool:
        """Whether a loss of signal is open."""
        return self.signal is not None and self.signal.end_ms is None

    @property
    def wm_ms(self) -> int:
        """The watermark; 0 before the first segment."""
        return self.timebase.wm_ms or 0
