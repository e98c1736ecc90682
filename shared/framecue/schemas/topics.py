"""The one table of topics: names, who may keep what for how long, and how keys find partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LOCAL_PARTITIONS = 8
FLEET_PARTITIONS = 64
SEGMENT_MAX_BYTES = 16 << 20
MESSAGE_MAX_BYTES = 18 << 20
"""Room for a segment at its limit with its headers, or a media record of one."""
DEADLETTER_MAX_BYTES = 20 << 20
"""Room for any message with the headers that say why it could not be used."""
COMPACTED_SEGMENT_BYTES = 32 << 20
"""Kafka compacts what lies behind the segment it writes to: who restores state reads at least this much of the old."""


@dataclass(frozen=True)
class Topic:
    """One row. `retention_ms` None keeps for ever (compacted); `keyed` topics share one number of partitions."""

    name: str
    about: str
    retention_ms: int | None
    compacted: bool = False
    log_append_time: bool = False
    keyed: bool = True
    max_bytes: int = 1 << 20

    def config(self) -> dict[str, str]:
        """The broker's settings for this topic."""
        out = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_bytes),
            "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
        }
        if self.compacted:
            out["segment.bytes"] = str(COMPACTED_SEGMENT_BYTES)
        if self.retention_ms is not None:
            out["retention.ms"] = str(self.retention_ms)
        return out


SEGMENTS = Topic(
    "segments",
    "encoded media, one self-contained segment a message",
    6 * HOUR_MS,
    log_append_time=True,
    max_bytes=MESSAGE_MAX_BYTES,
)
SUBTITLES = Topic(
    "subtitles",
    "subtitle documents, JSON cues and live lines",
    DAY_MS,
    log_append_time=True,
    max_bytes=4 << 20,
)
MEDIA = Topic(
    "media",
    "internal: sampled frames and cues, ticks, rule changes",
    DAY_MS,
    log_append_time=True,  # also how ingest knows the broker's time
    max_bytes=MESSAGE_MAX_BYTES,
)
FEATURES = Topic(
    "features",
    "internal: vectors and picture statistics, what the fold reads",
    30 * DAY_MS,
    max_bytes=MESSAGE_MAX_BYTES,
)
ANNOTATIONS = Topic("annotations", "results: one per stream and window, revised by late text", 30 * DAY_MS)
EVENTS = Topic("events", "results: events as they start, change and end", 30 * DAY_MS)
CAPTIONS = Topic("captions", "results: sentences about windows", 30 * DAY_MS)
CAPTION_REQUESTS = Topic("caption-requests", "internal: windows that want a sentence", DAY_MS)
SNAPSHOTS = Topic("snapshots", "internal: state of the fold", None, compacted=True, max_bytes=8 << 20)
CONTROL = Topic(
    "control", "internal: the rules in force, and who may use the gateway", None, compacted=True, keyed=False
)
FEEDBACK = Topic("feedback", "what people say of events: right, wrong, missed", 365 * DAY_MS)
DEADLETTER = Topic("deadletter", "what could not be used, with the reason", 7 * DAY_MS, max_bytes=DEADLETTER_MAX_BYTES)

TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        t.name: t
        for t in (
            SEGMENTS,
            SUBTITLES,
            MEDIA,
            FEATURES,
            ANNOTATIONS,
            EVENTS,
            CAPTIONS,
            CAPTION_REQUESTS,
            SNAPSHOTS,
            CONTROL,
            FEEDBACK,
            DEADLETTER,
        )
    }
)


def full_name(topic: Topic, prefix: str = "framecue.") -> str:
    """The name on the broker."""
    return prefix + topic.name


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 hash of `data`, as a non-negative int (`org.apache.kafka.common.utils.Utils.murmur2`)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def partition_of(stream: str, partitions: int) -> int:
    """The partition that everything of one stream is written to."""
    return murmur2(stream.encode()) % partitions
