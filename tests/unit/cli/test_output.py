"""JSON lines: one a result, the wire's own JSON, harmless on a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from framecue.errors import SetupError
from framecue_services.cli.output import json_line, write_line
from tests.unit.cli.results import annotation, caption, cue, event


def test_every_result_says_its_type_first() -> None:
    kinds = [next(iter(json.loads(json_line(r)).items())) for r in (annotation(0), event("goal", 0), caption(0, "x"))]
    assert kinds == [("type", "annotation"), ("type", "event"), ("type", "caption")]


def test_a_line_is_the_wire_form_without_wall_times_that_nobody_knows() -> None:
    value = json.loads(json_line(annotation(0)))
    assert value["schema"] == "framecue.annotation/1"
    assert "wall_at" not in value
    assert "published_at" not in value
    assert value["degraded"] is None


def test_wall_times_stay_where_they_are_known() -> None:
    value = json.loads(json_line(annotation(0, published_at="2026-01-31T12:00:00.000Z")))
    assert value["published_at"] == "2026-01-31T12:00:00.000Z"


def test_hostile_text_is_escaped_and_reads_back_equal() -> None:
    hostile = "a\x1b[2J\x9b31m\u202e<script>\x00\n"
    line = json_line(annotation(0, cues=(cue(0, 1000, hostile),)))
    assert json.loads(line)["text"]["cues"][0]["text"] == hostile
    assert all(c.isprintable() for c in line)


def test_write_line_is_utf_8_whatever_the_locale() -> None:
    out = io.BytesIO()
    write_line(out, annotation(0, "улица"))
    assert "улица".encode() in out.getvalue()
    assert out.getvalue().endswith(b"}\n")


def test_a_full_disk_is_a_sentence() -> None:
    with Path("/dev/full").open("wb", buffering=0) as out, pytest.raises(SetupError, match="no space left on device"):
        write_line(cast("BinaryIO", out), annotation(0))
