"""A gateway's application behind a real port, in this process: a test client cannot listen to what does not end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from framecue_services.gateway.__main__ import server_of

START_S = STOP_S = 30.0


@contextmanager
def serving(app: FastAPI) -> Generator[str]:
    """The address that `app` answers on meanwhile, as `http://127.0.0.1:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = server_of(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="gateway", daemon=True)
        thread.start()
        try:
            _until_it_serves(server, thread)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(STOP_S)
    assert not thread.is_alive(), "the gateway did not end"


def _until_it_serves(server: uvicorn.Server, thread: threading.Thread) -> None:
    end_s = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the gateway ended while it started"
        assert time.monotonic() < end_s, "the gateway did not start"
        time.sleep(0.01)
