"""What a user looks for, in words: scene labels and event rules, as the `control` topic and a rules file hold them."""

from __future__ import annotations

import hashlib
import math
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import re2
import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    FiniteFloat,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from framecue.errors import RulesError
from framecue.schemas.base import Wire

RESERVED = "framecue."
UNKNOWN = "unknown"
Combine = Literal["picture", "text", "either", "both", "weighted"]

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}


IN_WORDS = {"durations": "words"}
"""Validation context of a rules file: there a bare number counts seconds, while the wire holds ms."""


def _duration_ms(value: Any, info: ValidationInfo) -> Any:
    """`4s`, `1.5s`, `500ms` or `2m` in ms; a bare number is ms on the wire and seconds in a rules file."""
    if isinstance(value, bool):
        raise ValueError("not a duration; write 4s, 500ms or 2m")
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)\s*", value)
        if not match:
            raise ValueError(f"{value!r} is not a duration; write 4s, 500ms or 2m")
        value, unit = float(match[1]), _UNITS[match[2]]
    elif isinstance(value, int | float) and info.context == IN_WORDS:
        unit = 1000
    else:
        return value
    if not math.isfinite(value):
        raise ValueError("longer than any stream; write 4s, 500ms or 2m")
    return round(value * unit)


def as_regex(phrase: str) -> str | None:
    """The pattern of a phrase written as `/pattern/`; None for words that are meant by their meaning."""
    return phrase[1:-1] if len(phrase) > 2 and phrase[0] == phrase[-1] == "/" else None


_QUIET = re2.Options()
_QUIET.log_errors = False  # what is wrong stands in our error, not on stderr


def _phrase(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ValueError("an empty phrase; say what to look for in words")
    if (pattern := as_regex(text)) is not None:
        try:
            re2.compile(pattern, _QUIET)
        except re2.error as e:
            raise ValueError(f"/{pattern}/ is no regular expression that runs in linear time (RE2 syntax)") from e
    return text


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Phrase = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_phrase)]
Phrases = Annotated[
    tuple[Phrase, ...],
    Field(max_length=64),
    BeforeValidator(_one_or_many, json_schema_input_type=Phrase | Annotated[tuple[Phrase, ...], Field(max_length=64)]),
]
StreamPattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-*?]{1,128}$")]
Score = Annotated[float, Field(ge=0, le=1)]
_Duration = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*(ms|s|min|m|h)\s*$")]
_AsWritten = BeforeValidator(_duration_ms, json_schema_input_type=_Duration | Annotated[float, Field(ge=0)])
DurationMs = Annotated[int, Field(ge=0, le=86_400_000), _AsWritten]
ToleranceMs = Annotated[int, Field(ge=0, le=600_000), _AsWritten]


class SceneRule(Wire):
    """The labels that the scenes of some streams are told apart by."""

    streams: StreamPattern = "*"
    labels: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _distinct(self) -> SceneRule:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label stands twice in labels")
        if UNKNOWN in self.labels:
            raise ValueError(f"{UNKNOWN!r} is always among the labels; leave it out")
        return self


class Calibration(Wire):
    """A fitted pair: p = sigmoid(a * margin + b)."""

    a: FiniteFloat
    b: FiniteFloat


