"""Who reads what: together, evenly, sticky, and never two at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecue.broker.kafka.assignor import Member, assign

COUNTS = {"segments": 6, "subtitles": 6, "control": 1}
TOPICS = frozenset(COUNTS)
Owned = Mapping[str, set[tuple[str, int]]]


def members(owned: Owned, *, generation: int = 1) -> dict[str, Member]:
    return {name: Member(TOPICS, frozenset(parts), generation) for name, parts in owned.items()}


def settle(names: list[str], owned: Owned) -> Owned:
    """The assignment after as many generations as the members ask for."""
    for _ in range(5):
        before, owned = owned, assign(members({name: owned.get(name, set()) for name in names}), COUNTS)
        if all(owned[name] == before.get(name, set()) for name in names):
            return owned
    raise AssertionError("the group never comes to rest")


@pytest.mark.parametrize(
    ("before", "after", "most_moved", "reason"),
    [
        ([], ["a"], 0, "the first takes all"),
        (["a"], ["a", "b"], 3, "a newcomer gets its share and no more moves"),
        (["a", "b", "c"], ["a", "b"], 2, "what one left is shared"),
        (["a", "b"], ["b", "c"], 3, "one goes, one comes"),
        (["a"], list("abcdefgh"), 5, "more members than partitions"),
    ],
)
def test_the_group_comes_to_rest_evenly_and_moves_little(
    before: list[str], after: list[str], most_moved: int, reason: str
) -> None:
    old: Owned = settle(before, {}) if before else {}
    new = settle(after, old)
    shares = [len({number for _, number in parts}) for parts in new.values()]
    assert max(shares) - min(shares) <= 1, reason
    assert Counter(part for parts in new.values() for part in parts) == Counter(
        {(topic, n): 1 for topic, count in COUNTS.items() for n in range(count)}
    )
    kept = {name: old[name] for name in old if name in after}
    moved = {number for name, parts in kept.items() for _, number in parts - new[name]}
    assert len(moved) <= most_moved, reason
    for parts in new.values():
        numbers = {topic: {n for t, n in parts if t == topic} for topic in ("segments", "subtitles")}
        assert numbers["segments"] == numbers["subtitles"], reason


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.tuples(st.sets(st.tuples(st.sampled_from(sorted(TOPICS)), st.integers(0, 5))), st.integers(-1, 3)),
        min_size=1,
    )
)
def test_nothing_is_given_away_that_another_member_still_has(told: dict[str, tuple[set[tuple[str, int]], int]]) -> None:
    group = {name: Member(TOPICS, frozenset(parts), generation) for name, (parts, generation) in told.items()}
    latest: dict[tuple[str, int], str] = {}
    for name, member in sorted(group.items(), key=lambda item: (item[1].generation, item[0])):
        latest |= dict.fromkeys(member.owned, name)
    for name, parts in assign(group, COUNTS).items():
        assert all(latest.get(part, name) == name for part in parts)


def test_members_that_read_different_topics_get_only_their_own() -> None:
    group = {"old": Member(frozenset({"segments"})), "new": Member(frozenset({"segments", "subtitles"}))}
    given_out = assign(group, COUNTS)
    assert {topic for topic, _ in given_out["old"]} == {"segments"}
    assert {n for topic, n in given_out["new"] if topic == "subtitles"} == set(range(6))
