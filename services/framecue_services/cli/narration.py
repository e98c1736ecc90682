"""Tells a run in the terminal as it happens: what is seen, what later words revise, which events fire and why.

Plain text where the output is no terminal. It knows the wire models and draws; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import SHOT_CUT, WARNING, Event
from framecue.schemas.rules import UNKNOWN, RuleSet
from framecue_services.cli.output import Result
from framecue_services.cli.wording import clean, clock, decided_by, degraded, ending, event_name, is_built_in

REMEMBERED_MAX = 10_000
"""Windows whose words are known: a revision comes within half a minute, so 600 streams can be told of."""
_BAR = 12
_LABEL = 22
_INDENT = " " * 7
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Narration:
    """Prints results; counts them for the summary. Text from outside is cleaned and never read as markup."""

    def __init__(self, console: Console, rules: RuleSet, *, lead: Callable[[Result], Text] = lambda _: Text()) -> None:
        """`lead` gives what stands before each line about a result."""
        self._console = console
        self._lead_of, self._lead = lead, Text()
        self._rules = {rule.name: rule for rule in rules.events}
        self._words: dict[str, tuple[str, ...]] = {}
        self.windows, self.revisions, self.events = 0, 0, 0

    def tell(self, result: Result) -> None:
        """Prints one result, or nothing where a revision says nothing new to a reader."""
        self._lead = self._lead_of(result)
        match result:
            case Annotation():
                self._annotation(result)
            case Event() if is_built_in(result.rule):
                self._built_in(result)
            case Event():
                self._event(result)
            case Caption() if result.text:
                self._line(Text(f"{_INDENT}{clean(result.text)}", "italic dim"))

    def _annotation(self, annotation: Annotation) -> None:
        quotes = tuple(clean(cue.text) for cue in annotation.text.cues)
        before = self._words.pop(annotation.id, None)
        self._words[annotation.id] = quotes
        if len(self._words) > REMEMBERED_MAX:
            del self._words[next(iter(self._words))]
        if before is None:
            self.windows += 1
            self._window(annotation, quotes)
            return
        self.revisions += 1
        if quotes != before:
            line = Text.assemble((f"{clock(annotation.start_ms):>5}  ", "dim"), ("↻ revised ", "yellow"))
            line.append(" ".join(f"“{quote}”" for quote in quotes) or "without words", "cyan")
            lag = f", words {annotation.text.lag_ms / 1000:g} s late" if annotation.text.lag_ms else ""
            line.append(f"  revision {annotation.revision}{lag}", "dim")
            self._line(line)

    def _window(self, annotation: Annotation, quotes: tuple[str, ...]) -> None:
        line = Text(f"{clock(annotation.start_ms):>5}  ", "dim")
        if annotation.scene is None:
            line.append("no scene", "dim")
        else:
            named = annotation.scene.label != UNKNOWN
            line.append(f"{clean(annotation.scene.label)[:_LABEL]:<{_LABEL}} ", "bold" if named else "dim")
            line.append_text(_bar(annotation.scene.score, "green" if named else "bright_black"))
            line.append(f" {annotation.scene.score:.2f}")
            if not named and annotation.scene.runners_up:
                best = annotation.scene.runners_up[0]
                line.append(f"  closest: {clean(best.label)} {best.score:.2f}", "dim")
        if annotation.degraded:
            line.append(f"  {degraded(annotation.degraded)}", "red")
        self._line(line)
        for quote in quotes:
            self._line(Text(f"{_INDENT}“{quote}”", "cyan"))

    def _event(self, event: Event) -> None:
        rule = self._rules.get(event.rule)
        name = f" {clean(event_name(event.rule))} "
        if event.phase == "updated":
            return
        self.events += event.phase == "started"
        if event.phase == "started":
            line = Text.assemble(_INDENT, (f"▶{name}", "bold white on magenta"), f" from {clock(event.start_ms)}")
            line.append(f"  {decided_by(rule, event)}", "magenta")
        else:
            end = "" if event.end_ms is None else f" to {clock(event.end_ms)}"
            line = Text.assemble(_INDENT, (f"■{name}", "magenta"), f" {event.phase}, from {clock(event.start_ms)}{end}")
            line.append(f"  {ending(event, rule)}", "dim")
        self._line(line)

    def _built_in(self, event: Event) -> None:
        style = "yellow" if event.rule == WARNING else "blue"
        line = Text.assemble(_INDENT, (f"• {event_name(event.rule)}", style), (f" at {clock(event.start_ms)}", "dim"))
        if event.message and event.rule != SHOT_CUT:
            line.append(f"  {clean(event.message)}", "dim")
        self._line(line)

    def _line(self, line: Text) -> None:
        self._console.print(self._lead + line, soft_wrap=True)


def _bar(score: float, color: str) -> Text:
    """`score` as a bar of twelve cells, in steps of an eighth of one."""
    eighths = round(max(0.0, min(1.0, score)) * _BAR * 8)
    full, part = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[part] if part else "")
    return Text(f"{drawn:<{_BAR}}", f"{color} on grey23")
