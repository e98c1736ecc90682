"""A little notation for what goes into a stream machine and what comes out, so that tests read like CASES.md.

A 4000-5300 r2 present gap final @1   an annotation: start (end where it is not 2 s later), revision, state of the
                                      words unless `none`, what degrades it, whether it is final, the run unless 0
E goal/2000#3 ended 2000-6000 score 0.7   an event: rule and first start (its id), sequence, phase, span (open
                                      without an end), reason, peak where there is one
C 4000                                a request for a caption
refused                               text that could not be kept
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from framecue.analysis.machine import Refused, Result, StreamMachine
from framecue.analysis.settings import MachineSettings
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import CaptionRequest
from framecue.schemas.event import Event
from framecue.schemas.features import Features
from tests.support.streams import STREAM, DialSpace, Log

END = "end"
"""In place of a record: nothing more will come."""

Step = Features | str | tuple[Features | str, *tuple[str, ...]]
"""A record, and the lines that leave because of it; a record alone is one that nothing leaves of."""

Steps = Callable[[Log], Sequence[Step]]


@dataclass(frozen=True)
class Case:
    """`steps` makes the records and says what leaves because of each, less the requests for captions if not asked for.

    `counts` are those of the machine at the end, `scores` the last scores of a rule by window.
    """

    name: str
    reason: str
    steps: Steps
    counts: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    captions: bool = False
    log: Callable[[], Log] = Log
    settings: MachineSettings | None = None

    def records(self) -> Iterator[tuple[Features | str, list[str]]]:
        """Each record with its lines."""
        for step in self.steps(self.log()):
            record, *expected = step if isinstance(step, tuple) else (step,)
            yield record, [line for text in expected for line in text.splitlines()]


def plain(log: Log, begin_ms: int, end_ms: int, first: str = "", **settings: object) -> Iterator[Step]:
    """Segments of 2 s from `begin_ms` to `end_ms`, each of which makes one first annotation and nothing else.

    `first` is what the annotations say beside their number.
    """
    for at in range(begin_ms, end_ms, 2000):
        yield log.segment(at, at + 2000, **settings), f"A {at} r1 {first}".strip()


def windows(begin_ms: int, end_ms: int, said: str) -> str:
    """One annotation for each window."""
    return "\n".join(f"A {at} {said}" for at in range(begin_ms, end_ms, 2000))


def assert_case(case: Case, *, restored: bool) -> None:
    """Runs `case`, over a snapshot and a restore after every record if so asked; checks what holds for every run."""
    fold, notation, out = machine(case.settings), Notation(), list[Result]()
    for n, (record, expected) in enumerate(case.records()):
        left = push(fold, record)
        shown = [r for r in left if case.captions or not isinstance(r, CaptionRequest)]
        assert notation.lines(shown) == expected, f"{case.reason}; after record {n} of the case"
        assert_ordered(left)
        out += left
        fold = reborn(fold, case.settings) if restored else fold
    assert_numbered(out)
    assert_settling(out)
    assert fold.counts == case.counts
    for rule, expected_scores in case.scores.items():
        assert scores(out, rule) == expected_scores


def machine(settings: MachineSettings | None = None) -> StreamMachine:
    return StreamMachine(STREAM, space=DialSpace(), model="dials", settings=settings)


def reborn(old: StreamMachine, settings: MachineSettings | None = None) -> StreamMachine:
    """A machine restored elsewhere from a snapshot of `old`."""
    return StreamMachine.restore(
        STREAM, old.snapshot(), space=DialSpace(), model="dials", settings=settings, rules=dict(old.rules_in_use)
    )


def feed(fold: StreamMachine, records: Iterable[Features | str]) -> list[Result]:
    """Everything that leaves because of `records`."""
    return [result for record in records for result in push(fold, record)]


def push(fold: StreamMachine, record: Features | str) -> list[Result]:
    return fold.finish() if isinstance(record, str) else fold.push(record)


@dataclass
class Notation:
    """Writes results down; runs are numbered in the order in which they are met."""

    runs: dict[int, int] = field(default_factory=dict)

    def lines(self, results: Iterable[Result]) -> list[str]:
        return [self.line(result) for result in results]

    def line(self, result: Result) -> str:
        match result:
            case Annotation():
                words = ["A", _span(result.start_ms, result.end_ms, result.start_ms + 2000), f"r{result.revision}"]
                words += [result.text.state] if result.text.state != "none" else []
                words += [result.degraded] if result.degraded else []
                words += ["final"] if result.settled_until_ms >= result.end_ms else []
            case Event():
                name = "/".join(result.id.split("/")[2:])
                words = ["E", f"{name}#{result.sequence}", result.phase, _span(result.start_ms, result.end_ms, -1)]
                words += [result.reason] if result.reason else []
                words += [f"{result.peak:g}"] if result.peak is not None else []
            case CaptionRequest():
                words = ["C", str(result.start_ms)]
            case Refused():
                return "refused"
        run = self.runs.setdefault(result.epoch, len(self.runs))
        return " ".join([*words, f"@{run}"] if run else words)


def _span(start_ms: int, end_ms: int | None, usual_ms: int) -> str:
    if end_ms == usual_ms:
        return str(start_ms)
    return f"{start_ms}-" if end_ms is None else f"{start_ms}-{end_ms}"


def latest(results: Iterable[Result]) -> dict[str, Annotation]:
    """The last revision of every annotation, by id, in the order in which they first left."""
    return {r.id: r for r in results if isinstance(r, Annotation)}


def scores(results: Iterable[Result], rule: str) -> list[float | None]:
    """What `rule` scored in each window, by its last revision, in window order."""
    last = sorted(latest(results).values(), key=lambda a: (a.epoch, a.start_ms))
    return [r.score for a in last for r in a.rules if r.rule == rule]


def assert_numbered(results: Sequence[Result]) -> None:
    """(id, revision) and (id, sequence) are unique and without gaps, and leave in order."""
    seen: dict[str, int] = {}
    for result in results:
        if isinstance(result, Annotation | Event):
            number = result.revision if isinstance(result, Annotation) else result.sequence
            assert number == seen.get(result.id, 0) + 1, f"{result.id}: {number} after {seen.get(result.id, 0)}"
            seen[result.id] = number


def assert_settling(results: Sequence[Result]) -> None:
    """`settled_until_ms` never falls within a run, unless cut to an annotation's own end; what is final stays so."""
    upto: dict[int, int] = {}
    final: set[str] = set()
    for result in results:
        if isinstance(result, Annotation):
            settled = result.settled_until_ms
            assert result.id not in final, f"{result.id} was final"
            assert settled == min(max(upto.get(result.epoch, 0), settled), result.end_ms)
            upto[result.epoch] = max(upto.get(result.epoch, 0), settled)
            final |= {result.id} if settled >= result.end_ms else set()


def assert_ordered(results: Sequence[Result]) -> None:
    """One record's annotations in window order, at most one a window, then its events; a run that closes first."""
    shown = [r for r in results if not isinstance(r, Refused)]
    places = [(r.epoch, _RANKS.index(type(r)), r.start_ms if isinstance(r, Annotation) else 0) for r in shown]
    assert places == sorted(places)
    windows = [r.id for r in shown if isinstance(r, Annotation)]
    assert len(windows) == len(set(windows))


_RANKS = (Annotation, Event, CaptionRequest)
