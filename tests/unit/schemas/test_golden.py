"""Messages as they once went out: each must still parse, and serialise back to the same.

A red row means that a wire form has changed. Raise the version in the model, keep the old folder and a reader for it
(v and v - 1 are read), and add a folder for the new one; never mend a golden message.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from pydantic import BaseModel

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.codec import pack, unpack_features, unpack_media, unpack_request
from framecue.schemas.event import Event

GOLDEN = Path(__file__).parent / "golden"
JSON: dict[str, type[BaseModel]] = {"annotation": Annotation, "event": Event, "caption": Caption}
MSGPACK: dict[str, Callable[[bytes], BaseModel]] = {
    "media": unpack_media,
    "features": unpack_features,
    "caption-request": unpack_request,
}


def files(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.glob(pattern))


@pytest.mark.parametrize("name", files("*/*/*.json"))
def test_result_reads_and_writes_back_equal(name: str) -> None:
    kind, version, _ = name.split("/")
    text = (GOLDEN / name).read_text(encoding="utf-8")
    result = JSON[kind].model_validate_json(text)
    assert result.model_dump_json(indent=2) + "\n" == text
    assert json.loads(text)["schema"] == f"framecue.{kind}/{version}"


@pytest.mark.parametrize("name", files("*/*/*.hex"))
def test_record_reads_and_writes_back_equal(name: str) -> None:
    kind, version, _ = name.split("/")
    data = bytes.fromhex((GOLDEN / name).read_text(encoding="ascii"))
    record = MSGPACK[kind](data)
    assert pack(record) == data
    assert msgpack.unpackb(data)["v"] == int(version)


def test_golden_when_a_kind_has_no_message() -> None:
    assert {name.split("/")[0] for name in files("*/*/*.*")} == JSON.keys() | MSGPACK.keys()


@pytest.mark.parametrize("kind", JSON)
def test_full_message_sets_every_field(kind: str) -> None:
    text = (GOLDEN / kind / "1" / "full.json").read_text(encoding="utf-8")
    assert JSON[kind].model_validate_json(text).model_fields_set == JSON[kind].model_fields.keys()


def test_wire_form_changes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is able to fail: a model with one more field writes something else."""

    class Longer(Caption):
        mood: str | None = None

    monkeypatch.setitem(JSON, "caption", Longer)
    with pytest.raises(AssertionError):
        test_result_reads_and_writes_back_equal("caption/1/full.json")
