"""The streams that metrics name. A label for each of thousands would cost Prometheus a series of each metric, for ever.

It must not know what is measured.
"""

from __future__ import annotations

import threading

OTHER = "other"
"""Stands for all streams without a label of their own; a stream of this name shares it."""


class StreamLabels:
    """The first `limit` streams that are asked for keep their ids. From any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._named: set[str] = set()

    def of(self, stream: str) -> str:
        """The label of `stream`, the same whenever it is asked for."""
        if stream in self._named:
            return stream
        with self._lock:
            if stream not in self._named:
                if len(self._named) >= self._limit:
                    return OTHER
                self._named.add(stream)
        return stream
