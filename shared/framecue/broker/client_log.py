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
_log = logging.getLogger(__name__)


class ClientLog(logging.Handler):
    """Passes on the client's records, rate-limited, as ours."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._last: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        key = (record.name, str(record.msg))
        now_s = self._now_s()
        said_s, left_out = self._last.get(key, (-EVERY_S, 0))
        if now_s - said_s < EVERY_S:
            self._last[key] = (said_s, left_out + 1)
            return
        self._last[key] = (now_s, 0)
        self._last.move_to_end(key)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        text = record.getMessage()
        level = logging.DEBUG if any(name in text for name in EXPECTED) else min(record.levelno, logging.WARNING)
        again = f" ({left_out} more like it)" if left_out else ""
        _log.log(
            level, "%s: %s%s", record.name, text, again, exc_info=record.exc_info if level > logging.DEBUG else None
        )


_installing = threading.Lock()


def quiet_client() -> None:
    """Puts a `ClientLog` in front of the client's loggers, once in a process."""
    root = logging.getLogger("kafka")
    with _installing:
        if any(isinstance(handler, ClientLog) for handler in root.handlers):
            return
        root.addHandler(ClientLog())
        root.propagate = False
        if root.level == logging.NOTSET:
            root.setLevel(logging.WARNING)
        for name in CRITICAL_ONLY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
