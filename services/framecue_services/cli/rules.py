"""`framecue rules`: puts a rule set in force on every worker, and says what is in force.

The rules on `control` and the record in every media partition are one commit. It must not know workers or models.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from framecue.broker.protocol import Broker, check_size
from framecue.broker.publishing import RULES_KEY, rules_messages
from framecue.errors import BrokerError, RulesError, SetupError
from framecue.models.loading import find_record
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import first_error
from framecue.schemas.topics import CONTROL, MEDIA
from framecue.settings import Settings
from framecue.timeline import rfc3339
from framecue_services.cli.rules_file import read_rules, rules_as_yaml
from framecue_services.cli.stream_ids import typed_stream
from framecue_services.cli.wording import clean

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


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


def apply_rules(broker: Broker, rules: RuleSet) -> tuple[RuleChange, ...]:
    """Puts `rules` in force from here on, on every worker alike; gives what that changes.

    Also where it changes nothing: a fusion that starts anew may no longer find the record of the last time. Raises
    RulesError where they are too large for their topic.
    """
    messages = rules_messages(rules, media_partitions=broker.partitions(MEDIA.name), at_ms=broker.now_ms())
    try:
        check_size(messages[0])
    except BrokerError as e:
        raise RulesError(f"too many or too long: {e}") from e
    before = _before(broker)
    broker.commit(messages)
    return tuple(changes(before, rules))


def apply_default_rules(broker: Broker) -> bool:
    """Puts the shipped rules in force where none ever were; whether it did."""
    if rules_in_force(broker) is not None:
        return False
    apply_rules(broker, read_rules(None))
    return True


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


def uncalibrated(rules: RuleSet, settings: Settings) -> str | None:
    """A warning where scores of these rules will not be probabilities; None where they are."""
    model = find_record(settings.model.name, lock=settings.model.lock)
    fitted = {kind: pair.calibration is not None for kind, pair in model.pairs()}
    names = [
        rule.name
        for rule in rules.events
        if (rule.picture and not fitted["picture"] and rule.picture_calibration is None)
        or (rule.text and not fitted["text"] and rule.text_calibration is None)
    ]
    if not names:
        return None
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"the model {model.name} is not calibrated: scores of {some} order windows, but 0.6 is no probability; "
        "watch what they score before you trust enter and exit, or give the rule its own picture_calibration"
    )


def run_apply(rules: RuleSet, broker: Broker, *, settings: Settings, console: Console | None = None) -> None:
    """Applies the rules and says what changed."""
    console = console or Console(highlight=False, soft_wrap=True)
    _warn(rules, settings)
    found = apply_rules(broker, rules)
    for change in found:
        sign, colour = _SIGNS[change.kind]
        line = Text.assemble((f"{sign} ", colour), clean(change.what), (f"  {change.streams}", "dim"))
        console.print(line.append(f"  {clean(change.how)}") if change.how else line)
    partitions = broker.partitions(MEDIA.name)
    counts = {kind: sum(c.kind == kind for c in found) for kind in _SIGNS}
    what = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n) or "the same as before"
    console.print(f"in force from here on in {partitions} media partitions: {what}", markup=False)


def run_apply_default(broker: Broker) -> None:
    """Applies the shipped rules where none are in force, and says whether it did."""
    done = apply_default_rules(broker)
    print("the shipped rules are in force" if done else "rules are in force already; nothing was changed")


def run_show(broker: Broker, *, stream: str | None = None, form: Literal["yaml", "json"] = "yaml") -> None:
    """Prints the rules in force, or what of them concerns one stream; raises SetupError where there are none."""
    if stream is not None:
        typed_stream(stream)
    found = rules_in_force(broker)
    if found is None:
        raise SetupError("no rules are in force yet; put some in force with `framecue rules apply FILE`")
    rules = found.rules if stream is None else found.rules.of_stream(stream)
    since = None if found.since_ms is None else rfc3339(found.since_ms)
    if form == "json":
        rules_json = rules.model_dump(mode="json", by_alias=True)
        print(json.dumps({"since": since, "rules": rules_json}))
        return
    where = "" if stream is None else f" for {stream}"
    print(f"# in force{where} since {since or 'an unknown time'}")
    print(rules_as_yaml(rules), end="")


def _warn(rules: RuleSet, settings: Settings) -> None:
    try:
        warning = uncalibrated(rules, settings)
    except SetupError as e:
        warning = f"whether the model is calibrated cannot be seen from here: {e}"
    if warning:
        print(f"framecue: {clean(warning)}", file=sys.stderr)


def _before(broker: Broker) -> RuleSet:
    """What is replaced; what cannot be read counts as nothing, so that it can be replaced."""
    try:
        found = rules_in_force(broker)
    except RulesError as e:
        print(f"framecue: {clean(str(e))}", file=sys.stderr)
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
