"""One receiver of webhooks: a POST, and what became of it. It must not know what is sent, or what is done about it.

Each attempt has a connection of its own, to an address that was looked at (`addresses`), and ends in time whatever the
other side does: a timer, or whoever stops this service, shuts the socket under it. Redirects are not followed, proxies
of the environment are not used, and of an answer no more than its status and a little of its body is read.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from threading import Lock, Timer
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from framecue.clock import Clock
from framecue.errors import SetupError
from framecue_services.notifier.addresses import Private, PrivateAddressError, Resolve, is_public, places, resolve

Outcome = Literal["delivered", "refused", "failed", "busy", "timeout", "unreachable", "private"]
"""`refused` is said of the event and for good; after the others it is worth another attempt."""
CONNECT_S = 5.0
"""A receiver that is there answers sooner; and no stop waits for longer."""
BODY_MAX = 64 << 10
"""Bytes of an answer that are read: so a receiver that sends a page is not cut off in the middle of it."""
AGAIN = frozenset({408, 425, 429})
"""Client errors that pass: too slow, too early, too often."""


@dataclass(frozen=True)
class Answer:
    """What came of one attempt; `what` says it in a clause. `retry_after_s` is what the receiver asked for."""

    outcome: Outcome
    what: str
    retry_after_s: float | None = None


class Receiver:
    """The receiver at one URL. `post` from any thread, several at a time; so `cut`."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        clock: Clock,
        private: Private = "refuse",
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = _host(parts.hostname or "")
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._target = _ascii(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/")
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.name = shown if parts.port is None else f"{shown}:{parts.port}"
        """As logs may show it: the path and the query may hold secrets."""
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._timeout_s, self._clock, self._private, self._resolve = timeout_s, clock, private, resolve
        self._under_way: set[_Attempt] = set()
        self._lock = Lock()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends `body`; blocks for `timeout_s` at most, but for what the system takes to look up the name."""
        return self._attempted(lambda attempt: self._answer(self._exchange(attempt, body, headers)))

    def reach(self) -> Answer:
        """Connects, and says nothing: `delivered` where that works."""

        def reached(attempt: _Attempt) -> Answer:
            self._connected(attempt)
            return Answer("delivered", f"{self.name} takes connections")

        return self._attempted(reached)

    def is_inside(self) -> bool:
        """Whether it is in the own network, or on this machine; raises OSError where its name is not known."""
        return not any(is_public(place.ip) for place in self._resolve(self._host, self._port))

    def cut(self) -> None:
        """Ends every attempt that is under way, at once where its connection stands."""
        with self._lock:
            under_way = list(self._under_way)
        for attempt in under_way:
            attempt.cut()

    def _attempted(self, work: Callable[[_Attempt], Answer]) -> Answer:
        """What `work` gives, or what was in its way."""
        attempt = _Attempt(self._timeout_s)
        with self._lock:
            self._under_way.add(attempt)
        try:
            return work(attempt)
        except PrivateAddressError as e:
            return Answer("private", f"{e}; notifier.private_addresses refuses those")
        except TimeoutError:
            return self._too_late()
        except (OSError, HTTPException, ValueError) as e:  # ValueError: a status line that is none
            if attempt.is_cut:
                return self._too_late()
            return Answer("unreachable", f"{self.name} cannot be reached: {_plainly(e)}")
        finally:
            attempt.close()
            with self._lock:
                self._under_way.discard(attempt)

    def _exchange(self, attempt: _Attempt, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        connection = _Connection(self._host)
        connection.sock = sock = self._connected(attempt)
        own = {"host": self.name, "connection": "close", "user-agent": "FrameCue", "accept": "*/*"}
        connection.request("POST", self._target, body, {**headers, **own})
        with suppress(ConnectionError):  # it may have answered all the same
            sock.sendall(connection.written)
        response = connection.getresponse()
        if attempt.is_cut:
            raise TimeoutError  # its head was not read to the end: the status is not for sure
        with suppress(OSError, HTTPException):
            response.read(BODY_MAX)  # whatever it is: the status is the answer
        return response

    def _connected(self, attempt: _Attempt) -> socket.socket:
        """A connection to the first of the addresses that takes one, with TLS where the URL says so."""
        found = places(self._host, self._port, private=self._private, resolve=self._resolve)
        attempt.begin()
        error: OSError = TimeoutError()
        for place in found:
            if attempt.is_cut:
                break
            sock = attempt.hold(socket.socket(place.family, socket.SOCK_STREAM))
            try:
                sock.settimeout(min(CONNECT_S, self._timeout_s))
                sock.connect(place.at)
            except OSError as e:
                error = e
                continue
            sock.settimeout(self._timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if self._tls is None else self._secured(attempt, sock, self._tls)
        raise error

    def _secured(self, attempt: _Attempt, sock: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        # The handshake comes after it is held: so it can be cut.
        secured = tls.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
        attempt.hold(secured)
        secured.do_handshake()
        return secured

    def _answer(self, response: HTTPResponse) -> Answer:
        status = response.status
        what = f"{self.name} answered {status} {responses.get(status, '')}".rstrip()
        asked_s = _seconds(response.getheader("retry-after"), self._clock)
        if 200 <= status < 300:
            return Answer("delivered", what)
        if status in AGAIN:
            return Answer("busy", what, asked_s)
        if status >= 500 or status < 200:
            return Answer("failed", what, asked_s)
        where = "; redirects are not followed, so write the new address" if 300 <= status < 400 else ""
        return Answer("refused", what + where)

    def _too_late(self) -> Answer:
        return Answer("timeout", f"{self.name} gave no answer within {self._timeout_s:g} s")


class _Connection(HTTPConnection):
    """Keeps a request as `written`, to be sent in one piece: in two, whoever answers and goes after the first is lost.

    It never connects by itself, which would look the name up again.
    """

    auto_open = 0

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.written = bytearray()

    def send(self, data: Any) -> None:
        self.written += data


class _Attempt:
    """The socket of one attempt, which ends `timeout_s` after `begin`, or when it is cut: who waits on it goes on."""

    def __init__(self, timeout_s: float) -> None:
        self.is_cut = False
        self._sock: socket.socket | None = None
        self._lock = Lock()
        self._timer = Timer(timeout_s, self.cut)
        self._timer.daemon = True

    def begin(self) -> None:
        self._timer.start()

    def hold(self, sock: socket.socket) -> socket.socket:
        """`sock`, in place of the one before."""
        with self._lock:
            before, self._sock = self._sock, sock
        if before is not None:
            before.close()
        if self.is_cut:
            self.cut()
        return sock

    def cut(self) -> None:
        with self._lock:
            self.is_cut = True
            if self._sock is not None:
                with suppress(OSError):  # not connected yet
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # TLS's own would forget what is being read

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            if self._sock is not None:
                self._sock.close()
            self._sock = None


def _host(name: str) -> str:
    """`name` as it is looked up; raises SetupError where it cannot be."""
    try:
        return name.encode("idna").decode()
    except UnicodeError as e:
        raise SetupError(f"no host can have the name {name!r}; correct the URL of the webhook") from e


def _ascii(target: str) -> str:
    """`target` as it may stand in a request line; what is encoded already stays."""
    return quote(target, safe="%/:=&?~#+!$,;'@()*[]")


def _seconds(text: str | None, clock: Clock) -> float | None:
    """What a `Retry-After` asks for: seconds, or a date; None where it says neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.now_ms() / 1000)
    except (ValueError, OverflowError):
        return None


def _plainly(error: BaseException) -> str:
    """An error of the network in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
