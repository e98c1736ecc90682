"""Requests without end, on a real port: cut off before they fill the memory, by whoever; all others are answered."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from framecue_services.gateway.heads import HEAD_MAX
from tests.support.gateway import House
from tests.support.serving import serving

HOST = b"\r\nHost: 127.0.0.1"
GET = b"GET /healthz HTTP/1.1" + HOST
CHUNKED = (
    b"POST /v1/session HTTP/1.1" + HOST + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ENOUGH = 64 * HEAD_MAX


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"GET /", id="an address"),
        pytest.param(GET + b"\r\nX: ", id="a header"),
        pytest.param(CHUNKED + b"0\r\nX: ", id="a trailer"),
        pytest.param(CHUNKED + b"1;", id="what is said of a chunk"),
    ],
)
def test_a_head_without_end_is_cut_off(begin: bytes) -> None:
    with serving(House().app()) as address, _connected(address) as client, suppress(ConnectionError):
        client.sendall(begin + b"y" * ENOUGH)
        while client.recv(1 << 16):  # it would wait for the rest for ever, and this time out
            pass


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param(GET + b"\r\nCookie: " + b"y" * 16_000 + b"\r\n\r\n", 1, id="a long head"),
        pytest.param((GET + b"\r\n\r\n") * 1_500, 1_500, id="many requests at once, longer together than one may be"),
        pytest.param(CHUNKED + b"1\r\ny\r\n" * 40_000 + b"0\r\n\r\n" + GET + b"\r\n\r\n", 2, id="a body in crumbs"),
    ],
)
def test_what_is_long_for_a_reason_is_answered(sent: bytes, answers: int) -> None:
    with serving(House().app()) as address, _connected(address) as client:
        client.sendall(sent)
        found = b""
        while found.count(b"HTTP/1.1 ") < answers:
            part = client.recv(1 << 16)
            assert part, found[-500:]
            found += part
    assert b"HTTP/1.1 400" not in found


def _connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)