class EventRule(Wire):
    """One event, in words. Durations are in ms; on the wire under the names a rules file uses."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,99}$")
    streams: StreamPattern = "*"
    picture: Phrases = ()
    text: Phrases = ()
    negatives: Phrases = Field((), validation_alias=AliasChoices("not", "negatives"), serialization_alias="not")
    combine: Combine = Field("either", description="where not given: the side that has phrases, if only one has")
    weights: tuple[Score, Score] | None = Field(None, description="picture and text, summing to 1")
    tolerance_ms: ToleranceMs = Field(
        4000, validation_alias=AliasChoices("tolerance", "tolerance_ms"), json_schema_extra={"default": "4s"}
    )
    when: Literal["early", "settled"] = Field("settled", description="where not given: early if combine is picture")
    enter: Score = 0.6
    exit: Score = 0.4
    for_ms: DurationMs = Field(0, validation_alias=AliasChoices("for", "for_ms"))
    cooldown_ms: DurationMs = Field(0, validation_alias=AliasChoices("cooldown", "cooldown_ms"))
    picture_calibration: Calibration | None = None
    text_calibration: Calibration | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        """`when` follows `combine` where it is not given; what is given on one side only needs no `combine`."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if "combine" not in value and bool(value.get("picture")) != bool(value.get("text")):
            value["combine"] = "picture" if value.get("picture") else "text"
        if "when" not in value:
            value["when"] = "early" if value.get("combine") == "picture" else "settled"
        return value

    @model_validator(mode="after")
    def _consistent(self) -> EventRule:
        if self.name.startswith(RESERVED):
            raise ValueError(f"names that begin with {RESERVED!r} are kept for built-in events")
        if self.exit > self.enter:
            raise ValueError(f"exit ({self.exit}) is above enter ({self.enter}); the event would flicker")
        needs = {"picture": ("picture",), "text": ("text",)}.get(self.combine, ("picture", "text"))
        for side in needs:
            if not getattr(self, side):
                raise ValueError(f"combine: {self.combine} needs phrases under {side}:")
        if self.weights is not None:
            if self.combine != "weighted":
                raise ValueError("weights go with combine: weighted")
            if abs(sum(self.weights) - 1) > 1e-9:
                raise ValueError(f"weights must be two numbers that sum to 1, got {list(self.weights)}")
        for phrase in (*self.picture, *self.negatives):
            if as_regex(phrase) is not None:
                raise ValueError(f"{phrase}: a regular expression has meaning under text: only")
        return self


class RuleSet(Wire):
    """Everything that is looked for, as of one moment."""

    scenes: Annotated[tuple[SceneRule, ...], Field(max_length=1000)] = ()
    events: Annotated[tuple[EventRule, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _distinct(self) -> RuleSet:
        seen: set[str] = set()
        for rule in self.events:
            if rule.name in seen:
                raise ValueError(f"two events are named {rule.name!r}")
            seen.add(rule.name)
        return self

    def of_stream(self, stream: str) -> RuleSet:
        """What concerns one stream: the first scene rule that fits, and every event rule that fits."""
        return RuleSet(
            scenes=tuple(s for s in self.scenes if fnmatchcase(stream, s.streams))[:1],
            events=tuple(e for e in self.events if fnmatchcase(stream, e.streams)),
        )

    def picture_prompts(self) -> tuple[str, ...]:
        """Every phrase that pictures are compared with, once each, in a fixed order."""
        found: dict[str, None] = {}
        for scene in self.scenes:
            found |= dict.fromkeys(scene.labels)
        for event in self.events:
            if event.picture:
                found |= dict.fromkeys((*event.picture, *event.negatives))
        return tuple(found)

    def text_prompts(self) -> tuple[str, ...]:
        """Every phrase that cues are compared with by meaning, once each, in a fixed order."""
        found: dict[str, None] = {}
        for event in self.events:
            if event.text:
                found |= dict.fromkeys(p for p in (*event.text, *event.negatives) if as_regex(p) is None)
        return tuple(found)


def identity(rule: EventRule | SceneRule) -> str:
    """A rule is its content: 16 hex digits that change when anything of it does."""
    return hashlib.sha256(rule.model_dump_json().encode()).hexdigest()[:16]


def rules_from_yaml(text: str, source: str = "rules") -> RuleSet:
    """The rule set in a YAML document; raises RulesError that points to the line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        what = getattr(e, "problem", None) or "not valid YAML"
        raise RulesError(what, source=source, line=None if mark is None else mark.line + 1) from e
    except RecursionError as e:
        raise RulesError("nested too deeply", source=source) from e
    except ValueError as e:  # a date or a number that PyYAML takes for one and cannot make
        raise RulesError(str(e), source=source) from e
    if not isinstance(value, dict):
        raise RulesError("a rules file holds `scenes:` and `events:`", source=source, line=1)
    try:
        return RuleSet.model_validate(value, context=IN_WORDS)
    except ValidationError as e:
        error = e.errors(include_url=False, include_input=False)[0]
        names = [str(part) for part in error["loc"]]
        what = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            what = "no such setting; see `framecue analyze --help` for where rules are described"
        where = ".".join(names)
        raise RulesError(f"{where}: {what}" if where else what, source=source, line=_line(node, error["loc"])) from e


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int | None:
    """The line of the deepest part of `loc` that the document has."""
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == part]
            if not found:
                break
            key, node = found[0]
            line = key.start_mark.line + 1
            if not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
                return int(line)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            break
    return None if node is None else int(node.start_mark.line) + 1
