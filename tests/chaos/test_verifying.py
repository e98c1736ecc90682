"""The verifier finds what it is for: faults planted in a log that has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from framecue.analysis.settings import MachineSettings
from framecue.broker.protocol import Record
from framecue.broker.publishing import dead_letter
from framecue.clock import FixedClock
from framecue.errors import InternalError
from framecue.media.pool import DecoderPool
from framecue.schemas.results import read_result, to_json
from framecue.store.protocol import Store
from framecue_services.cli.embedded import EmbeddedPipeline
from framecue_services.projector.worker import has_picture
from tests.chaos.playing import RULES, films
from tests.chaos.verifying import Session, Topics, counted, faults, verify, wrong_pictures
from tests.support.encoders import light_model

SETTINGS = MachineSettings()
Edit = Callable[[list[Record]], None]


@dataclass(frozen=True)
class Played:
    """A run in one process where nothing went wrong, and what the verifier says of it."""

    topics: Topics
    store: Store
    sessions: list[Session]
    wrong: list[str]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    acting, clock = films(3, streams=4, seconds=30), FixedClock(1_700_000_000_000)
    with (
        DecoderPool(1) as pool,
        EmbeddedPipeline(
            light_model(), decoders=pool, threads=1, machine=SETTINGS, clock=clock, partitions=4
        ) as running,
    ):
        running.set_rules(RULES)
        for sent in sorted((s for film in acting for s in film.sent), key=lambda s: s.due_s):
            clock.advance(round(sent.due_s * 1000) + 1_700_000_000_000 - clock.now_ms())
            running.broker.commit([sent.message])
            for _ in running.pump():
                pass
        sessions = [session for film in acting for session in film.sessions]
        verdict = verify(running.broker, running.store, settings=SETTINGS, sessions=sessions, clock=clock)
        yield Played(Topics.read(running.broker), running.store, sessions, verdict.wrong)


def test_nothing_is_wrong_where_nothing_went_wrong(played: Played) -> None:
    assert not played.wrong
    counts = counted(played.topics)
    assert all(
        counts[what] for what in ("events", "revisions above 1", "dead letters of ingest: UnsupportedMediaError")
    )
    assert counts["epochs"] > 4


def _lost(records: list[Record]) -> None:
    del records[len(records) // 2]


def _twice(records: list[Record]) -> None:
    records.append(replace(records[-1], offset=records[-1].offset + 1))


def _other_score(records: list[Record]) -> None:
    at = next(i for i, r in enumerate(records) if read_result(r.topic, r.value).rules)
    result = read_result("annotations", records[at].value)
    rules = tuple(rule.model_copy(update={"score": 0.123}) for rule in result.rules)
    records[at] = replace(records[at], value=to_json(result.model_copy(update={"rules": rules})))


def _crossed(records: list[Record]) -> None:
    records[0], records[-1] = records[-1], records[0]


def _given_up(records: list[Record]) -> None:
    innocent = Record("media", 0, 10**6, None, b"cam1", b"")
    letter = dead_letter(innocent, "fusion", InternalError("3 attempts at it ended the process"))
    records.append(Record("deadletter", 0, 10**6, None, letter.key, letter.value, letter.headers))


@pytest.mark.parametrize(
    ("topic", "edit", "said"),
    [
        ("annotations", _lost, r"annotations \d: \d+ written, \d+ folded again"),
        ("annotations", _twice, r"annotations: .* and must have 1 to"),
        ("annotations", _other_score, r"folded again; number \d+ is"),
        ("annotations", _crossed, r"annotations \d: \d+ written, \d+ folded again"),
        ("events", _lost, r"events \d: \d+ written, \d+ folded again"),
        ("events", _twice, r"events: .* and must have 1 to"),
        ("caption-requests", _lost, r"caption-requests \d: \d+ written"),
        ("media", _lost, r"(segments|subtitles) \d/\d+ became 0 records"),
        ("media", _twice, r"(segments|subtitles) \d/\d+ became 2 records"),
        ("features", _lost, r"media \d/\d+ became 0 features"),
        ("features", _twice, r"media \d/\d+ became 2 features"),
        ("features", _crossed, r"features \d: not in the order of media"),
        ("segments", _lost, r"segments \d/\d+ became a record, and is not there"),
        ("deadletter", _lost, r"(segments|subtitles) \d/\d+ became 0 records|deadletter \d"),
        ("deadletter", _given_up, r"was given up by fusion: InternalError: 3 attempts"),
    ],
)
def test_a_planted_fault_is_found(played: Played, topic: str, edit: Edit, said: str) -> None:
    topics = played.topics
    partition = max(topics.partitions, key=lambda p: len(topics.of(topic, p)))
    found = list(faults(_edited(topics, topic, partition, edit), SETTINGS, played.sessions))
    assert any(re.search(said, sentence) for sentence in found), found


def test_a_run_without_a_window_is_found(played: Played) -> None:
    first, *others = played.sessions
    one_more = [replace(first, windows=first.windows + 1), *others]
    assert any("must have" in sentence for sentence in faults(played.topics, SETTINGS, one_more))


def test_another_picture_is_found(played: Played) -> None:
    assert not any(wrong_pictures(played.topics, played.store))
    event = next(e for stream in played.store.streams() for e in played.store.events(stream) if has_picture(e))
    played.store.put_evidence(event.id, b"another", sequence=event.sequence + 1)
    (said,) = wrong_pictures(played.topics, played.store)
    assert event.id in said


def _edited(topics: Topics, topic: str, partition: int, edit: Edit) -> Topics:
    records: Mapping[tuple[str, int], list[Record]] = {place: list(found) for place, found in topics.records.items()}
    edit(records[topic, partition])
    return Topics(records)
