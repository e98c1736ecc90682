"""How a service lives: it waits for its broker, runs its loop, says when it is ready, and ends in good order.

A service is started, killed and started again by whoever looks after it; nothing here knows which service it is.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.loop import Loop
from framecue.broker.protocol import Broker
from framecue.broker.stage import Stage
from framecue.errors import BrokerError, FaultRateError
from framecue.settings import Settings

RETRY_S = 1.0
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
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ready = Readiness(settings.run.ready_file)
    ready.tell(False)
    with ThreadPoolExecutor(1, thread_name_prefix=name) as executor, ExitStack() as closing:

        def joined() -> Loop:
            """A loop over a broker that answers."""
            connection = settings.kafka.connection(client_id=f"framecue-{name}-{settings.slot}")
            with ExitStack() as undoing:
                broker = undoing.enter_context(contextlib.closing(KafkaBroker(connection, slot=settings.slot)))
                bounds = settings.delivery.loop()
                made = Loop(broker, stage(broker), group=name, topics=topics, settings=bounds, executor=executor)
                closing.push(undoing.pop_all())
            return made

        loop = _once_it_answers(joined, stop)
        if loop is None:
            return
        _log.info("%s runs as slot %s", name, settings.slot)
        try:
            loop.run(stop, on_settled=ready.tell)
        except FaultRateError as e:
            # Ending would only bring the same deploy back, which would give up some more records, and again.
            _log.critical("%s: %s; it stays, unready, until it is stopped", name, e)
            stop.wait()
            raise


def log_to_stderr() -> None:
    """One line for each thing that happened, with its time."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-8s %(name)s: %(message)s"
    )


class Readiness:
    """A file that is there while the service is ready, for whoever started it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def tell(self, ready: bool) -> None:
        """Makes or removes the file."""
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
