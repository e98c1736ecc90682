"""The topics of the table on a broker: made, compared with what is there, and deleted. Changes nothing that exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from framecue.broker.kafka.connection import Admin, KafkaConnection
from framecue.broker.kafka.producer import topic_bytes
from framecue.errors import BrokerError
from framecue.schemas.topics import CONTROL, TOPICS, Topic


@dataclass(frozen=True)
class Finding:
    """What is not as the table says; `topic` is the broker's name."""

    topic: str
    wrong: str
    cure: str


def create_topics(connection: KafkaConnection, *, partitions: int, replication: int) -> list[str]:
    """The broker's names of the topics it did not have, and has now; raises BrokerError.

    Where some are there, the others get as many `partitions` as those: all keyed topics must have the same.
    """
    admin = Admin(connection)
    try:
        there = admin.counts(list(TOPICS))
        partitions = _common(there) or partitions
        missing = {
            connection.topic(row.name): {
                "num_partitions": partitions if row.keyed else 1,
                "replication_factor": replication,
                "configs": _config(row),
            }
            for row in TOPICS.values()
            if row.name not in there
        }
        if not missing:
            return []
        answer = admin.ask(
            "creating topics",
            lambda client: client.create_topics(missing, raise_errors=False, wait_for_metadata=True),
        )
        return [t["name"] for t in _results(answer) if not t["error_code"]]
    finally:
        admin.close()


def check_topics(connection: KafkaConnection) -> list[Finding]:
    """What differs from the table, in its order; empty when all is well. Raises BrokerError."""
    admin = Admin(connection)
    try:
        counts = admin.counts(list(TOPICS))
        configs = _configs(admin, connection, list(counts))
    finally:
        admin.close()
    common = _common(counts)
    found: list[Finding] = []
    for row in TOPICS.values():
        name = connection.topic(row.name)
        if row.name not in counts:
            found.append(Finding(name, "it does not exist", "framecue topics create"))
            continue
        found += _counted(row, name, counts[row.name], common)
        found += _configured(row, name, configs.get(name, {}))
    return found


def delete_topics(connection: KafkaConnection) -> list[str]:
    """The broker's names of the topics of the table that it had under this prefix, and has no more."""
    admin = Admin(connection)
    try:
        names = [connection.topic(name) for name in admin.counts(list(TOPICS))]
        if names:
            admin.ask("deleting topics", lambda client: client.delete_topics(names))
        return names
    finally:
        admin.close()


def _config(row: Topic) -> dict[str, str]:
    """The broker limits a batch, the table a message."""
    return row.config() | {"max.message.bytes": str(topic_bytes(row))}


def _results(answer: Any) -> list[Any]:
    """What became of each topic; raises BrokerError for one that is refused. Another command may have been faster."""
    already_there = 36
    topics: list[Any] = answer["topics"]
    for topic in topics:
        if topic["error_code"] not in (0, already_there):
            raise BrokerError(f"the broker does not create {topic['name']}: {topic.get('error_message')}")
    return topics


def _configs(admin: Admin, connection: KafkaConnection, names: list[str]) -> Mapping[str, Mapping[str, Any]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, connection.topic(name)) for name in names]
    answer = admin.ask(
        "asking for the settings of topics", lambda client: client.describe_configs(asked, config_filter="all")
    )
    found: Mapping[str, Mapping[str, Any]] = answer["topic"]
    return found


def _common(counts: Mapping[str, int]) -> int | None:
    """How many partitions most keyed topics have."""
    keyed = [counts[row.name] for row in TOPICS.values() if row.keyed and row.name in counts]
    return max(sorted(set(keyed)), key=keyed.count, default=None)


def _counted(row: Topic, name: str, got: int, common: int | None) -> list[Finding]:
    wanted = common if row.keyed else 1
    if got == wanted:
        return []
    return [
        Finding(
            name,
            f"it has {got} partitions, and must have {wanted}" + (", as the others do" if row is not CONTROL else ""),
            f"make it again: kafka-topics.sh --delete --topic {name}, then framecue topics create",
        )
    ]


def _configured(row: Topic, name: str, config: Mapping[str, Any]) -> list[Finding]:
    found = []
    for key, wanted in _config(row).items():
        got = str(config[key]["value"]) if key in config else ""
        if key in ("max.message.bytes", "retention.ms"):
            unlimited = key == "retention.ms" and got == "-1"
            if unlimited or (got.lstrip("-").isdigit() and int(got) >= int(wanted)):
                continue
        elif got == wanted:
            continue
        found.append(
            Finding(
                name,
                f"{key} is {got or 'not known'}, and must be {wanted}",
                f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {key}={wanted}",
            )
        )
    return found
