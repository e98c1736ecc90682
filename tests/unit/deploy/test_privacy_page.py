"""The page on privacy says of every topic what it holds and how long: it must not fall behind the tables in code."""

from __future__ import annotations

import re

from pydantic import BaseModel

from framecue.schemas.media import Frame
from framecue.schemas.topics import DAY_MS, DEADLETTER, HOUR_MS, MEDIA, SEGMENTS, TOPICS, Topic
from framecue.store.protocol import TTL_MS
from tests.support.paths import REPO

PAGE = (REPO / "deploy" / "docs" / "privacy.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
RAW = {SEGMENTS.name, MEDIA.name, DEADLETTER.name}
"""Where a message holds pictures: what is pushed, what is sampled of it, and either of them as a dead letter."""


def topic_rows() -> list[list[str]]:
    return [row for row in ROWS if len(row) == 4]


def kept(topic: Topic) -> str:
    ms = topic.retention_ms
    if ms is None:
        return "the latest of each key"
    return f"{ms // HOUR_MS} hours" if ms < DAY_MS else f"{ms // DAY_MS} day{'s' if ms > DAY_MS else ''}"


def test_every_topic_has_its_row_with_its_retention() -> None:
    assert [(row[0], row[3]) for row in topic_rows()] == [(f"`{name}`", kept(topic)) for name, topic in TOPICS.items()]


def test_raw_pictures_are_said_to_be_raw_and_no_others() -> None:
    raw = {row[0].strip("`") for row in topic_rows() if row[1].startswith("**raw")}
    assert raw == RAW
    assert all(f"`{name}`" in PAGE.split("## What is kept")[0] for name in RAW), (
        "the first lines are all that many read"
    )


def test_only_media_records_hold_frames() -> None:
    """A schema with a picture in it belongs on the page: this is where whoever adds one finds out."""
    holders = {model.__name__ for model in _models(BaseModel) if "jpeg" in model.model_fields}
    assert holders == {Frame.__name__}


def test_the_evidence_in_redis_is_said_to_be_raw() -> None:
    (evidence,) = (row for row in ROWS if row[0] == "`framecue:evidence:{event}`")
    assert "raw JPEG, not blurred" in evidence[1]
    assert evidence[2] == f"{TTL_MS // HOUR_MS} hours"


def test_settings_and_names_on_the_page_exist() -> None:
    template = (REPO / "deploy" / ".env.example").read_text("utf-8")
    named = set(re.findall(r"FRAMECUE_[A-Z_]+", PAGE))
    assert named
    assert {name for name in named if name not in template} == set()


def _models(of: type[BaseModel]) -> set[type[BaseModel]]:
    below = {model for model in of.__subclasses__() if model.__module__.startswith(("framecue.", "pydantic."))}
    return below.union(*map(_models, below))
