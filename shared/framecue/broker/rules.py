"""The rules in force: read from `control`, and replaced on every worker alike. It must not know who asks.

The rules on `control` and the record in every media partition are one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from framecue.broker.protocol import Broker, check_size
from framecue.broker.publishing import RULES_KEY, rules_messages
from framecue.errors import BrokerError, RulesError
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import first_error
from framecue.schemas.topics import CONTROL, MEDIA


@dataclass(frozen=True)
class InForce:
    """The rules on `control`, and since when by the broker's time (None: nobody knows)."""

    rules: RuleSet
    since_ms: int | None


@dataclass(frozen=True)
class RuleChange:
    """One line of what an `apply` changes. `how` is empty unless something of a rule changed."""

    kind: Literal["added", "changed", "removed"]
    what: str
    streams: str
    how: str = ""


def rules_in_force(broker: Broker) -> InForce | None:
    """What `control` holds; None where rules were never applied. Raises RulesError for what is no rule set."""
    found = None
    for partition in range(broker.partitions(CONTROL.name)):
        for record in broker.read(CONTROL.name, partition=partition):
            if record.key == RULES_KEY:
                found = record
    if found is None or found.value is None:
        return None
    try:
        return InForce(RuleSet.model_validate_json(found.value), found.timestamp_ms)
    except ValidationError as e:
        raise RulesError(
            f"{first_error(e)}; put good ones in force with `framecue rules apply FILE`", source="the rules on control"
        ) from e


def apply_rules(
    broker: Broker, rules: RuleSet, *, tell: Callable[[RulesError], None] = lambda error: None
) -> tuple[RuleChange, ...]:
    """Puts `rules` in force from here on, on every worker alike; gives what that changes.

    Also where it changes nothing: a fusion that starts anew may no longer find the record of the last time. Where what
    was in force cannot be read, `tell` hears of it, and it counts as nothing, so that it can be replaced. Raises
    RulesError where `rules` are too large for their topic.
    """
    messages = rules_messages(rules, media_partitions=broker.partitions(MEDIA.name), at_ms=broker.now_ms())
    try:
        check_size(messages[0])
    except BrokerError as e:
        raise RulesError(f"too many or too long: {e}") from e
    before = _before(broker, tell)
    broker.commit(messages)
    return tuple(changes(before, rules))


def changes(before: RuleSet, after: RuleSet) -> Iterator[RuleChange]:
    """What tells `after` from `before`, scenes first; a rule is told by its name, scenes by their streams."""
    old, new = _named(before), _named(after)
    for name, rule in new.items():
        if name not in old:
            yield RuleChange("added", name, rule.streams, _size(rule))
        elif rule != old[name]:
            yield RuleChange("changed", name, rule.streams, _difference(old[name], rule))
    for name, rule in old.items():
        if name not in new:
            yield RuleChange("removed", name, rule.streams)


def _before(broker: Broker, tell: Callable[[RulesError], None]) -> RuleSet:
    try:
        found = rules_in_force(broker)
    except RulesError as e:
        tell(e)
        found = None
    return RuleSet() if found is None else found.rules


def _named(rules: RuleSet) -> Mapping[str, SceneRule | EventRule]:
    named: dict[str, SceneRule | EventRule] = {}
    for scene in rules.scenes:
        named.setdefault("scenes", scene) if scene.streams == "*" else named.setdefault(
            f"scenes {scene.streams}", scene
        )
    return named | {f"event {rule.name}": rule for rule in rules.events}


def _size(rule: SceneRule | EventRule) -> str:
    return f"{len(rule.labels)} labels" if isinstance(rule, SceneRule) else ""


def _difference(old: SceneRule | EventRule, new: SceneRule | EventRule) -> str:
    if isinstance(old, SceneRule) and isinstance(new, SceneRule):
        more, fewer = len(set(new.labels) - set(old.labels)), len(set(old.labels) - set(new.labels))
        return f"{more} labels more, {fewer} fewer" if more or fewer else "labels in another order"
    was, now = (r.model_dump(by_alias=True) for r in (old, new))
    return ", ".join(name.removesuffix("_ms") for name in now if now[name] != was[name])
