"""What a Kafka cluster says of itself: brokers, disks, groups, and whether a transaction goes through.

For commands that look: it changes nothing. What is right or wrong about it is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import GroupIdNotFoundError

from framecue.broker.kafka.abandoned import Abandoned, abandoned
from framecue.broker.kafka.connection import Admin, KafkaConnection, broker_errors, connect, missing_topic
from framecue.broker.kafka.producer import abandon
from framecue.broker.protocol import TopicPartition
from framecue.clock import Clock
from framecue.errors import BrokerError
from framecue.schemas.topics import MEDIA, TOPICS

PROBE = "doctor"
PROBE_ANSWER_S = 10.0


@dataclass(frozen=True)
class Disk:
    """One folder of a broker's logs, in bytes; None where the broker is too old to say."""

    folder: str
    total: int | None
    usable: int | None


@dataclass(frozen=True)
class BrokerFacts:
    """One broker. `version` is the release whose API it speaks; `settings` are all that it shows, by name."""

    number: int
    address: str
    version: tuple[int, ...]
    settings: Mapping[str, str]
    disks: tuple[Disk, ...]


@dataclass(frozen=True)
class GroupFacts:
    """One group. `slots` are its static members' names, without what stands before every slot of the group."""

    name: str
    state: str
    members: int
    slots: tuple[str, ...]
    committed: Mapping[TopicPartition, int]


@dataclass(frozen=True)
class Span:
    """The offsets of one partition: the oldest record's, the next one's, and of the first since a given time."""

    oldest: int
    end: int
    since: int


@dataclass(frozen=True)
class Skew:
    """How far the broker's clock is ahead of ours (negative: behind), in ms: between `least` and `most`."""

    least: int
    most: int


