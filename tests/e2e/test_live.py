"""Live results over real servers and sockets: nothing is lost over restarts, who does not read delays nobody."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.topics import delete_topics
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Broker
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.models.faces import open_faces
from framecue.schemas.annotation import Annotation, JoinedCue, JoinedText
from framecue.settings import Settings
from framecue.store.memory import MemoryStore
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.redis_server import RedisServer
from framecue_services.gateway import access
from framecue_services.gateway.app import create_app
from framecue_services.gateway.live import LiveHub
from framecue_services.gateway.tokens import new_token, token_message
from tests.support.brokers import new_topics
from tests.support.fleet import Fleet
from tests.support.listening import Frame, Listener, frames, wait_until
from tests.support.servers import free_port
from tests.support.serving import serving

# The client forgets the sockets of attempts that failed; they go when their memory does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
STREAMS = ("cam1", "cam2", "cam3", "lab-1")


class Publisher:
    """Writes annotations as fusion does, and knows which."""

    def __init__(self, broker: Broker, *, words: str = "") -> None:
        self.versions: list[tuple[str, int]] = []
        self._broker, self._words = broker, words

    def publish(self, count: int) -> None:
        for _ in range(count):
            number = len(self.versions)
            stream = STREAMS[number % len(STREAMS)]
            one = _annotation(stream, number, self._words)
            self._broker.commit([result_message(one, SystemClock())])
            self.versions.append((one.id, one.revision))


def _annotation(stream: str, number: int, words: str) -> Annotation:
    start_ms = 2_000 * number
    cues = (JoinedCue(start_ms=start_ms, end_ms=start_ms + 1, text=words, source="text"),) if words else ()
    text = JoinedText(state="present" if cues else "none", cues=cues)
    return Annotation(
        id=f"{stream}/0/{start_ms}+2000", revision=1, stream=stream, epoch=0, start_ms=start_ms,
        end_ms=start_ms + 2_000, settled_until_ms=0, text=text, model="m", space="s",
    )  # fmt: skip


def test_no_result_is_lost_when_the_gateway_redis_or_kafka_are_killed_and_come_back(
    tmp_path: Path, own_kafka: KafkaServer, own_redis: Callable[[], RedisServer]
) -> None:
    """Whoever listens comes back with its last id; each result comes once, in the order of its stream."""
    kafka, redis, port = own_kafka, own_redis(), free_port()
    settings = {"FRAMECUE_GATEWAY__AUTH": "off", "FRAMECUE_GATEWAY__PORT": str(port)}
    with Fleet(tmp_path, bootstrap=kafka.bootstrap, redis_url=redis.url, settings=settings) as fleet:
        gateway = fleet.start("gateway")
        publisher = Publisher(fleet.broker)
        with Listener(f"http://127.0.0.1:{port}") as listener:

            def everything_came() -> bool:
                return len(listener.versions) >= len(publisher.versions)

            fleet.until(lambda: listener.hellos, what="hello")
            publisher.publish(20)
            fleet.until(everything_came)
            gateway.kill()
            publisher.publish(20)  # while nobody is there to hand it on
            fleet.until(lambda: len(listener.hellos) == 2 and everything_came(), what="the gateway's return")
            redis.kill()
            publisher.publish(10)
            redis.start()
            publisher.publish(10)
            fleet.until(everything_came)
            publisher.publish(10)
            kafka.stop()
            kafka.start()
            publisher.publish(20)
            fleet.until(everything_came, what="results after Kafka's restart")
            assert [hello.data["resumed"] for hello in listener.hellos] == [False, True]  # the two others broke nothing
            assert listener.missed == []
            assert sorted(listener.versions) == sorted(publisher.versions)
            assert _by_stream(listener.versions) == _by_stream(publisher.versions)
            assert gateway.terminate(within_s=20) == 0


def _by_stream(versions: list[tuple[str, int]]) -> dict[str, list[str]]:
    return {stream: [one for one, _ in versions if one.startswith(f"{stream}/")] for stream in STREAMS}


def gateway(broker: Broker, **settings: Any) -> FastAPI:
    """The application as it runs, over `broker`."""
    return create_app(
        Settings.model_validate({"gateway": {"auth": "off", **settings}}),
        broker=broker,
        store=MemoryStore(SystemClock()),
        faces=open_faces("off"),
    )


@pytest.fixture
def real_broker(kafka: str) -> Generator[KafkaBroker]:
    connection = new_topics(kafka)
    with closing(KafkaBroker(connection)) as broker:
        yield broker
    delete_topics(connection)


def test_who_was_away_for_longer_than_the_gateway_remembers_is_handed_the_rest_out_of_kafka(
    real_broker: KafkaBroker,
) -> None:
    app, publisher = gateway(real_broker), Publisher(real_broker)
    app.state.live._ring_records = 3
    with serving(app) as address:
        with Listener(address) as before:
            wait_until(lambda: before.hellos)
        publisher.publish(30)
        with Listener(address) as witness, Listener(address, last_id=before.last_id) as late:
            wait_until(lambda: witness.hellos)
            publisher.publish(3)
            wait_until(lambda: len(late.versions) >= 33 and len(witness.versions) >= 3)
        lab = f"{address}/v1/live?match=lab-*&last_event_id={before.last_id}"
        with httpx.stream("GET", lab, timeout=30) as answer:
            found = frames(answer.iter_lines())
            first, ids = next(found), [next(found).version for _ in range(8)]
    assert sorted(late.versions) == sorted(publisher.versions)
    assert _by_stream(late.versions) == _by_stream(publisher.versions)
    assert (late.hellos[0].data, late.missed) == ({"resumed": True}, [])
    assert (first.data, ids) == ({"resumed": True}, [v for v in publisher.versions if v[0].startswith("lab-1/")])


def test_who_stops_reading_is_cut_off_and_delays_nobody_and_goes_on_by_id() -> None:
    """Its socket takes what a connection can hold, its queue what it may; then it is gone, and what it had is whole."""
    broker = MemoryBroker(partitions=4, clock=SystemClock())
    app, publisher = gateway(broker, live_queue_bytes=1 << 16), Publisher(broker, words="x" * 20_000)
    hub: LiveHub = app.state.live
    with serving(app) as address, Listener(address) as quick, _Lazy(address) as lazy:
        wait_until(lambda: quick.hellos)
        while len(hub._subscriptions) == 2:
            publisher.publish(25)
            wait_until(lambda: len(quick.versions) == len(publisher.versions))
            assert len(publisher.versions) < 5_000, "100 MB, and it is still not cut off"
        seen = lazy.rest()
        with Listener(address, last_id=seen[-1].id) as resumed:
            wait_until(lambda: len(seen) - 1 + len(resumed.versions) >= len(publisher.versions))
    assert 0 < len(seen) - 1 < len(publisher.versions)
    pieces = [frame.version for frame in seen[1:]] + resumed.versions
    assert sorted(pieces) == sorted(publisher.versions) == sorted(quick.versions)
    assert _by_stream(pieces) == _by_stream(publisher.versions) == _by_stream(quick.versions)


class _Lazy:
    """A client that asks, and does not read what it is told until `rest`."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect((host, int(port)))
        self._socket.sendall(f"GET /v1/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        self._head = b""
        while not self._head.endswith(b'"resumed":false}\n\n\r\n'):
            self._head += self._socket.recv(1)

    def __enter__(self) -> _Lazy:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def rest(self) -> list[Frame]:
        """The whole frames of what its connection held when it was cut."""
        data = self._head
        try:
            while part := self._socket.recv(1 << 16):
                data += part
        except ConnectionResetError:
            pass
        body = b"".join(_chunks(data.partition(b"\r\n\r\n")[2]))
        whole = body[: body.rindex(b"\n\n") + 2].decode()
        return list(frames(iter(whole.split("\n"))))


def _chunks(data: bytes) -> Iterator[bytes]:
    while b"\r\n" in data:
        size, _, data = data.partition(b"\r\n")
        yield data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


def test_when_the_gateway_ends_all_streams_end_at_once_and_whole_with_a_time_to_come_back() -> None:
    broker = MemoryBroker(partitions=4, clock=SystemClock())
    ends: list[str] = []

    def listen(address: str, heard: threading.Semaphore) -> None:
        with httpx.stream("GET", f"{address}/v1/live", timeout=60) as answer:
            lines = []
            for line in answer.iter_lines():  # raises where the end is not a proper one
                lines.append(line)
                if "resumed" in line:
                    heard.release()
        ends.append(next(line for line in reversed(lines) if line))

    heard = threading.Semaphore(0)
    with serving(gateway(broker)) as address:
        listeners = [threading.Thread(target=listen, args=(address, heard)) for _ in range(20)]
        for one in listeners:
            one.start()
        for _ in listeners:
            assert heard.acquire(timeout=60)
    for one in listeners:
        one.join(30)
    assert len(ends) == 20
    assert {end.split(":")[0] for end in ends} == {"retry"}
    assert len(set(ends)) > 1  # not all at once


def test_as_many_listen_as_may_and_the_next_is_told_when_to_come_again() -> None:
    broker = MemoryBroker(partitions=4, clock=SystemClock())
    with serving(gateway(broker, live_subscribers=1)) as address:
        url = f"{address}/v1/live"
        with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as first:
            refused = httpx.get(url)
        wait_until(lambda: _can_listen(url), what="room")
    assert first.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in first.headers
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert refused.headers["content-type"] == "application/problem+json"


def test_one_token_has_so_many_connections_and_others_still_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions are the same caller; a place it leaves is free for it again."""
    refused: list[str] = []
    monkeypatch.setattr(access, "add", lambda _, reason: refused.append(reason))
    broker = MemoryBroker(partitions=4, clock=SystemClock())
    (lab, secret), (tv, other) = (new_token(name, scope="read", streams=("*",), now_ms=0) for name in ("lab", "tv"))
    broker.commit([token_message(token) for token in (lab, tv)])
    with serving(gateway(broker, auth="on", live_per_caller=2)) as address, ExitStack() as stack:
        url = f"{address}/v1/live"
        browser = stack.enter_context(httpx.Client())
        assert browser.post(f"{address}/v1/session", json={"token": secret}).status_code == 200
        program, neighbour = ({"headers": {"Authorization": f"Bearer {one}"}} for one in (secret, other))
        with httpx.stream("GET", url, **program) as first, browser.stream("GET", url) as second:
            answers = [httpx.get(url, **program), browser.get(url)]
            with httpx.stream("GET", url, **neighbour) as another:
                assert [first.status_code, second.status_code, another.status_code] == [200] * 3
        wait_until(lambda: _can_listen(url, **program), what="room")
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "this token has as many live connections as one may have (2)"
    assert set(refused) == {"too_many_live"}


def test_without_tokens_the_address_has_so_many() -> None:
    broker = MemoryBroker(partitions=4, clock=SystemClock())
    with serving(gateway(broker, live_per_caller=1)) as address, ExitStack() as stack:
        url = f"{address}/v1/live"
        here, there = (
            stack.enter_context(httpx.Client(transport=httpx.HTTPTransport(local_address=one)))
            for one in ("127.0.0.1", "127.0.0.2")
        )
        with here.stream("GET", url) as first:
            refused = here.get(url)
            with there.stream("GET", url) as second:
                assert [first.status_code, second.status_code] == [200, 200]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert refused.json()["detail"] == "this address has as many live connections as one may have (1)"


def _can_listen(url: str, **asked: Any) -> bool:
    with httpx.stream("GET", url, **asked) as answer:
        return answer.status_code == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param("last_event_id=100-a0-17", 400, id="no id of ours"),
        pytest.param("last_event_id=%C2%BD", 400, id="not even ASCII"),
        pytest.param("kind=annotation,films", 422, id="a kind there is not"),
        pytest.param("match=" + "x" * 200, 422, id="longer than any id"),
    ],
)
def test_what_cannot_be_is_refused_before_a_stream_begins(asked: str, status: int) -> None:
    with serving(gateway(MemoryBroker(partitions=1, clock=SystemClock()))) as address:
        answer = httpx.get(f"{address}/v1/live?{asked}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_an_id_of_topics_that_are_gone_is_told_as_missed_and_then_it_goes_on() -> None:
    """A browser would never ask again if it were refused."""
    old = MemoryBroker(partitions=4, clock=SystemClock())
    with serving(gateway(old)) as address, Listener(address) as before:
        wait_until(lambda: before.hellos)
    new = MemoryBroker(partitions=4, clock=SystemClock())
    publisher = Publisher(new)
    with serving(gateway(new)) as address, Listener(address, last_id=before.last_id) as listener:
        wait_until(lambda: listener.missed)
        publisher.publish(4)
        wait_until(lambda: len(listener.versions) == 4)
    assert listener.hellos[0].data == {"resumed": False}
    assert json.dumps(listener.missed[0].data).startswith('{"since": null, "until": "20')
