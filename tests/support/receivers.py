"""Receivers of webhooks for tests: real servers on 127.0.0.1, well-behaved or not. They must not know the notifier."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
CERTIFIED = "hooks.example"
PAIR = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2qhuZsxTQgiL12mL
oeSUy/I9IrSPNX+fZReny+qco2mhRANCAATGiqNci9rPwysilGC2GKc3ParZQorh
tjNawDUqmLogRmswrlQp/Hg8Zh9DnAzIKY0JFFW6/zKz1888eNkiE9G4
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBgDCCASagAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1ob29rcy5l
eGFtcGxlMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA1ob29rcy5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExoqj
XIvaz8MrIpRgthinNz2q2UKK4bYzWsA1Kpi6IEZrMK5UKfx4PGYfQ5wMyCmNCRRV
uv8ys9fPPHjZIhPRuKNfMF0wEgYDVR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8E
BAMCAYYwHQYDVR0OBBYEFDaxwT2LD2no9V7RnKiszOw5gnDdMBgGA1UdEQQRMA+C
DWhvb2tzLmV4YW1wbGUwCgYIKoZIzj0EAwIDSAAwRQIgHt+tlIefpd2VQ061DaXT
LpEB7n8oRYsZGT9uFCWhXCcCIQDqHjYpY4P3yUqQjNF1mHjm6qPNf6G4o3ua3ll+
cYGA1A==
-----END CERTIFICATE-----
"""
"""Made for these tests, and of no use elsewhere: a certificate of itself for CERTIFIED, from 2020 to 2120."""


@dataclass(frozen=True)
class Delivered:
    """One request. `answered` is the status that it got, 0 where it got none."""

    path: str
    headers: dict[str, str]
    body: bytes
    answered: int

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> tuple[str, int]:
        """What repeats are told by."""
        return self.event["id"], self.event["sequence"]


@dataclass
class Behaviour:
    """How a receiver answers now: with `status`; or not at all, until `released` is set, where it `hangs`."""

    status: int = 200
    hangs: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)


class WebhookReceiver:
    """An HTTP server that keeps what it gets. A context manager; set how it behaves at any time, from one thread."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._lock = threading.Lock()
        self._first: list[Behaviour] = []
        self._behaviour = behaviour or Behaviour()
        self.requests: list[Delivered] = []
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://{HOST}:{self._server.server_address[1]}/hook?token=of-its-own"

    def __enter__(self) -> WebhookReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.behave(Behaviour())
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def behave(self, behaviour: Behaviour, *, first: Sequence[Behaviour] = ()) -> None:
        """`first` for the next requests, one each, then `behaviour`; what hung is let go."""
        with self._lock:
            before, self._behaviour, self._first = self._behaviour, behaviour, list(first)
        before.released.set()

    @property
    def accepted(self) -> list[Delivered]:
        """What it took, in order, without repeats."""
        found: dict[tuple[str, int], Delivered] = {}
        for one in list(self.requests):
            if 200 <= one.answered < 300:
                found.setdefault(one.key, one)
        return list(found.values())

    def _next(self) -> Behaviour:
        with self._lock:
            return self._first.pop(0) if self._first else self._behaviour

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                behaviour = receiver._next()
                if behaviour.hangs:
                    behaviour.released.wait()
                status = 0 if behaviour.hangs else behaviour.status
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Delivered(self.path, headers, body, status))
                with suppress(OSError):
                    self.send_response(behaviour.status)
                    for name, value in behaviour.headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler


@contextmanager
def answering(speak: Callable[[socket.socket], None], *, pair: Path | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server that reads each request and then lets `speak` answer; and the requests it read.

    With TLS by the key and certificate in the file `pair`.
    """
    requests: list[bytes] = []
    tls = None
    if pair is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pair)
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), tls.wrap_socket(sock, server_side=True) if tls else sock as spoken:
                request = spoken.recv(65536)  # in one piece, as the notifier sends it
                requests.append(request)
                speak(spoken)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
