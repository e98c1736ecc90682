"""The Kafka client's own log lines, few and quiet: what goes wrong in it reaches us as an exception, logged there.

A broker that is away makes it write dozens of ERROR lines a second. Here each distinct line comes at most every ten
seconds, with how many like it were left out, and never above WARNING. It must not know what the lines mean.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

EVERY_S = 10.0
REMEMBERED = 256
"""Distinct lines; the client has fewer, but some carry addresses."""
CRITICAL_ONLY = ("kafka.net", "kafka.cluster")
"""Three ERROR lines per attempt to connect and client: that the broker is away is said by who needed it."""
EXPECTED = ("UnstableOffsetCommitError",)
"""An offset of a transaction that is being decided; the client asks again ten times a second, as it should."""


class ClientLog(logging.Filter):
    """Lets the client's records through now and then, at most as warnings."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._last: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if any(name in text for name in EXPECTED):
            return False
        with self._lock:
            left_out = self._left_out((record.name, str(record.msg)))
        if left_out is None:
            return False
        if left_out:
            record.msg, record.args = f"{text} ({left_out} more like it)", ()
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True

    def _left_out(self, line: tuple[str, str]) -> int | None:
        """How many like `line` were left out since it last came; None where it is too soon for it."""
        now_s = self._now_s()
        said_s, left_out = self._last.get(line, (now_s - EVERY_S, 0))
        if now_s - said_s < EVERY_S:
            self._last[line] = (said_s, left_out + 1)
            return None
        self._last[line] = (now_s, 0)
        self._last.move_to_end(line)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return left_out


_ours = ClientLog()


def quiet_client() -> None:
    """Puts one `ClientLog` before all of the client's loggers that there are by now; may be called again."""
    client = logging.getLogger("kafka")
    if client.level == logging.NOTSET:
        client.setLevel(logging.WARNING)
    for name in CRITICAL_ONLY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("kafka."):  # a filter counts only where a record is made
            logging.getLogger(name).addFilter(_ours)
