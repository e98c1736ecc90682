"""JSON Schemas of what users read and write, generated from the models: results, cues, and the rules file.

python -m framecue.schemas.export [--check] deploy/schemas
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.feedback import Feedback
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import CueIn

Mode = Literal["validation", "serialization"]

PUBLIC: Mapping[str, tuple[type[BaseModel], Mode]] = MappingProxyType(
    {
        "annotation.v1": (Annotation, "serialization"),
        "event.v1": (Event, "serialization"),
        "caption.v1": (Caption, "serialization"),
        "feedback.v1": (Feedback, "serialization"),
        "cue.v1": (CueIn, "validation"),
        "rules.v1": (RuleSet, "validation"),
    }
)
"""File name to model, and whether people write it (validation) or read it (serialization)."""


def schema_text(name: str) -> str:
    """The JSON Schema (2020-12) of one row of `PUBLIC`, as its file holds it."""
    model, mode = PUBLIC[name]
    schema = model.model_json_schema(by_alias=True, mode=mode)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def stale(folder: Path) -> list[str]:
    """The names of files in `folder` that differ from the models, are missing, or are nobody's."""
    expected = {f"{name}.json": schema_text(name) for name in PUBLIC}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in expected | found if expected.get(name) != found.get(name))


def write(folder: Path) -> None:
    """Makes `folder` current."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale(folder):
        path = folder / name
        if (stem := name.removesuffix(".json")) in PUBLIC:
            path.write_text(schema_text(stem), encoding="utf-8")
        else:
            path.unlink()


def main(arguments: list[str]) -> int:
    """Writes or, after `--check`, compares the folder named last; 1 where it is not current."""
    folder = Path(arguments[-1])
    if arguments[0] != "--check":
        write(folder)
        return 0
    if names := stale(folder):
        sys.stderr.write(f"not current in {folder}: {', '.join(names)}; run `make schemas`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
