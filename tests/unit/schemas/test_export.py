"""The generated JSON Schemas: current, and saying what the models say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framecue.schemas.export import PUBLIC, main, schema_text
from tests.support.paths import REPO

COMMITTED = REPO / "deploy" / "schemas"


def test_committed_schemas_are_current() -> None:
    assert main(["--check", str(COMMITTED)]) == 0


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("event.v1.json", lambda p: p.write_text("{}"), "edited by hand"),
        ("cue.v1.json", Path.unlink, "missing"),
        ("mood.v1.json", lambda p: p.write_text("{}"), "nobody's"),
    ],
)
def test_check_fails_when_a_file(name: str, change, why: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path)]) == 0
    change(tmp_path / name)
    assert main(["--check", str(tmp_path)]) == 1, why
    assert name in capsys.readouterr().err
    assert main([str(tmp_path)]) == main(["--check", str(tmp_path)]) == 0, "writing again mends it"


@pytest.mark.parametrize("name", PUBLIC)
def test_schema_uses_only_keywords_that_validators_know(name: str) -> None:
    """pydantic writes `ge` or `le` where it cannot place a bound; a validator would skip it silently."""
    assert not {'"ge":', '"le":', '"gt":', '"lt":'} & set(schema_text(name).split())


def test_rules_schema_shows_what_people_write() -> None:
    rule = json.loads(schema_text("rules.v1"))["$defs"]["EventRule"]["properties"]
    assert {"not", "for", "cooldown", "tolerance"} <= rule.keys()
    assert rule["tolerance"]["anyOf"][0]["type"] == "string"
    assert rule["tolerance"]["default"] == "4s"
