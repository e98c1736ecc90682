"""Rules as files: read with errors that point to the line, written so that they read back the same. Knows no server."""

from __future__ import annotations

import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from framecue.errors import RulesError
from framecue.schemas.rules import EventRule, RuleSet, rules_from_yaml

DEFAULT_RULES = "default-rules.yaml"
RULES_BYTES_MAX = 4 << 20
_DURATIONS = {"tolerance_ms": "tolerance", "for_ms": "for", "cooldown_ms": "cooldown"}
_FOLLOWS_FROM_OTHERS = ("combine", "when")
"""Written always: what is read where they are missing depends on the rest of the rule."""


def shipped(name: str) -> str:
    """The text of a file that ships with the command line."""
    return files("framecue_services.cli").joinpath("data", name).read_text("utf-8")


def read_rules(path: Path | None, *, default: str = DEFAULT_RULES) -> RuleSet:
    """The rules in `path`, else the shipped file `default`; raises RulesError naming file and line."""
    if path is None:
        return rules_from_yaml(shipped(default), source=default)
    try:
        with path.open("rb") as file:
            data = file.read(RULES_BYTES_MAX + 1)
        text = data.decode()
    except OSError as e:
        raise RulesError(f"cannot be read: {e.strerror}", source=str(path)) from e
    except UnicodeDecodeError as e:
        raise RulesError("is no UTF-8 text; save it as UTF-8", source=str(path)) from e
    if len(data) > RULES_BYTES_MAX:
        raise RulesError(f"is larger than {RULES_BYTES_MAX >> 20} MiB", source=str(path))
    return rules_from_yaml(text, source=str(path))


def rules_as_yaml(rules: RuleSet) -> str:
    """`rules` as a rules file, which `read_rules` reads back the same."""
    scenes = [{"streams": s.streams, "labels": list(s.labels)} for s in rules.scenes]
    value = {"scenes": scenes, "events": [_written(e) for e in rules.events]}
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    if any(unicodedata.category(c) in ("Cc", "Cf") for c in text if c != "\n"):  # what could fool a terminal
        text = yaml.safe_dump(value, sort_keys=False, width=120)
    return text


def _written(rule: EventRule) -> dict[str, Any]:
    given = rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    given |= {name: getattr(rule, name) for name in _FOLLOWS_FROM_OTHERS}
    return {_DURATIONS.get(k, k): _duration(v) if k in _DURATIONS else v for k, v in given.items()}


def _duration(ms: int) -> str:
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"
