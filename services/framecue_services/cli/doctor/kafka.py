"""Kafka: brokers, their limits, clocks and disks, and the groups that read. Each function is one check.

Facts come from `broker.kafka.cluster`; what they mean is decided here, in functions that need no server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from framecue.broker.kafka.abandoned import Abandoned
from framecue.broker.kafka.cluster import BrokerFacts, GroupFacts, KafkaCluster, Skew, Span
from framecue.broker.protocol import NOTE_MAX, TopicPartition
from framecue.clock import Clock
from framecue.schemas.results import RESULT_TOPICS
from framecue.schemas.topics import (
    CAPTION_REQUESTS,
    DAY_MS,
    DEADLETTER_MAX_BYTES,
    EVENTS,
    HOUR_MS,
    MEDIA,
    MESSAGE_MAX_BYTES,
    SEGMENTS,
    SUBTITLES,
    TOPICS,
)
from framecue.settings import KafkaSettings, NotifierSettings
from framecue.timeline import rfc3339
from framecue_services.cli.doctor.findings import Finding, fine
from framecue_services.cli.wording import counted, in_bytes

READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ingest": (SEGMENTS.name, SUBTITLES.name),
        "fusion": (MEDIA.name,),
        "captioner": (CAPTION_REQUESTS.name,),
        "projector": RESULT_TOPICS,
    }
)
"""Each group of ours and the topics that it reads, webhooks aside."""
LEAST_VERSION = (2, 5)
"""Older brokers do not fence a transaction by its group's generation."""
SKEW_MS = 1_000
MARKERS = 2
"""Offsets of a partition that hold no record when its reader is caught up: marks of the last transactions."""


def readers(notifier: NotifierSettings) -> Mapping[str, tuple[str, ...]]:
    """All groups of ours: each webhook has one too."""
    return {**READERS, **{webhook.group: (EVENTS.name,) for webhook in notifier.webhooks}}


@dataclass(frozen=True)
class Bound:
    """What one setting of a broker has to be. `limit` is a number it may not be on the wrong side of, else a word."""

    name: str
    sign: Literal["least", "most", "not"]
    limit: int | str
    why: str
    severity: Literal["warning", "error"] = "error"

    def holds(self, value: str) -> bool:
        """Whether a value of the setting is as it has to be."""
        match self.sign:
            case "least":
                return int(value) >= int(self.limit)
            case "most":
                return int(value) <= int(self.limit)
            case "not":
                return value.lower() != self.limit

    def cure(self) -> str:
        """What to do where it is not."""
        if self.sign == "not":
            return f"set {self.name}={'false' if self.limit == 'true' else 'true'} on the brokers"
        return f"set {self.name} to {self.limit} {'or more' if self.sign == 'least' else 'or less'} on the brokers"


def bounds(settings: KafkaSettings, *, brokers: int) -> tuple[Bound, ...]:
    """What the settings of every broker have to be for these settings of ours."""
    session, transaction = settings.session_timeout_ms, settings.transaction_timeout_ms
    return (
        Bound(
            "message.max.bytes",
            "least",
            MESSAGE_MAX_BYTES,
            "topics made by other means than `framecue topics create` get it, and refuse segments of 16 MiB",
            "warning",
        ),
        Bound("socket.request.max.bytes", "least", DEADLETTER_MAX_BYTES + (1 << 20), "dead letters are refused"),
        Bound("offset.metadata.max.bytes", "least", NOTE_MAX, "commits with a worker's note are refused"),
        Bound("transaction.max.timeout.ms", "least", transaction, "workers cannot begin a transaction"),
        Bound("group.min.session.timeout.ms", "most", session, "workers cannot join their group"),
        Bound("group.max.session.timeout.ms", "least", session, "workers cannot join their group"),
        Bound("transaction.state.log.min.isr", "most", brokers, "no transaction can be committed"),
        Bound("min.insync.replicas", "most", min(brokers, settings.replication), "nothing can be written"),
        Bound("auto.create.topics.enable", "not", "true", "a misspelt topic appears, with wrong timestamps", "warning"),
        Bound("unclean.leader.election.enable", "not", "true", "what was committed can be lost", "warning"),
    )


def judge_broker(broker: BrokerFacts, settings: KafkaSettings, *, brokers: int) -> Iterator[Finding]:
    """What is off with one broker."""
    version = ".".join(map(str, broker.version))
    who = f"broker {broker.number} at {broker.address}"
    if broker.version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        yield Finding("error", f"{who} speaks Kafka {version}: no results exactly once", f"use Kafka {least} or later")
    wrong = [b for b in bounds(settings, brokers=brokers) if (v := broker.settings.get(b.name)) and not b.holds(v)]
    for bound in wrong:
        what = f"{who} has {bound.name}={broker.settings[bound.name]}: {bound.why}"
        yield Finding(bound.severity, what, bound.cure())
    if not wrong:
        yield fine(f"{who} speaks Kafka {version}, with limits that fit ours")


