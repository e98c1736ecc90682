"""Who listens to live results as a browser does: comes back after a break, with the id of the last frame."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

AGAIN_S = 0.2
"""Sooner than a browser: the test waits for it."""


@dataclass(frozen=True)
class Frame:
    """One event of the stream."""

    id: str
    event: str
    data: Any

    @property
    def version(self) -> tuple[str, int]:
        """What tells a result from every other."""
        return self.data["id"], self.data.get("revision") or self.data.get("sequence") or 1


def frames(lines: Iterator[str]) -> Iterator[Frame]:
    """The frames of a stream, as its specification has it: an id holds until the next one, comments are nothing."""
    last_id, fields = "", dict[str, str]()
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line:
            last_id = fields.get("id", last_id)
            if "data" in fields:
                yield Frame(last_id, fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}


class Listener:
    """Listens in a thread meanwhile. A context manager; `frames` are what came, hellos apart."""

    def __init__(self, address: str, *, last_id: str = "", **asked: str) -> None:
        self.frames: list[Frame] = []
        self.hellos: list[Frame] = []
        self.last_id = last_id
        self._url, self._asked = f"{address}/v1/live", asked
        self._stop = threading.Event()
        self._client = httpx.Client(timeout=httpx.Timeout(5, read=60))
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    @property
    def versions(self) -> list[tuple[str, int]]:
        """The results that came, in their order."""
        return [frame.version for frame in self.frames if frame.event != "missed"]

    @property
    def missed(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.event == "missed"]

    def _listen(self) -> None:
        with self._client:
            while not self._stop.is_set():
                headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
                try:
                    with self._client.stream("GET", self._url, params=self._asked, headers=headers) as answer:
                        if answer.status_code == 200:
                            self._take(answer)
                except httpx.HTTPError:
                    pass
                self._stop.wait(AGAIN_S)

    def _take(self, answer: httpx.Response) -> None:
        for frame in frames(answer.iter_lines()):
            if self._stop.is_set():
                return
            self.last_id = frame.id
            (self.hellos if frame.event == "hello" else self.frames).append(frame)


def wait_until(condition: Any, *, within_s: float = 60, what: str = "it") -> None:
    """Returns when `condition` holds."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not come to be"
        time.sleep(0.02)
