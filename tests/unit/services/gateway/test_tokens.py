"""Tokens as `control` holds them: what counts, what does not, and what holds while the broker is away."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message, Record
from framecue.clock import FixedClock
from framecue.errors import BrokerError
from framecue.schemas.topics import CONTROL
from framecue_services.gateway.tokens import (
    SECRET,
    TokenBook,
    TokenRegistry,
    digest,
    new_token,
    read_tokens,
    revocation,
    token_message,
)

NOW_MS = 1_700_000_000_000
WITHIN_S = 30.0


class MovingBroker(MemoryBroker):
    """A broker that can be away or slow, and whose topics can be made anew."""

    away = False

    def __init__(self) -> None:
        super().__init__(partitions=2, clock=FixedClock(NOW_MS))
        self.asked = threading.Semaphore(0)
        """Released whenever a read begins."""
        self.answers = threading.Event()
        self.answers.set()

    def end(self, topic: str, *, partition: int) -> int:
        self.asked.release()
        assert self.answers.wait(WITHIN_S)
        if self.away:
            raise BrokerError("Kafka does not answer")
        return super().end(topic, partition=partition)

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        if self.away:
            raise BrokerError("Kafka does not answer")
        return super().read(topic, partition=partition, start=start)

    def forget_all(self) -> None:
        MemoryBroker.__init__(self, partitions=2, clock=FixedClock(NOW_MS))


@contextmanager
def following(broker: MovingBroker, *, apart_s: float = 0.0) -> Generator[TokenRegistry]:
    """A registry that has read once, and reads again only when it is asked to."""
    registry = TokenRegistry(broker, poll_s=WITHIN_S, apart_s=apart_s)
    registry.start()
    try:
        assert eventually(lambda: registry.ready)
        assert broker.asked.acquire(timeout=WITHIN_S)
        yield registry
    finally:
        registry.close()


def read_again(registry: TokenRegistry) -> None:
    read = registry.next_read()
    assert read is not None
    read.result(WITHIN_S)


def made(broker: MemoryBroker, name: str = "lab", *, expires_ms: int | None = None) -> str:
    """The secret of a token that is on `control`."""
    token, secret = new_token(name, scope="read", streams=("lab-*",), now_ms=NOW_MS, expires_ms=expires_ms)
    broker.commit([token_message(token)])
    return secret


def id_of(secret: str) -> str:
    found = SECRET.fullmatch(secret)
    assert found is not None
    return found[1]


def eventually(holds: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + WITHIN_S
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.02)
    return holds()


def test_what_is_kept_does_not_give_the_secret_back_and_no_two_are_alike() -> None:
    token, secret = new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS)
    assert secret.rpartition("_")[2] not in token.model_dump_json()
    assert token.sha256 == digest(secret)
    assert token.sha256 not in repr(token), "reprs end up in logs"
    secrets = {new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS)[1] for _ in range(100)}
    assert len({s.rpartition("_")[2] for s in secrets}) == len({id_of(s) for s in secrets}) == 100


def test_only_the_whole_secret_is_let_in() -> None:
    broker = MemoryBroker(partitions=2)
    right, other = made(broker), made(broker, "other")
    book = read_tokens(broker)
    assert book.of_secret(right) is not None
    random = right.rpartition("_")[2]
    wrong = [
        "",
        right[:-1],
        right + "x",
        f" {right}",
        right.swapcase(),
        f"fc_{id_of(other)}_{random}",  # right bits under another's id
        f"fc_{'a' * 12}_{random}",
        f"fc_{id_of(right)}_{'A' * 43}",
        digest(right),  # what somebody who reads the topic has
        "\ud800",  # cannot be encoded
    ]
    assert [secret for secret in wrong if book.of_secret(secret) is not None] == []


TOKEN, _ = new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS)


def changed(**changes: Any) -> bytes:
    return json.dumps({**TOKEN.model_dump(), **changes}).encode()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\xff", "value:"),
        (b"{}", "id: Field required"),
        (changed(id="b" * 12), "it stands under the key of"),  # or one could be made to take another's place
        (changed(v=2), "v: Input should be 1"),  # of a later version, which may mean less than we would let in
        (changed(may="everything"), "may: Extra inputs"),
        (changed(scope="root"), "scope:"),
        (changed(streams=[]), "streams:"),
        (changed(expires_at="whenever"), "Invalid isoformat string"),  # or it would never end
        (changed(expires_at="2026-01-31T12:00:00"), "names no time zone"),
    ],
)
def test_a_record_that_is_no_token_lets_nobody_in_and_is_said_once(
    caplog: pytest.LogCaptureFixture, value: bytes, says: str
) -> None:
    good = token_message(TOKEN)
    book = TokenBook()
    records = [Record(CONTROL.name, 0, i, NOW_MS, good.key, v) for i, v in enumerate((good.value, value))]
    book.feed(records[:1])
    assert book.of_id(TOKEN.id) is not None
    book.feed(records[1:])
    assert book.of_id(TOKEN.id) is None, "it took the place of the good one"
    [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert says in warning.getMessage()
    assert TOKEN.sha256 not in warning.getMessage()


def test_the_last_record_of_a_key_counts_and_other_keys_are_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker(partitions=2)
    lab, tv = made(broker), made(broker, "tv")
    broker.commit([revocation(id_of(lab)), Message(CONTROL.name, b"rules", b"{no rules}"), revocation("unknown12")])
    book = read_tokens(broker)
    assert [token.name for token in book.tokens()] == ["tv"]
    assert book.of_secret(tv) is not None
    assert not caplog.records


def test_a_token_ends_at_its_time() -> None:
    broker = MemoryBroker(partitions=2)
    secret = made(broker, expires_ms=NOW_MS + 1_000)
    kept = read_tokens(broker).of_secret(secret)
    assert kept is not None
    assert (kept.counts_at(NOW_MS + 999), kept.counts_at(NOW_MS + 1_000)) == (True, False)


def test_the_registry_reads_on_from_where_it_was() -> None:
    broker = MovingBroker()
    registry = TokenRegistry(broker)
    lab = made(broker)
    assert (registry.ready, registry.of_secret(lab)) == (False, None)
    registry.catch_up()
    assert registry.ready
    assert registry.of_secret(lab) is not None
    tv = made(broker, "tv")
    broker.commit([revocation(id_of(lab))])
    assert registry.of_secret(lab) is not None, "not yet read"
    registry.catch_up()
    assert [registry.of_secret(s) is not None for s in (lab, tv)] == [False, True]


def test_what_was_known_holds_while_the_broker_is_away() -> None:
    broker = MovingBroker()
    registry = TokenRegistry(broker)
    lab = made(broker)
    broker.away = True
    with pytest.raises(BrokerError):
        registry.catch_up()
    assert not registry.ready, "nothing was ever read: nobody can be told from anybody"
    broker.away = False
    registry.catch_up()
    broker.away = True
    with pytest.raises(BrokerError):
        registry.catch_up()
    assert registry.ready
    assert registry.of_secret(lab) is not None


def test_a_topic_that_was_made_anew_is_read_anew() -> None:
    """Else a token of before would be let in for ever: no record is left that could end it."""
    broker = MovingBroker()
    registry = TokenRegistry(broker)
    lab, _ = made(broker), made(broker, "second")
    registry.catch_up()
    broker.forget_all()
    tv = made(broker, "tv")
    registry.catch_up()
    assert [registry.of_secret(s) is not None for s in (lab, tv)] == [False, True]


def test_it_follows_by_itself_also_over_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    broker = MovingBroker()
    broker.away = True
    registry = TokenRegistry(broker, poll_s=0.02)
    registry.start()
    try:
        assert eventually(lambda: any("new ones wait" in r.getMessage() for r in caplog.records))
        lab = made(broker)
        broker.away = False
        assert eventually(lambda: registry.of_secret(lab) is not None)
        broker.commit([revocation(id_of(lab))])
        assert eventually(lambda: registry.of_secret(lab) is None)
    finally:
        registry.close()
    assert len([r for r in caplog.records if "new ones wait" in r.getMessage()]) == 1, "an outage is said once"


# reads that are asked for


def test_when_a_read_is_asked_for_it_begins_at_once_and_then_what_was_there_is_known() -> None:
    broker = MovingBroker()
    with following(broker) as registry:
        for name in ("a", "b", "c"):
            secret = made(broker, name)
            assert registry.of_secret(secret) is None
            read_again(registry)
            assert registry.of_secret(secret) is not None


def test_who_asks_while_a_read_is_under_way_waits_for_the_next_one_and_all_of_them_share_it() -> None:
    """The one under way may have asked where the topic ends before their token was there."""
    broker = MovingBroker()
    with following(broker) as registry:
        broker.answers.clear()
        first = registry.next_read()
        assert broker.asked.acquire(timeout=WITHIN_S), "it has begun"
        others = [registry.next_read() for _ in range(20)]
        assert first is not None
        assert others[0] is not None
        assert {id(other) for other in others} == {id(others[0])} != {id(first)}
        broker.answers.set()
        others[0].result(WITHIN_S)
        assert first.done()
        assert broker.asked.acquire(timeout=WITHIN_S)
        assert not broker.asked.acquire(blocking=False), "one read for all of them"


def test_who_no_longer_waits_for_a_read_takes_it_from_nobody() -> None:
    broker = MovingBroker()
    with following(broker) as registry:
        broker.answers.clear()
        read = registry.next_read()
        assert read is not None
        assert not read.cancel()
        broker.answers.set()
        read.result(WITHIN_S)


def test_however_many_ask_there_is_time_between_two_reads() -> None:
    with following(MovingBroker(), apart_s=0.05) as registry:
        began_s = time.monotonic()
        for _ in range(4):
            read_again(registry)
        assert time.monotonic() - began_s >= 3 * 0.05


def test_nobody_waits_for_a_broker_that_is_away_nor_for_what_is_not_followed() -> None:
    broker = MovingBroker()
    assert TokenRegistry(broker).next_read() is None
    with following(broker) as registry:
        broker.away = True
        read_again(registry)  # it fails, and who waits for it hears so
        assert registry.next_read() is None
    assert registry.next_read() is None


def test_who_waits_for_a_read_when_the_gateway_ends_waits_no_longer() -> None:
    broker = MovingBroker()
    with following(broker) as registry:
        broker.answers.clear()
        registry.next_read()
        assert broker.asked.acquire(timeout=WITHIN_S)
        waiting = registry.next_read()
        closing = threading.Thread(target=registry.close)
        closing.start()
        assert eventually(lambda: registry.next_read() is None)
        broker.answers.set()
        closing.join(WITHIN_S)
        assert waiting is not None
        waiting.result(WITHIN_S)