def judge_skew(skew: Skew) -> Finding:
    """What a difference of clocks means; the true one lies between the two ends."""
    ahead, behind = max(skew.least, 0), max(-skew.most, 0)
    if max(ahead, behind) > SKEW_MS:
        side, by = ("ahead", ahead) if ahead else ("behind", behind)
        return Finding(
            "warning",
            f"the broker's clock is {by / 1000:.1f} s {side} of this machine's: live text and times would be off by it",
            "keep both by NTP",
        )
    return fine("transactions work, and the clocks of broker and this machine agree")


def judge_abandoned(found: Sequence[Abandoned] | None, *, bootstrap: str) -> Iterator[Finding]:
    """What it means that nobody will end these transactions."""
    if found is None:
        yield Finding("unknown", "the brokers do not say which transactions hold readers back (before Kafka 3.0)")
        return
    for one in found:
        what = (
            f"{one.topic} {one.partition} gives readers nothing from offset {one.start} on: "
            f"a transaction is open since {rfc3339(one.heard_ms)}, and nobody will end it"
        )
        command = (
            f"kafka-transactions.sh --bootstrap-server {bootstrap} abort"
            f" --topic {one.topic} --partition {one.partition} --start-offset {one.start}"
        )
        cure = (
            "let its worker run: its next commit to this partition ends it, and nothing is lost; where it stands still,"
            f" `{command}` drops what it wrote there; run Kafka 4.2: 4.3 and 4.4 leave such ones behind"
        )
        yield Finding("error", what, cure)
    if not found:
        yield fine("no transaction holds readers back")


def judge_group(
    group: GroupFacts, spans: Mapping[TopicPartition, Span], *, retention_ms: Mapping[str, int]
) -> Iterator[Finding]:
    """What is off with one group. `spans` are of the topics it reads, `since` half of their retention ago."""
    name = group.name
    run = f"start it with `framecue run {name.partition('.')[0]}`, or everything with `framecue up`"
    at = {place: group.committed.get(place, span.oldest) for place, span in spans.items()}
    behind = sum(max(0, spans[p].end - max(offset, spans[p].oldest)) for p, offset in at.items())
    lost = sum(max(0, spans[p].oldest - offset) for p, offset in group.committed.items() if p in spans)
    late = sorted({p.topic for p, offset in at.items() if offset < spans[p].since})
    if lost:
        what = f"{name} missed about {counted(lost, 'record')} that expired unread"
        yield Finding("error", what, "start more workers, or keep records for longer (retention.ms)")
    for topic in late:
        kept = span_of_time(retention_ms.get(topic, -1))
        what = f"{name} is behind by more than half of the {kept} that {topic} is kept: soon records are lost"
        yield Finding("error" if not group.members else "warning", what, f"start more workers; {run}")
    if not group.members:
        yield Finding("warning", f"no {name} runs, and about {behind} records wait for it", run)
        return
    slots = ", ".join(group.slots) or "none"
    if without := group.members - len(group.slots):
        yield Finding(
            "warning", f"{counted(without, 'worker')} of {name} without a slot", "set FRAMECUE_SLOT, another for each"
        )
    partitions = max((p.partition + 1 for p in spans), default=0)
    if idle := max(0, group.members - partitions):
        what = f"{idle} of {group.members} workers of {name} with nothing to do: there are {partitions} partitions"
        yield Finding("warning", what, "stop them, or make topics with more partitions")
    waits = f"about {counted(behind, 'record')} behind" if behind > MARKERS * len(spans) else "caught up"
    yield fine(f"{name}: {counted(group.members, 'worker')} (slots {slots}), {waits}")


@dataclass(frozen=True)
class Growth:
    """One topic on disk: bytes now, bytes a day as of the last hour, and how long they are kept (-1: for ever)."""

    topic: str
    bytes: int
    a_day: float
    retention_ms: int

    @property
    def still_to_come(self) -> float:
        """Bytes by which it grows until its retention holds it."""
        if self.retention_ms < 0:
            return 0.0  # compacted: bounded by its keys
        return max(0.0, self.a_day * self.retention_ms / DAY_MS - self.bytes)


