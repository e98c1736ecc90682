"""The table of topics, and how keys find partitions."""

from __future__ import annotations

import pytest

from framecue.schemas.topics import (
    SEGMENT_MAX_BYTES,
    TOPICS,
    full_name,
    murmur2,
    partition_of,
)

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("name", "hours", "append_time", "keyed"),
    [
        ("segments", 6, True, True),
        ("subtitles", 24, True, True),
        ("media", 24, True, True),
        ("features", 720, False, True),
        ("annotations", 720, False, True),
        ("events", 720, False, True),
        ("captions", 720, False, True),
        ("caption-requests", 24, False, True),
        ("snapshots", None, False, True),
        ("control", None, False, False),
        ("deadletter", 168, False, True),
    ],
)
def test_topic_is_as_the_design_says(name: str, hours: int | None, append_time: bool, keyed: bool) -> None:
    topic = TOPICS[name]
    config = topic.config()
    assert topic.retention_ms == (None if hours is None else hours * HOUR)
    assert config["cleanup.policy"] == ("compact" if hours is None else "delete")
    assert config["message.timestamp.type"] == ("LogAppendTime" if append_time else "CreateTime")
    assert topic.keyed is keyed
    assert full_name(topic) == f"framecue.{name}"
    assert full_name(topic, "lab.") == f"lab.{name}"


def test_topics_when_a_segment_is_at_its_limit() -> None:
    """Whatever carries a segment, or the pictures of one, has room for it and its headers."""
    for name in ("segments", "media", "deadletter"):
        assert TOPICS[name].max_bytes > SEGMENT_MAX_BYTES


def test_topics_table_is_complete() -> None:
    assert len(TOPICS) == 12


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(data: bytes, signed: int) -> None:
    """The vectors of Kafka's own UtilsTest.testMurmur2; its partitioner masks the sign away, as ours does."""
    assert murmur2(data) == signed & 0x7FFFFFFF


def test_partition_of_spreads_and_stays() -> None:
    ids = [f"cam-{i}" for i in range(1000)]
    found = [partition_of(i, 8) for i in ids]
    assert found == [partition_of(i, 8) for i in ids]
    assert set(found) == set(range(8))
