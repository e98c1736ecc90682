"""One service of FrameCue as a process: `framecue run NAME`, told by variables where the servers are.

It must not know what the service does, only how it says that it is ready.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from framecue.settings import Settings, child_environment
from framecue_services.cli.local.processes import Process
from framecue_services.cli.local.server import Server

GATEWAY, NOTIFIER = "gateway", "notifier"
SERVICES = ("ingest", "fusion", "captioner", "projector", GATEWAY)
"""The notifier comes with them where there are webhooks."""


def services_of(settings: Settings) -> tuple[str, ...]:
    """What runs of FrameCue on one machine."""
    return (*SERVICES, NOTIFIER) if settings.notifier.webhooks else SERVICES


def metrics_port(name: str, settings: Settings) -> int:
    """Where a service on this machine shows its metrics: the same whatever else runs."""
    return settings.local.metrics_port + (*SERVICES, NOTIFIER).index(name)


class Service(Server):
    """The service `name`, with its log and its ready file in the given folders."""

    def __init__(
        self, name: str, logs: Path, ready: Path, *, variables: Mapping[str, str], process: Process | None = None
    ) -> None:
        super().__init__(logs / f"{name}.log", process)
        self.name = name
        self._variables = variables
        self._ready_file = ready.resolve() / name

    def prepare(self) -> Sequence[str]:
        self._ready_file.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        return (sys.executable, "-m", "framecue_services.cli", "run", self.name)

    def answers(self) -> bool:
        return self.running and self._ready_file.exists()

    def environment(self) -> Mapping[str, str]:
        return child_environment({**self._variables, "FRAMECUE_RUN__READY_FILE": str(self._ready_file)})
