"""How a client reaches a Kafka broker, and the sentences that people read when it does not.

It must not know the settings: it is handed plain values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaConfigurationError,
    KafkaError,
    RetriableError,
    SaslAuthenticationFailedError,
)
from kafka.net.compat import KafkaNetClient
from kafka.structs import TopicPartition as KafkaPartition

from framecue.broker.kafka.client_log import quiet_client
from framecue.broker.protocol import TopicPartition
from framecue.errors import BrokerError, DisplacedError, FrameCueError, SetupError
from framecue.schemas.topics import TOPICS, full_name

T = TypeVar("T")


@dataclass(frozen=True)
class KafkaConnection:
    """Where the broker is and who asks. `prefix` stands before every topic and group.

    A client that is made looks for a broker for `connect_timeout_ms`; one question may take `answer_timeout_ms`.
    """

    bootstrap: str
    prefix: str = "framecue."
    client_id: str = "framecue"
    session_timeout_ms: int = 10_000
    transaction_timeout_ms: int = 10_000
    connect_timeout_ms: int = 5_000
    answer_timeout_ms: int = 10_000
    security: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    @property
    def undecided_ms(self) -> int:
        """How long a transaction that somebody ends may hold back what is behind it."""
        return 2 * self.transaction_timeout_ms + self.answer_timeout_ms

    def topic(self, name: str) -> str:
        """The broker's name of a topic of the table."""
        return full_name(TOPICS[name], self.prefix)

    def partition(self, at: TopicPartition) -> Any:
        """The client's name of a partition."""
        return KafkaPartition(self.topic(at.topic), at.partition)

    def group(self, name: str) -> str:
        """The broker's name of a group."""
        return self.prefix + name

    def client(self) -> dict[str, Any]:
        """What every client is configured with."""
        out: dict[str, Any] = {
            "bootstrap_servers": [part.strip() for part in self.bootstrap.split(",") if part.strip()],
            "client_id": self.client_id,
            "security_protocol": self.security,
            "bootstrap_timeout_ms": self.connect_timeout_ms,
            "reconnect_backoff_max_ms": 1_000,  # the default of 30 s is what a worker would be late by
        }
        if "SASL" in self.security:
            out |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        if "SSL" in self.security:
            files = {"ssl_cafile": self.ssl_cafile, "ssl_certfile": self.ssl_certfile, "ssl_keyfile": self.ssl_keyfile}
            out |= {name: str(path) for name, path in files.items() if path is not None}
        return out


def connect(kind: Callable[..., Any], connection: KafkaConnection, **config: Any) -> Any:
    """A client of `kind`; raises BrokerError when no broker answers, SetupError where the settings are to blame."""
    if find_spec("crc32c") is None:
        raise SetupError("the package crc32c is missing, and Kafka would be 30 times slower: pip install crc32c")
    quiet_client()
    made: list[Any] = []

    def remembered(**given: Any) -> Any:
        made.append(KafkaNetClient(**given))
        return made[-1]

    try:
        return kind(kafka_client=remembered, **connection.client(), **config)
    except BaseException as e:
        for client in made:  # the constructor leaves its thread and sockets behind
            client.close()
        if isinstance(e, KafkaConfigurationError | ValueError | RuntimeError | OSError):
            raise SetupError(f"the settings of Kafka do not work: {e}") from e
        if isinstance(e, KafkaError):
            raise broker_error("cannot connect", e, connection) from e
        raise


def broker_error(doing: str, e: BaseException, connection: KafkaConnection) -> FrameCueError:
    """The error of ours that `e`, met while `doing`, is to whoever handles it."""
    if isinstance(e, FrameCueError):
        return e
    if isinstance(e, FencedInstanceIdError):
        return displaced(connection)
    if isinstance(e, SaslAuthenticationFailedError | AuthorizationError):
        return SetupError(f"Kafka at {connection.bootstrap} refuses us: {type(e).__name__}: {e}")
    if isinstance(e, RetriableError):
        return BrokerError(
            f"no Kafka broker answers at {connection.bootstrap}; start one with `framecue up`, or set "
            f"FRAMECUE_KAFKA__BOOTSTRAP ({doing}: {type(e).__name__})"
        )
    return BrokerError(f"{doing}: {type(e).__name__}: {e}")


def displaced(connection: KafkaConnection) -> DisplacedError:
    """What a worker is told whose place another one has."""
    return DisplacedError(
        f"another worker runs as {connection.client_id} with the same FRAMECUE_SLOT; each of a group needs its own"
    )


def missing_topic(connection: KafkaConnection, name: str) -> SetupError:
    """What to say of a topic of the table that the broker does not have."""
    return SetupError(
        f"the broker at {connection.bootstrap} has no topic {connection.topic(name)}; "
        "create what is missing with `framecue topics create`"
    )


@contextmanager
def broker_errors(doing: str, connection: KafkaConnection) -> Generator[None]:
    """Maps the client's errors to ours."""
    try:
        yield
    except KafkaError as e:
        raise broker_error(doing, e, connection) from e


class Admin:
    """Questions about topics, offsets and groups. From any thread; connects at the first one."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._client: Any = None
        self._lock = Lock()

    def ask(self, doing: str, question: Callable[[Any], T], *, patience_s: float | None = None) -> T:
        """What `question` gives, asked again until the broker answers or `patience_s` (else as set) is over."""
        until_s = time.monotonic() + (self._connection.answer_timeout_ms / 1_000 if patience_s is None else patience_s)
        while True:
            try:
                return question(self._connected())
            except RetriableError as e:
                if time.monotonic() > until_s:
                    raise broker_error(doing, e, self._connection) from e
                Event().wait(0.1)
            except KafkaError as e:
                raise broker_error(doing, e, self._connection) from e

    def counts(self, topics: Sequence[str]) -> dict[str, int]:
        """The number of partitions of those of `topics` that exist, all by the table's names."""
        names = {self._connection.topic(name): name for name in topics}
        described = self.ask("asking for topics", lambda client: client.describe_topics(list(names)))
        return {names[t["name"]]: len(t["partitions"]) for t in described if not t["error_code"]}

    def offset(self, at: TopicPartition, spec: int) -> int:
        """The offset of `spec` (an OffsetSpec or a time in ms); -1 where no record is that late."""
        key = self._connection.partition(at)
        found = self.ask("asking for offsets", lambda client: client.list_partition_offsets({key: spec}))
        return int(found[key].offset)

    def member_of(self, group: str, instance_id: str) -> str | None:
        """The member that holds `instance_id` in `group`, the broker's name; None where nobody does."""
        described = self.ask("asking for the group", lambda client: client.describe_groups([group]))
        members = described[group].get("members") or ()
        return next((str(m["member_id"]) for m in members if m.get("group_instance_id") == instance_id), None)

    def remove_member(self, group: str, instance_id: str, member_id: str) -> None:
        """Ends the membership of `member_id`, and of no successor under the same instance."""
        leaving = MemberToRemove(member_id=member_id, group_instance_id=instance_id, reason="closed")
        self.ask("leaving", lambda client: client.remove_group_members(group, [leaving]), patience_s=1.0)

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = connect(
                    KafkaAdminClient, self._connection, request_timeout_ms=self._connection.answer_timeout_ms
                )
            return self._client