def judge_disks(brokers: tuple[BrokerFacts, ...], topics: tuple[Growth, ...]) -> Iterator[Finding]:
    """How long the disks last."""
    disks = [disk for broker in brokers for disk in broker.disks]
    usable = sum(disk.usable for disk in disks if disk.usable is not None)
    if not disks or any(disk.usable is None for disk in disks):
        yield Finding("unknown", "the brokers do not say how much disk they have (before Kafka 3.3)")
        return
    size, come = sum(t.bytes for t in topics), sum(t.still_to_come for t in topics)
    a_day = sum(t.a_day for t in topics if t.still_to_come > 0)
    now = f"topics take {in_bytes(size)}, {in_bytes(usable)} are free"
    if come <= usable * 0.9:
        yield fine(
            f"{now}; at the rate of the last hour they grow by {in_bytes(come)}, then expire as fast as they come"
        )
        return
    days = usable / a_day if a_day else 0.0
    largest = max(topics, key=lambda t: t.still_to_come)
    yield Finding(
        "error" if days < 2 else "warning",
        f"{now}, and at the rate of the last hour they last {days:.1f} days: less than {largest.topic} is to be kept",
        f"give the brokers {in_bytes(come - usable)} more, or shorten retention.ms of {largest.topic}",
    )


def judge_outages(retention_ms: Mapping[str, int], *, skip_older_than_ms: int | None) -> Iterator[Finding]:
    """How long each service may be away before its input expires."""
    for group, topics in READERS.items():
        kept = [retention_ms[t] for t in topics if retention_ms.get(t, -1) >= 0]
        if not kept:
            continue
        yield fine(f"{group} may be away for {span_of_time(min(kept))}: so long its input is kept")
        if group == "ingest" and skip_older_than_ms is not None and min(kept) < skip_older_than_ms:
            yield Finding(
                "warning",
                f"segments expire after {span_of_time(min(kept))}, before ingest would skip them",
                "set delivery.skip_older_than_ms below retention.ms, or keep segments for longer",
            )


def span_of_time(ms: int) -> str:
    """So long, coarsely: `6 h`, `30 d`, `10 min`."""
    if ms < 0:
        return "ever"
    for unit, size in (("d", DAY_MS), ("h", HOUR_MS), ("min", 60_000), ("s", 1_000)):
        if ms >= size:
            return f"{ms / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{ms} ms"


def brokers(cluster: KafkaCluster, settings: KafkaSettings) -> Iterator[Finding]:
    """Every broker of the cluster."""
    found = cluster.brokers()
    for broker in found:
        yield from judge_broker(broker, settings, brokers=len(found))


def transactions(cluster: KafkaCluster, clock: Clock, settings: KafkaSettings) -> Iterator[Finding]:
    """Whether a transaction goes through, how the clocks stand, and whether one that nobody ends is in the way."""
    skew = cluster.try_transaction(clock)
    yield judge_skew(skew)
    now_ms = clock.now_ms() + skew.least  # the broker's, or a little before it
    found = cluster.abandoned(heard_before_ms=now_ms - cluster.undecided_ms)
    yield from judge_abandoned(found, bootstrap=settings.bootstrap)


def groups(cluster: KafkaCluster, clock: Clock, readers: Mapping[str, tuple[str, ...]] = READERS) -> Iterator[Finding]:
    """Every group of ours."""
    retention_ms = cluster.retention_ms()
    for name, topics in readers.items():
        spans: dict[TopicPartition, Span] = {}
        for topic in topics:
            half = max(0, retention_ms.get(topic, -1)) // 2
            spans |= cluster.spans([topic], since_ms=clock.now_ms() - half if half else 0)
        yield from judge_group(cluster.group(name), spans, retention_ms=retention_ms)


def disks(cluster: KafkaCluster, clock: Clock) -> Iterator[Finding]:
    """How long the disks last."""
    sizes, retention_ms = cluster.sizes(), cluster.retention_ms()
    spans = cluster.spans(list(TOPICS), since_ms=clock.now_ms() - HOUR_MS)
    topics = []
    for name, size in sizes.items():
        own = [span for at, span in spans.items() if at.topic == name]
        records, lately = (sum(s.end - s.oldest for s in own), sum(s.end - s.since for s in own))
        a_day = 24 * size * lately / records if records else 0.0
        topics.append(Growth(name, size, a_day, retention_ms.get(name, -1)))
    yield from judge_disks(cluster.brokers(), tuple(topics))


def outages(cluster: KafkaCluster, *, skip_older_than_ms: int | None) -> Iterator[Finding]:
    """How long each service may be away."""
    yield from judge_outages(cluster.retention_ms(), skip_older_than_ms=skip_older_than_ms)
