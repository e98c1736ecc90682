"""Tokens as `control` holds them: what counts, what does not, and what holds while the broker is away."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
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
    """A broker that can be away, and whose topics can be made anew."""

    away = False

    def __init__(self) -> None:
        super().__init__(partitions=2, clock=FixedClock(NOW_MS))

    def end(self, topic: str, *, partition: int) -> int:
        if self.away:
            raise BrokerError("Kafka does not answer")
        return super().end(topic, partition=partition)

    def read(self, topic: str, *, partition: int, start: int = 0) -> Iterator[Record]:
        if self.away:
            raise BrokerError("Kafka does not answer")
        return super().read(topic, partition=partition, start=start)

    def forget_all(self) -> None:
        MemoryBroker.__init__(self, partitions=2, clock=FixedClock(NOW_MS))


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
