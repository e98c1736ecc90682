"""`framecue rules`: puts a rule set in force on every worker, and says what is in force. It knows no worker."""

from __future__ import annotations

import json
import sys
from typing import Literal

from rich.console import Console
from rich.text import Text

from framecue.broker.protocol import Broker
from framecue.broker.rules import apply_rules, rules_in_force
from framecue.errors import RulesError, SetupError
from framecue.models.loading import find_record
from framecue.schemas.rules import RuleSet
from framecue.schemas.topics import MEDIA
from framecue.settings import Settings
from framecue.timeline import rfc3339
from framecue_services.cli.rules_file import read_rules, rules_as_yaml
from framecue_services.cli.stream_ids import typed_stream
from framecue_services.cli.wording import clean

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


def apply_default_rules(broker: Broker) -> bool:
    """Puts the shipped rules in force where none ever were; whether it did."""
    if rules_in_force(broker) is not None:
        return False
    apply_rules(broker, read_rules(None))
    return True


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
    found = apply_rules(broker, rules, tell=_warn_unreadable)
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


def _warn_unreadable(error: RulesError) -> None:
    print(f"framecue: {clean(str(error))}", file=sys.stderr)
