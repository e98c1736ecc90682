"""One attempt against real servers that behave in every way a receiver may: what it counts as, and that it ends."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from framecue.clock import FixedClock
from framecue.errors import SetupError
from framecue_services.notifier.addresses import Place
from framecue_services.notifier.receiver import Answer, Receiver
from tests.support.receivers import CERTIFIED, HOST, PAIR, answering

PATIENT_S = 60.0
"""For what must not take so long."""
SHORT_S = 0.3
"""For what never comes."""
NOW_MS = 1_445_412_420_000  # 2015-10-21T07:27:00Z
Speak = Callable[[socket.socket], None]


def says(text: str) -> Speak:
    return lambda sock: sock.sendall(text.replace("\n", "\r\n").encode())


def drips(first: str, forever: bytes) -> Speak:
    """Sends `first`, then `forever` again and again, as long as somebody listens."""

    def speak(sock: socket.socket) -> None:
        sock.sendall(first.replace("\n", "\r\n").encode())
        while True:
            sock.sendall(forever)
            threading.Event().wait(0.01)

    return speak


def hangs(sock: socket.socket) -> None:
    """Says nothing until the other side goes."""
    while sock.recv(1):
        pass


def receiver(
    port: int, *, host: str = HOST, scheme: str = "http", path: str = "/hook?token=secret", **more: Any
) -> Receiver:
    given = {"clock": FixedClock(NOW_MS), "private": "allow", "timeout_s": PATIENT_S} | more
    return Receiver(f"{scheme}://{host}:{port}{path}", **given)


@pytest.mark.parametrize(
    ("speak", "outcome", "what", "retry_after_s"),
    [
        (says("HTTP/1.1 200 OK\ncontent-length: 2\n\nok"), "delivered", "answered 200 OK", None),
        (says("HTTP/1.1 204 No Content\n\n"), "delivered", "answered 204", None),
        (says("HTTP/1.0 200 OK\n\nuntil the end"), "delivered", "answered 200", None),
        (says("HTTP/1.1 100 Go on\n\nHTTP/1.1 202 Accepted\ncontent-length: 0\n\n"), "delivered", "answered 202", None),
        (says("HTTP/1.1 200 OK\ncontent-length: 99\n\nless"), "delivered", "answered 200", None),
        (says("HTTP/1.1 301 Moved\nlocation: http://a.example/\n\n"), "refused", "redirects are not followed", None),
        (says("HTTP/1.1 307 Temporary\nlocation: /other\n\n"), "refused", "redirects are not followed", None),
        (says("HTTP/1.1 400 Bad\n\n"), "refused", "answered 400 Bad Request", None),
        (says("HTTP/1.1 410 Gone\n\n"), "refused", "answered 410 Gone", None),
        (says("HTTP/1.1 408 Slow\n\n"), "busy", "answered 408", None),
        (says("HTTP/1.1 429 Often\nretry-after: 7\n\n"), "busy", "answered 429", 7.0),
        (says("HTTP/1.1 429 Often\nretry-after: soon\n\n"), "busy", "answered 429", None),
        (says("HTTP/1.1 503 Away\nretry-after: Wed, 21 Oct 2015 07:28:00 GMT\n\n"), "failed", "answered 503", 60.0),
        (says("HTTP/1.1 503 Away\nretry-after: Wed, 21 Oct 2009 07:28:00 GMT\n\n"), "failed", "answered 503", 0.0),
        (says("HTTP/1.1 500 Broken\n\n"), "failed", "answered 500", None),
        (says("HTTP/1.1 999 Odd\n\n"), "failed", "answered 999", None),
        (says("HTTP/1.1 103 Early\n\n"), "failed", "answered 103", None),
        (says("SSH-2.0-OpenSSH_9.2\n"), "unreachable", "cannot be reached", None),
        (says("HTTP/1.1 two OK\n\n"), "unreachable", "cannot be reached", None),
        (says("HTTP/1.1 200 OK\n" + "x: y\n" * 200 + "\n"), "unreachable", "cannot be reached", None),
        (says("HTTP/1.1 200 OK\nx: " + "y" * 100_000 + "\n\n"), "unreachable", "cannot be reached", None),
        (lambda sock: None, "unreachable", "cannot be reached", None),
    ],
)  # fmt: skip
def test_what_an_answer_counts_as(speak: Speak, outcome: str, what: str, retry_after_s: float | None) -> None:
    with answering(speak) as (port, requests):
        answer = receiver(port).post(b"{}", {"webhook-id": "a#1"})
    assert (answer.outcome, answer.retry_after_s) == (outcome, retry_after_s)
    assert what in answer.what
    assert "secret" not in answer.what
    assert len(requests) == 1


@pytest.mark.parametrize(
    "speak",
    [hangs, drips("", b"H"), drips("HTTP/1.1 200 OK\n", b"x: y\r\n"), drips("", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silence", "a status line without end", "headers, slowly", "to be continued for ever"],
)
def test_an_attempt_ends_in_time_whatever_the_other_side_does(speak: Speak) -> None:
    with answering(speak) as (port, _):
        answer = receiver(port, timeout_s=SHORT_S).post(b"{}", {})
    # A quick machine may be sent a hundred headers, which are too many, before it is too late.
    assert answer.outcome in ("timeout", "unreachable")


def test_an_attempt_ends_when_it_is_cut() -> None:
    begun, answers = threading.Event(), list[Answer]()

    def speak(sock: socket.socket) -> None:
        begun.set()
        hangs(sock)

    with answering(speak) as (port, _):
        under_test = receiver(port)
        posting = threading.Thread(target=lambda: answers.append(under_test.post(b"{}", {})))
        posting.start()
        assert begun.wait(PATIENT_S)
        under_test.cut()
        posting.join(PATIENT_S / 2)
        assert [answer.outcome for answer in answers] == ["timeout"]


def test_a_delivery_stands_though_its_answer_never_ends() -> None:
    with answering(drips("HTTP/1.1 200 OK\n\n", b".")) as (port, _):
        for timeout_s in (0.2, 1, 5, 25):  # on a machine that is away for so long it is another case
            answer = receiver(port, timeout_s=timeout_s).post(b"{}", {})
            if answer.outcome != "timeout":
                break
    assert answer.outcome == "delivered"


def test_of_an_answer_only_so_much_is_read() -> None:
    with answering(drips("HTTP/1.1 200 OK\n\n", b"." * 65536)) as (port, _):
        assert receiver(port).post(b"{}", {}).outcome == "delivered"


def test_a_request_is_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    with answering(says("HTTP/1.1 200 OK\ncontent-length: 0\n\n")) as (port, requests):
        where = [Place(socket.AF_INET, (HOST, port))]
        named = receiver(port, host="Hooks.example", path="/a b/ü?x=1&y=ü#part", resolve=lambda *_: where)
        named.post(b"body", {"webhook-id": "a#1"})
    [request] = requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "POST /a%20b/%C3%BC?x=1&y=%C3%BC HTTP/1.1"
    assert {"webhook-id: a#1", f"host: hooks.example:{port}", "connection: close", "Content-Length: 4"} <= set(lines)


def test_nothing_is_said_to_a_private_address() -> None:
    with answering(hangs) as (port, requests):
        answer = receiver(port, private="refuse").post(b"{}", {})
    assert answer.outcome == "private"
    assert "notifier.private_addresses" in answer.what
    assert not requests


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    with socket.create_server((HOST, 0)) as taken:
        dead = taken.getsockname()[1]  # nobody, once it is closed
    with answering(says("HTTP/1.1 200 OK\ncontent-length: 0\n\n")) as (port, _):
        both = [Place(socket.AF_INET, (HOST, dead)), Place(socket.AF_INET, (HOST, port))]
        assert receiver(port, resolve=lambda *_: both).post(b"{}", {}).outcome == "delivered"
        nobody = receiver(port, resolve=lambda *_: both[:1]).post(b"{}", {})
    assert (nobody.outcome, nobody.what) == ("unreachable", f"{HOST}:{port} cannot be reached: connection refused")


def test_a_name_that_is_not_known_is_out_of_reach() -> None:
    def unknown(host: str, port: int) -> list[Place]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = receiver(443, host=CERTIFIED, resolve=unknown).post(b"{}", {})
    assert (answer.outcome, answer.what) == (
        "unreachable", "hooks.example:443 cannot be reached: name or service not known"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "trusts", "outcome", "what"),
    [
        (CERTIFIED, "it", "delivered", "answered 200"),
        ("other.example", "it", "unreachable", "its certificate does not hold: Hostname mismatch"),
        (CERTIFIED, "nobody", "unreachable", "its certificate does not hold: self-signed certificate"),
    ],
)
def test_tls_is_verified_against_the_name_though_an_address_is_called(
    host: str, trusts: Literal["it", "nobody"], outcome: str, what: str, tmp_path: Path
) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_text(PAIR)
    tls = ssl.create_default_context(cadata=re.sub(r"(?s).*(?=-----BEGIN CERT)", "", PAIR)) if trusts == "it" else None
    with answering(says("HTTP/1.1 200 OK\ncontent-length: 0\n\n"), pair=pair) as (port, _):
        where = [Place(socket.AF_INET, (HOST, port))]
        answer = receiver(port, host=host, scheme="https", resolve=lambda *_: where, tls=tls).post(b"{}", {})
    assert answer.outcome == outcome, answer
    assert what in answer.what


def test_a_tls_handshake_that_hangs_ends_in_time() -> None:
    with answering(hangs) as (port, _):
        answer = receiver(port, scheme="https", timeout_s=SHORT_S).post(b"{}", {})
    assert answer.outcome == "timeout"


def test_a_name_that_no_host_can_have_is_for_a_person_to_mend() -> None:
    with pytest.raises(SetupError, match="correct the URL"):
        receiver(443, host="a" * 64 + ".example")