class KafkaCluster:
    """Questions to one cluster, from one thread. Each is bounded in time and raises BrokerError or SetupError."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._admin = Admin(connection)
        self._names = {connection.topic(name): name for name in TOPICS}

    def brokers(self) -> tuple[BrokerFacts, ...]:
        """Every broker of the cluster."""
        nodes = self._admin.ask("asking for brokers", lambda client: client.describe_cluster())["brokers"]
        numbers = [int(node["broker_id"]) for node in nodes]
        settings = self._settings(ConfigResourceType.BROKER, map(str, numbers), "all")
        disks = {int(d["broker"]): d["log_dirs"] for d in self._log_dirs()}
        return tuple(
            BrokerFacts(
                number,
                f"{node['host']}:{node['port']}",
                self._version(number),
                settings.get(str(number), {}),
                tuple(
                    Disk(str(d["log_dir"]), _bytes(d.get("total_bytes")), _bytes(d.get("usable_bytes")))
                    for d in disks.get(number, ())
                ),
            )
            for number, node in zip(numbers, nodes, strict=True)
        )

    def sizes(self) -> Mapping[str, int]:
        """The bytes on disk of each topic of the table, all copies together."""
        out: dict[str, int] = {}
        for broker in self._log_dirs():
            for folder in broker["log_dirs"]:
                for topic in folder["topics"]:
                    if (name := self._names.get(topic["name"])) is not None:
                        out[name] = out.get(name, 0) + sum(p["partition_size"] for p in topic["partitions"])
        return out

    def retention_ms(self) -> Mapping[str, int]:
        """How long each topic of the table that exists keeps a record; -1: for ever."""
        counts = self._admin.counts(list(TOPICS))
        found = self._settings(ConfigResourceType.TOPIC, map(self._connection.topic, counts), "all")
        return {
            self._names[full]: int(settings["retention.ms"]) if "delete" in settings["cleanup.policy"] else -1
            for full, settings in found.items()
        }

    def spans(self, topics: Sequence[str], *, since_ms: int) -> Mapping[TopicPartition, Span]:
        """The offsets of every partition of those of `topics` that exist."""
        counts = self._admin.counts(topics)
        places = [TopicPartition(t, p) for t, count in counts.items() for p in range(count)]
        oldest, end, since = (self._offsets(places, s) for s in (OffsetSpec.EARLIEST, OffsetSpec.LATEST, since_ms))
        return {at: Span(oldest[at], end[at], since[at] if since[at] >= 0 else end[at]) for at in places}

    def group(self, name: str) -> GroupFacts:
        """What is known of a group of ours; one that never was has no members and committed nothing."""
        full = self._connection.group(name)
        described = self._admin.ask("asking for a group", lambda client: client.describe_groups([full]))[full]
        slots = [m["group_instance_id"] for m in described["members"] if m.get("group_instance_id")]
        return GroupFacts(
            name,
            str(described["group_state"]),
            len(described["members"]),
            tuple(slot.removeprefix(f"{full}-") for slot in slots),
            self.committed(name),
        )

    def committed(self, group: str) -> Mapping[TopicPartition, int]:
        """Where each partition of a group of ours goes on; nothing where it never committed."""
        full = self._connection.group(group)

        def ask(client: Any) -> Any:
            try:
                return client.list_group_offsets({full: None}).get(full, {})
            except GroupIdNotFoundError:
                return {}

        found = self._admin.ask("asking for a group's offsets", ask)
        ours = {TopicPartition(self._names[at.topic], at.partition): at for at in found if at.topic in self._names}
        return {at: int(found[key].offset) for at, key in ours.items() if found[key].offset >= 0}

    def try_transaction(self, clock: Clock) -> Skew:
        """How far the clocks are apart, by a record on `media` that is aborted: nobody of ours ever sees it.

        That it comes back at all says that transactions work for us.
        """
        connection = self._connection
        if not self._admin.counts([MEDIA.name]):
            raise missing_topic(connection, MEDIA.name)
        producer = connect(
            KafkaProducer,
            connection,
            transactional_id=connection.group(PROBE),
            transaction_timeout_ms=connection.transaction_timeout_ms,
            max_block_ms=connection.answer_timeout_ms,
            request_timeout_ms=connection.answer_timeout_ms,
            retry_backoff_ms=5,
        )
        try:
            with broker_errors("trying a transaction", connection):
                producer.init_transactions()
                producer.begin_transaction()
                before = clock.now_ms()
                sent = producer.send(connection.topic(MEDIA.name), b"", key=PROBE.encode(), partition=0)
                at_ms = sent.get(timeout=PROBE_ANSWER_S).timestamp
                after = clock.now_ms()
                producer.abort_transaction()
        finally:
            abandon(producer)  # close() waits without limit for a broker that went away
        return Skew(at_ms - after, at_ms - before)

    @property
    def undecided_ms(self) -> int:
        """As `KafkaConnection.undecided_ms`."""
        return self._connection.undecided_ms

    def abandoned(self, *, heard_before_ms: int) -> Sequence[Abandoned] | None:
        """The transactions that hold readers of our topics back for ever, without a record since `heard_before_ms`.

        None where the brokers are too old to say.
        """
        counts = self._admin.counts(list(TOPICS))
        places = [self._connection.partition(TopicPartition(t, p)) for t, count in counts.items() for p in range(count)]
        return abandoned(self._admin, places, heard_before_ms=heard_before_ms)

    def close(self) -> None:
        self._admin.close()

    def _offsets(self, places: Sequence[TopicPartition], spec: int) -> Mapping[TopicPartition, int]:
        keys = {self._connection.partition(at): at for at in places}
        if not keys:
            return {}
        asked = dict.fromkeys(keys, spec)
        found = self._admin.ask("asking for offsets", lambda client: client.list_partition_offsets(asked))
        return {keys[key]: int(offset.offset) for key, offset in found.items()}

    def _settings(self, kind: Any, names: Iterable[str], which: str) -> Mapping[str, Mapping[str, str]]:
        asked = [ConfigResource(kind, name) for name in names]
        if not asked:
            return {}
        found = self._admin.ask(
            "asking for settings", lambda client: client.describe_configs(asked, config_filter=which)
        )
        by_name = found[kind.name.lower()]
        return {name: {k: str(v["value"]) for k, v in values.items()} for name, values in by_name.items()}

    def _log_dirs(self) -> Any:
        return self._admin.ask("asking for disks", lambda client: client.describe_log_dirs())

    def _version(self, number: int) -> tuple[int, ...]:
        data = self._admin.ask("asking for the version", lambda client: client.get_broker_version_data(number))
        if data is None:
            raise BrokerError(f"the broker {number} does not say its version")
        return tuple(data.broker_version)


def _bytes(value: Any) -> int | None:
    return None if value is None or int(value) < 0 else int(value)
