"""Log records as JSON, an object a line, with the ids of the trace in which something was logged. For machines."""

from __future__ import annotations

import json
import logging

from framecue.telemetry.traces import current_ids
from framecue.timeline import rfc3339


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, `service`, `slot`; `trace_id`, `span_id` and `exception` where there are.

    It says what a text line would and nothing more: whatever else hangs on a record stays there.
    """

    def __init__(self, service: str, *, slot: str) -> None:
        super().__init__()
        self._of = {"service": service, "slot": slot}

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._of,
        }
        if (ids := current_ids()) is not None:
            said["trace_id"], said["span_id"] = ids
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)
