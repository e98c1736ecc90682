"""How a service lives: it waits for its broker, runs its loops, says when it is ready, and ends in good order.

A service is started, killed and started again by whoever looks after it; nothing here knows which service it is.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Lock
from typing import Literal

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.loop import Loop
from framecue.broker.protocol import Broker
from framecue.broker.stage import Stage
from framecue.errors import BrokerError, FaultRateError
from framecue.settings import Settings
from framecue.telemetry.logs import JsonFormatter
from framecue.telemetry.metrics import level
from framecue.telemetry.names import READY
from framecue.telemetry.setup import reporting

StageFactory = Callable[[Broker, Event], Stage]
"""Makes a stage over a broker that answers; the event is set when the service is told to stop."""
RETRY_S = 1.0
TEXT_LINE = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_log = logging.getLogger(__name__)


def host(
    name: str,
    settings: Settings,
    *,
    topics: Sequence[str],
    stage: Callable[[Broker], Stage],
) -> None:
    """Runs one service until SIGTERM or SIGINT, over `topics` as a member of the group `name`.

    It waits for a broker as long as that takes; `stage` is made once there is one. Raises SetupError where a person
    must mend something, DisplacedError when another worker has this one's slot, and FaultRateError, once it is told to
    stop, after too many records failed: until then it stays, unready.
    """
    host_all(settings, topics=topics, stages={name: lambda broker, _: stage(broker)})


def host_all(settings: Settings, *, topics: Sequence[str], stages: Mapping[str, StageFactory]) -> None:
    """As `host`, with a loop for each group of `stages`, side by side: one that waits delays no other.

    They are ready together, and stop together when one of them raises. The service is named as their groups are,
    before the first dot.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service = next(iter(stages)).partition(".")[0]
    with (
        reporting(settings.telemetry.reporting(service, slot=settings.slot)),
        ThreadPoolExecutor(len(stages), thread_name_prefix="loop") as threads,
    ):
        ready = Readiness(settings.run.ready_file, stages)
        loops = [
            threads.submit(_serve, name, settings, topics=topics, stage=stage, stop=stop, ready=ready)
            for name, stage in stages.items()
        ]
        wait(loops, return_when=FIRST_EXCEPTION)
        stop.set()
    for loop in loops:
        loop.result()


def _serve(
    name: str, settings: Settings, *, topics: Sequence[str], stage: StageFactory, stop: Event, ready: Readiness
) -> None:
    """One loop, from its first broker until `stop`."""
    with ThreadPoolExecutor(1, thread_name_prefix=name) as executor, ExitStack() as closing:

        def joined() -> Loop:
            """A loop over a broker that answers."""
            connection = settings.kafka.connection(client_id=f"framecue-{name}-{settings.slot}")
            with ExitStack() as undoing:
                broker = undoing.enter_context(contextlib.closing(KafkaBroker(connection, slot=settings.slot)))
                bounds = settings.delivery.loop()
                made = Loop(broker, stage(broker, stop), group=name, topics=topics, settings=bounds, executor=executor)
                closing.push(undoing.pop_all())
            return made

        loop = _once_it_answers(joined, stop)
        if loop is None:
            return
        _log.info("%s runs as slot %s", name, settings.slot)
        try:
            loop.run(stop, on_settled=lambda settled: ready.tell(name, settled))
        except FaultRateError as e:
            # Ending would only bring the same deploy back, which would give up some more records, and again.
            _log.critical("%s: %s; it stays, unready, until it is stopped", name, e)
            stop.wait()
            raise


def log_to_stderr(form: Literal["text", "json"] = "text", *, service: str = "", slot: str = "") -> None:
    """One line for each thing that happened, with its time: for people, or as JSON, with which service it was."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, slot=slot) if form == "json" else logging.Formatter(TEXT_LINE))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class Readiness:
    """A file that is there while all of `parts` are ready, for whoever started the service. From any thread.

    Metrics tell of each part for itself.
    """

    def __init__(self, path: Path | None, parts: Iterable[str]) -> None:
        self._path, self._unready, self._lock = path, set(parts), Lock()
        for part in self._unready:
            level(READY, 0, group=part)
        self._show(False)

    def tell(self, part: str, ready: bool) -> None:
        """Makes or removes the file, where that changes."""
        level(READY, int(ready), group=part)
        with self._lock:
            was_ready = not self._unready
            (self._unready.discard if ready else self._unready.add)(part)
            if was_ready == bool(self._unready):
                self._show(not self._unready)

    def _show(self, ready: bool) -> None:
        _log.info("ready" if ready else "not ready")
        if self._path is None:
            return
        if ready:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        else:
            self._path.unlink(missing_ok=True)


def _once_it_answers(make: Callable[[], Loop], stop: Event) -> Loop | None:
    """What `make` gives, tried again as long as the broker is away; None where the service is told to stop first."""
    while not stop.is_set():
        try:
            return make()
        except BrokerError as e:
            _log.warning("%s", e)
            stop.wait(RETRY_S)
    return None
