"""Who reads which partitions of a group: equal numbers together, as they are where possible, handed over in two steps.

The client's own sticky assignor spreads each topic for itself, so the segments and the subtitles of one stream could go
to different workers. It also believes what a member says it owned before it lost its membership; here such a member
says nothing (`forget`). It must not know any topic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor, RebalanceProtocol
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

VERSION = 2
"""Of the group's protocol: with the partitions owned, and the generation they are of."""
Unit = tuple[tuple[str, ...], int]
"""The partitions of one number over topics that have the same subscribers."""


@dataclass(frozen=True)
class Member:
    """What one member subscribes to and says it owns, as of `generation`."""

    topics: frozenset[str]
    owned: frozenset[tuple[str, int]] = frozenset()
    generation: int = -1


def assign(members: Mapping[str, Member], counts: Mapping[str, int]) -> dict[str, set[tuple[str, int]]]:
    """The partitions of each member for the next generation; `counts` has the number of partitions of each topic.

    What moves from one member to another belongs to nobody for one generation: its owner sees it go, lets go, and asks
    for the next generation, in which it is given away.
    """
    owners = _owners(members)
    out: dict[str, set[tuple[str, int]]] = {name: set() for name in members}
    for topics, subscribers in _by_subscribers(members).items():
        places = range(max((counts.get(topic, 0) for topic in topics), default=0))
        wanted = _spread([(topics, n) for n in places], subscribers, owners)
        for (_, number), name in wanted.items():
            parts = {(topic, number) for topic in topics if number < counts.get(topic, 0)}
            out[name] |= {part for part in parts if owners.get(part, name) == name}
    return out


def _owners(members: Mapping[str, Member]) -> dict[tuple[str, int], str]:
    """Who owns what; where two say so, the one of the later generation."""
    owners: dict[tuple[str, int], str] = {}
    for name, member in sorted(members.items(), key=lambda item: (item[1].generation, item[0])):
        owners |= dict.fromkeys(member.owned, name)
    return owners


def _by_subscribers(members: Mapping[str, Member]) -> dict[tuple[str, ...], list[str]]:
    """Topics that the same members subscribe to, with those members; one entry, unless a deploy is under way."""
    subscribers: defaultdict[str, list[str]] = defaultdict(list)
    for name, member in sorted(members.items()):
        for topic in member.topics:
            subscribers[topic].append(name)
    topics: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for topic, names in sorted(subscribers.items()):
        topics[tuple(names)].append(topic)
    return {tuple(together): list(names) for names, together in topics.items()}


def _spread(units: Sequence[Unit], names: Collection[str], owners: Mapping[tuple[str, int], str]) -> dict[Unit, str]:
    """A member for each unit: evenly, and as it was as far as even allows."""
    held: dict[str, list[Unit]] = {name: [] for name in names}
    free: list[Unit] = []
    for unit in units:
        topics, number = unit
        claims = [owners[topic, number] for topic in topics if owners.get((topic, number)) in held]
        if claims:
            held[max(sorted(set(claims)), key=claims.count)].append(unit)
        else:
            free.append(unit)
    least, extra = divmod(len(units), len(held))
    fullest_first = sorted(held, key=lambda name: (-len(held[name]), name))
    room = {name: least + (place < extra) for place, name in enumerate(fullest_first)}
    for name in fullest_first:
        free += held[name][room[name] :]
        del held[name][room[name] :]
    for unit in sorted(free):
        held[min(held, key=lambda name: (len(held[name]) - room[name], name))].append(unit)
    return {unit: name for name, units_held in held.items() for unit in units_held}


class NumberedStickyAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """`assign`, as the client asks for it. One for each consumer."""

    name = "framecue-numbered-sticky"

    def __init__(self) -> None:
        self._owned: frozenset[tuple[str, int]] = frozenset()
        self._generation = -1

    def forget(self) -> None:
        """Nothing is owned any more, and was not given back in good order."""
        self._owned, self._generation = frozenset(), -1

    def supported_protocols(self) -> list[RebalanceProtocol]:
        return [RebalanceProtocol.COOPERATIVE]

    def metadata(self, topics: Collection[str]) -> Any:
        by_topic: defaultdict[str, list[int]] = defaultdict(list)
        for topic, number in sorted(self._owned):
            by_topic[topic].append(number)
        owned = [
            ConsumerProtocolSubscription.TopicPartition(topic=topic, partitions=numbers)
            for topic, numbers in by_topic.items()
        ]
        return ConsumerProtocolSubscription(
            version=VERSION,
            topics=sorted(topics),
            user_data=b"",
            owned_partitions=owned,
            generation_id=self._generation,
        )

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, Any]:
        told = {
            member.member_id: Member(
                frozenset(member.metadata.topics),
                frozenset((tp.topic, n) for tp in member.metadata.owned_partitions or () for n in tp.partitions),
                member.metadata.generation_id,
            )
            for member in members
        }
        topics = frozenset[str]().union(*(member.topics for member in told.values()))
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        return {name: _encoded(parts) for name, parts in assign(told, counts).items()}

    def on_assignment(self, assignment: Any, generation: int) -> None:
        self._owned = frozenset((tp.topic, tp.partition) for tp in assignment.partitions())
        self._generation = generation


def _encoded(parts: Collection[tuple[str, int]]) -> Any:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(parts):
        by_topic[topic].append(number)
    return ConsumerProtocolAssignment(VERSION, list(by_topic.items()), b"")
