"""The `stream` label is bounded, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from framecue.telemetry.streams import StreamLabels


@pytest.mark.parametrize(
    ("limit", "asked", "labels"),
    [
        (2, ["a", "b", "c", "a", "d", "b"], ["a", "b", "other", "a", "other", "b"]),
        (0, ["a"], ["other"]),
        (2, ["other", "a", "b"], ["other", "a", "other"]),
    ],
    ids=["the first keep theirs", "none has one", "a stream that is called so shares it"],
)
def test_the_first_streams_keep_their_ids(limit: int, asked: list[str], labels: list[str]) -> None:
    named = StreamLabels(limit)
    assert [named.of(stream) for stream in asked] == labels


def test_many_threads_get_no_more() -> None:
    named = StreamLabels(10)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(named.of, [f"cam{i % 100}" for i in range(5_000)]))
    assert len(set(found) - {"other"}) == 10
