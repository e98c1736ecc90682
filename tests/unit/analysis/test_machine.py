"""What DESIGN promises of the stream machine beside the numbered cases: rows in the same notation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from framecue.analysis.machine import StreamMachine
from framecue.analysis.settings import MachineSettings
from framecue.analysis.spaces import ClosedSpace, Pairing, to_wire
from framecue.analysis.windows import RANKED
from framecue.schemas.annotation import Annotation
from framecue.schemas.event import Event
from framecue.schemas.features import SegmentFeatures
from framecue.schemas.media import Origin
from tests.support.script import END, Case, assert_case, feed, latest, machine, plain, windows
from tests.support.streams import SUBTITLES, Log, cue, rule, rules

PICTURE = rules(rule("x", picture=["dial 0"]))
HOUR = Fraction(3600)
REQUEUED = Origin(topic="framecue.deadletter", partition=0, offset=1, at_ms=0)


def blind(segment: SegmentFeatures) -> SegmentFeatures:
    """The model failed on the first frame."""
    first, *rest = segment.frames
    return segment.model_copy(update={"frames": (first.model_copy(update={"vector": b""}), *rest)})


ORDER = [
    Case("one record, one order", "held and next segment leave together: annotations, then events", lambda log: [
        rules(rule("x", picture=["dial 0"])),
        *plain(log, 0, 4000),
        log.segment(0, 2000, own=HOUR, scores={0: .7}),
        (log.segment(2000, 4000, own=HOUR + 2), "A 2000 r2 final", "A 0 r1 @1", "A 2000 r1 @1",
         "E x/0#1 started 0- 0.7 @1", "E x/0#2 ended 0-2000 score 0.7 @1"),
    ]),
    Case("a jump within a session", "the session goes on in the new run", lambda log: [
        *plain(log, 0, 4000, session="s"),
        log.segment(3_600_000, 3_602_000, session="s"),
        (log.segment(3_602_000, 3_604_000, session="s"),
         "A 2000 r2 final", "A 3600000 r1 @1", "A 3602000 r1 @1"),
        (log.segment(3_604_000, 3_606_000, session="s"), "A 3604000 r1 @1"),
    ]),
    Case("set back three times", "three in a row from too far back are a jump, the fourth confirms it", lambda log: [
        (log.segment(0, 30_000, own=HOUR), windows(0, 30_000, "r1")),
        log.segment(0, 2000, own=Fraction(0)),
        log.segment(2000, 4000, own=Fraction(2)),
        log.segment(4000, 6000, own=Fraction(4)),
        (log.segment(6000, 8000, own=Fraction(6)), "A 28000 r2 final", "A 0 r1 @1", "A 2000 r1 @1"),
    ], counts={"too_far_back": 3}),
    Case("stragglers", "two from too far back are only counted", lambda log: [
        (log.segment(0, 30_000), windows(0, 30_000, "r1")),
        log.segment(2000, 4000),
        log.segment(4000, 6000),
        (log.segment(30_000, 32_000), "A 30000 r1"),
        log.segment(6000, 8000),
    ], counts={"too_far_back": 3}),
    Case("requeued", "a dead letter that comes again is never a jump, however often", lambda log: [
        (log.segment(0, 28_000), windows(0, 28_000, "r1")),
        *plain(log, 28_000, 30_000),
        *[log.segment(at, at + 2000, requeued_from=REQUEUED) for at in (0, 2000, 4000, 6000)],
        *[log.segment(0, 2000, own=HOUR + n, requeued_from=REQUEUED) for n in (0, 2)],
        (log.segment(30_000, 32_000), "A 30000 r1"),
    ], counts={"too_far_back": 6}),
    Case("requeued in time", "where its windows are not final it fills its gap", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(4000, 6000), "A 2000 r1 gap", "A 4000 r1"),
        (log.segment(2000, 4000, requeued_from=REQUEUED), "A 2000 r2"),
    ]),
    Case("requeued beside a stray", "it is counted, and says nothing of the held one", lambda log: [
        (log.segment(0, 30_000), windows(0, 30_000, "r1")),
        log.segment(0, 2000, own=HOUR),
        log.segment(2000, 4000, requeued_from=REQUEUED),
        (log.segment(2000, 4000, own=HOUR + 2), "A 28000 r2 final", "A 0 r1 @1", "A 2000 r1 @1"),
    ], counts={"too_far_back": 1}),
    Case("the held one again", "is a repeat, and does not confirm the jump", lambda log: [
        *plain(log, 0, 2000),
        log.segment(0, 2000, own=HOUR),
        log.segment(0, 2000, own=HOUR),
        (log.segment(2000, 4000), "A 2000 r1", "E framecue.warning/2000#1 ended 2000-2000"),
    ], counts={"repeats": 1}),
    Case("a step", "100 ms are no gap", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(2100, 4000), "A 2000 r1"),
    ]),
    Case("a small gap", "101 ms are", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(2101, 4000), "A 2000 r1 gap"),
    ]),
    Case("the largest gap", "60 s are a gap; its windows are told without frames", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(62_000, 64_000), windows(2000, 62_000, "r1 gap"), "A 62000 r1"),
    ]),
    Case("more than the largest gap", "is a jump", lambda log: [
        *plain(log, 0, 2000),
        log.segment(62_001, 64_000),
        (log.segment(64_000, 66_000), "A 0 r2 final", "A 0 r1 @1"),
    ]),
    Case("half a gap filled", "what is left of it is told", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(6000, 8000), "A 2000 r1 gap", "A 4000 r1 gap", "A 6000 r1"),
        (log.segment(2000, 4000), "A 2000 r2"),
        (log.segment(8000, 18_000), windows(8000, 18_000, "r1"), "E framecue.gap/4000#1 ended 4000-6000"),
    ]),
    Case("the first two swapped", "the second opens its windows before the first", lambda log: [
        PICTURE,
        (log.segment(2000, 4000, session="s", seq=1, scores={0: .7}), "A 2000 r1", "E x/2000#1 started 2000- 0.7"),
        (log.segment(0, 2000, session="s", seq=0, scores={0: .7}), "A 0 r1", "E x/2000#2 updated 0- 0.7"),
        (log.segment(4000, 6000, session="s", seq=2), "A 4000 r1", "E x/2000#3 ended 0-4000 score 0.7"),
    ]),
    Case("the first comes third", "between it and the first window there is a gap, until it is filled", lambda log: [
        (log.segment(4000, 6000, session="s", seq=2), "A 4000 r1"),
        (log.segment(0, 2000, session="s", seq=0), "A 0 r1", "A 2000 r1 gap"),
        (log.segment(2000, 4000, session="s", seq=1), "A 2000 r2"),
    ]),
    Case("before the first window, too late", "windows that would be final are not opened", lambda log: [
        (log.segment(20_000, 40_000, session="s"), windows(20_000, 40_000, "r1")),
        (log.segment(40_000, 42_000, session="s"), "A 40000 r1"),
        log.segment(18_000, 20_000, session="s"),
    ], counts={"too_far_back": 1}),
    Case("the end before its predecessor", "the run waits for what is missing", lambda log: [
        *plain(log, 0, 2000, session="s"),
        (log.segment(4000, 6000, session="s", end=True), "A 2000 r1 gap", "A 4000 r1"),
        (log.segment(2000, 4000, session="s"), "A 2000 r2 final", "A 4000 r2 final"),
        log.segment(6000, 8000, session="s"),
    ], counts={"retired": 1}),
    Case("the end, and its predecessor never comes", "ends when its sources are caught up for `reorder`", lambda log: [
        *plain(log, 0, 2000, session="s"),
        (log.segment(4000, 6000, session="s", end=True), "A 2000 r1 gap", "A 4000 r1"),
        log.tick(1_015_999),
        (log.tick(1_016_000), "A 4000 r2 final", "E framecue.gap/2000#1 ended 2000-4000"),
    ]),
    Case("the end after an old gap", "what nothing can fill any more keeps no run open", lambda log: [
        *plain(log, 0, 2000, session="s"),
        (log.segment(4000, 14_000, session="s"), "A 2000 r1 gap", windows(4000, 14_000, "r1")),
        (log.segment(14_000, 16_000, session="s", end=True),
         "A 14000 r1 final", "E framecue.gap/2000#1 ended 2000-4000"),
    ]),
    Case("one segment is all", "an end header on the first", lambda log: [
        (log.segment(0, 1000, session="s", end=True), "A 0-1000 r1 final"),
    ]),
]  # fmt: skip

SILENCE = [
    Case("signal lost twice", "each loss is an event of its own", lambda log: [
        *plain(log, 0, 2000),
        (log.tick(1_012_000), "E framecue.signal_lost/2000#1 started 2000- 1"),
        (log.segment(2000, 4000, at_ms=1_020_000),
         "A 2000 r1", "E framecue.signal_lost/2000#2 ended 2000-2000 back 1"),
        log.tick(1_029_000),
        (log.tick(1_030_000), "E framecue.signal_lost/4000#1 started 4000- 1"),
        (log.segment(4000, 6000, at_ms=1_040_000),
         "A 4000 r1", "E framecue.signal_lost/4000#2 ended 4000-4000 back 1"),
    ]),
    Case("signal lost within a window", "an event ends there, and stays ended when the window passes", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .9}), "A 0 r1", "E x/0#1 started 0- 0.9"),
        log.segment(2000, 3000, scores={0: .9}),
        (log.tick(1_013_000),
         "E x/0#2 ended 0-3000 signal_lost 0.9", "E framecue.signal_lost/3000#1 started 3000- 1"),
        (log.segment(3000, 6000, scores={0: .9}), "A 2000 r1", "A 4000 r1",
         "E x/4000#1 started 4000- 0.9", "E framecue.signal_lost/3000#2 ended 3000-3000 back 1"),
    ]),
    Case("signal lost, back with a late segment, lost", "the watermark stood: it is the same loss", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(4000, 6000), "A 2000 r1 gap", "A 4000 r1"),
        (log.tick(1_016_000), "E framecue.signal_lost/6000#1 started 6000- 1"),
        (log.segment(2000, 4000, at_ms=1_017_000), "A 2000 r2", "E framecue.signal_lost/6000#2 ended 6000-6000 back 1"),
        (log.tick(1_027_000), "E framecue.signal_lost/6000#3 updated 6000- 1"),
        (log.segment(7000, 8000, at_ms=1_030_000),
         "A 6000 r1 gap", "E framecue.signal_lost/6000#4 ended 6000-7000 back 1"),
    ]),
    Case("something still comes", "a repeat and a held segment are signs of life", lambda log: [
        *plain(log, 0, 2000),
        log.segment(0, 2000, at_ms=1_008_000),
        log.tick(1_012_000),
        log.segment(0, 2000, own=HOUR, at_ms=1_017_000),
        log.tick(1_020_000),
        (log.tick(1_027_000), "E framecue.signal_lost/2000#1 started 2000- 1"),
    ], counts={"repeats": 1}),
    Case("no signal is no end", "after the last segment of a run nothing is lost", lambda log: [
        *plain(log, 0, 2000, session="s"),
        (log.segment(2000, 4000, session="s", end=True), "A 2000 r1 final"),
        log.tick(1_100_000),
    ]),
    Case("idle", "closes the run; the number goes on, and so may the session", lambda log: [
        *plain(log, 0, 2000, session="s"),
        (log.tick(1_012_000), "E framecue.signal_lost/2000#1 started 2000- 1"),
        log.tick(1_301_999),
        (log.tick(1_302_000), "A 0 r2 final", "E framecue.signal_lost/2000#2 ended 2000-2000 idle 1"),
        (log.segment(2000, 4000, session="s", at_ms=1_400_000), "A 2000 r1 @1"),
        (log.segment(4000, 6000, session="s", at_ms=1_402_000), "A 4000 r1 @1"),
    ]),
    Case("idle, then another session", "the one that fell idle is replaced like any other", lambda log: [
        *plain(log, 0, 2000, session="s1"),
        (log.tick(1_302_000), "A 0 r2 final"),
        (log.segment(0, 2000, session="s2", at_ms=1_400_000), "A 0 r1 @1"),
        (log.segment(2000, 4000, session="s1", at_ms=1_401_000), "E framecue.warning/2000#1 ended 2000-2000 @1"),
        (log.segment(2000, 4000, session="s2", at_ms=1_402_000), "A 2000 r1 @1"),
    ], counts={"retired": 1}),
    Case("idle needs all sources", "text whose partition lags behind may be on its way", lambda log: [
        *plain(log, 0, 2000),
        (log.text(cue(0, 1000, "words"), at_ms=1_003_000), "A 0 r2 present"),
        (log.tick(1_012_000), "E framecue.signal_lost/2000#1 started 2000- 1"),
        log.tick(1_400_000),
        log.tick(1_400_000, topic=SUBTITLES, caught_up=False),
        (log.tick(1_401_000, topic=SUBTITLES),
         "A 0 r3 present final", "E framecue.signal_lost/2000#2 ended 2000-2000 idle 1"),
    ]),
    Case("idle with a held segment", "it opens the next run", lambda log: [
        *plain(log, 0, 2000),
        log.segment(0, 2000, own=HOUR, at_ms=1_004_000),
        (log.tick(1_304_000), "A 0 r2 final", "A 0 r1 @1"),
        (log.segment(2000, 4000, own=HOUR + 2, at_ms=1_304_500), "A 2000 r1 @1"),
    ]),
    Case("a stranger's ticks", "a source that never fed this stream says nothing of it", lambda log: [
        *plain(log, 0, 2000),
        log.tick(9_000_000, topic="framecue.elsewhere"),
    ]),
    Case("ticks before all", "of a stream that nobody knows", lambda log: [log.tick(1_000_000)]),
]  # fmt: skip

WORDS = [
    Case("none and pending", "a cue before makes later windows pending: no revision of theirs", lambda log: [
        *plain(log, 0, 6000),
        (log.text(cue(500, 1500, "late")), "A 0 r2 present"),
    ]),
    Case("silence settles", "pending becomes silent with finality, and that is news", lambda log: [
        (log.segment(0, 4000, cues=[cue(0, 2000, "words")]), "A 0 r1 present", "A 2000 r1 pending"),
        *plain(log, 4000, 12_000, "pending"),
        (log.segment(12_000, 14_000), "A 2000 r2 silent final", "A 12000 r1 pending"),
    ]),
    Case("a live line before the first segment", "waits for it, and is timed by it", lambda log: [
        log.live("hello", 1_001_000),
        (log.segment(0, 2000), "A 0 r1 present"),
    ]),
    Case("a live line with a lag", "the lag is taken off once", lambda log: [
        *plain(log, 0, 6000),
        (log.text(cue(0, 0, "said at 1500", clock="live", source="live"), lag_ms=3000, at_ms=1_004_500),
         "A 0 r2 present"),
    ]),
    Case("words of a segment with a lag", "what its header says is taken off, not the deployment's", lambda log: [
        (log.segment(0, 2000), "A 0 r1"),
        (log.segment(2000, 4000, cues=[cue(2500, 3500, "said at 0.5 s")], lag_ms=2000),
         "A 0 r2 present", "A 2000 r1 pending"),
    ]),
    Case("text for a run that is over", "is counted, and opens nothing", lambda log: [
        *plain(log, 0, 2000, session="s1"),
        (log.segment(0, 2000, session="s2"), "A 0 r2 final", "A 0 r1 @1"),
        log.text(cue(0, 1000, "a"), cue(1000, 2000, "b"), session="s1"),
    ], counts={"late_cues": 2}),
    Case("text of no session", "belongs to the open run", lambda log: [
        *plain(log, 0, 2000, session="s1"),
        (log.text(cue(0, 1000, "a")), "A 0 r2 present"),
        (log.segment(0, 2000, session="s2"), "A 0 r3 present final", "A 0 r1 @1"),
    ]),
    Case("text of no session, and no run", "belongs to the next", lambda log: [
        *plain(log, 0, 2000, session="s1"),
        (END, "A 0 r2 final"),
        log.text(cue(0, 1000, "a")),
        (log.segment(0, 2000, session="s2"), "A 0 r1 present @1"),
    ]),
    Case("wall time that nothing maps", "is counted, and named once", lambda log: [
        *plain(log, 0, 2000),
        (log.text(cue(5000, 6000, "at noon", clock="wall")), "E framecue.warning/2000#1 ended 2000-2000"),
        log.text(cue(6000, 7000, "at one", clock="wall")),
    ], counts={"unplaced_cues": 2}, log=lambda: Log(at0_ms=None)),
    Case("words that span windows", "one cue, joined in each", lambda log: [
        *plain(log, 0, 8000),
        (log.text(cue(1999, 6001, "long")), windows(0, 8000, "r2 present")),
    ]),
    Case("an instant", "belongs to the window that begins with it", lambda log: [
        *plain(log, 0, 6000),
        (log.text(cue(2000, 2000, "now")), "A 2000 r2 present"),
    ]),
    Case("lost, not lost, lost again", "the id that was retracted goes on with the next number", lambda log: [
        (log.segment(0, 30_000, cues=[cue(0, 30_000, "words", source="container")]), windows(0, 30_000, "r1 present")),
        (log.segment(30_000, 60_000), windows(30_000, 60_000, "r1 pending")),
        (log.segment(60_000, 90_000),
         windows(30_000, 60_000, "r2 silent final"), windows(60_000, 88_000, "r1 pending"),
         "A 88000 r1 lost", "E framecue.subtitles_lost/30000#1 started 30000- 1"),
        (log.text(cue(88_500, 91_000, "of a document")),
         "A 88000 r2 present", "E framecue.subtitles_lost/30000#2 retracted 30000- 1"),
        (log.segment(90_000, 92_000), windows(60_000, 82_000, "r2 silent final"), "A 90000 r1 present"),
        (log.segment(92_000, 94_000), "A 82000 r2 silent final", "A 92000 r1 lost",
         "E framecue.subtitles_lost/30000#3 started 30000- 1"),
    ]),
]  # fmt: skip

RULES = [
    Case("a settled rule", "speaks late and takes nothing back", lambda log: [
        rules(rule("x", picture=["dial 0"], when="settled")),
        *plain(log, 0, 2000),
        log.segment(2000, 2500, scores={0: .65}),
        (log.segment(3500, 4000, frames=[]), "A 2000 r1 gap"),
        (log.segment(2500, 3500, scores={0: .40}), "A 2000 r2"),
        *plain(log, 4000, 14_000),
    ]),
    Case("same name, other content", "ends and begins", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .7, 1: .7}), "A 0 r1", "E x/0#1 started 0- 0.7"),
        (rules(rule("x", picture=["dial 1"])), "E x/0#2 ended 0-2000 rule 0.7"),
        (log.segment(2000, 4000, scores={0: .7, 1: .7}), "A 2000 r1", "E x/2000#1 started 2000- 0.7"),
    ]),
    Case("the same rules again", "change nothing", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .7}), "A 0 r1", "E x/0#1 started 0- 0.7"),
        PICTURE,
        (log.segment(2000, 4000, scores={0: .7}), "A 2000 r1"),
    ]),
    Case("away and back", "is another event", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .7}), "A 0 r1", "E x/0#1 started 0- 0.7"),
        (rules(), "E x/0#2 ended 0-2000 rule 0.7"),
        (log.segment(2000, 4000, scores={0: .7}), "A 2000 r1"),
        PICTURE,
        (log.segment(4000, 6000, scores={0: .7}), "A 4000 r1", "E x/4000#1 started 4000- 0.7"),
    ]),
    Case("a change within a window", "the window is judged by what is in force at its end", lambda log: [
        PICTURE,
        log.segment(0, 1000, scores={1: .7}),
        rules(rule("y", picture=["dial 1"])),
        (log.segment(1000, 2000, scores={1: .7}), "A 0 r1", "E y/0#1 started 0- 0.7"),
    ], scores={"y": [.7]}),
    Case("peaks", "an open event is updated when its peak rises by .05, a step that floats miss", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .9}), "A 0 r1", "E x/0#1 started 0- 0.9"),
        (log.segment(2000, 4000, scores={0: .94}), "A 2000 r1"),
        (log.segment(4000, 6000, scores={0: .95}), "A 4000 r1", "E x/0#2 updated 0- 0.95"),
        (log.segment(6000, 8000, scores={0: .96}), "A 6000 r1"),
        (log.segment(8000, 10_000), "A 8000 r1", "E x/0#3 ended 0-8000 score 0.96"),
    ]),
    Case("at least, over a hole", "a window that holds neither counts nor breaks", lambda log: [
        rules(rule("x", picture=["dial 0"], **{"for": "4s"})),
        (log.segment(0, 2000, scores={0: .7}), "A 0 r1"),
        (log.segment(2000, 4000, frames=[]), "A 2000 r1"),
        (log.segment(4000, 6000, scores={0: .7}), "A 4000 r1", "E x/0#1 started 0- 0.7"),
    ]),
    Case("the end ends", "what is open when the run is over ends with it", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .7}), "A 0 r1", "E x/0#1 started 0- 0.7"),
        log.segment(2000, 3000, scores={0: .7}),
        (END, "A 2000-3000 r1 final", "E x/0#2 ended 0-3000 end 0.7"),
    ]),
    Case("the end of a settled rule", "its windows settle with the run", lambda log: [
        rules(rule("x", picture=["dial 0"], when="settled")),
        *plain(log, 0, 2000),
        (log.segment(2000, 4000, scores={0: .7}), "A 2000 r1"),
        (END, "A 2000 r2 final", "E x/2000#1 started 2000- 0.7", "E x/2000#2 ended 2000-4000 end 0.7"),
    ]),
]  # fmt: skip

DEGRADED = [
    Case("damaged", "the windows it touches say so, and one warning names the damage", lambda log: [
        *plain(log, 0, 2000),
        (log.segment(2000, 5000, damaged="broken off"),
         "A 2000 r1 damaged", "E framecue.warning/5000#1 ended 5000-5000"),
        (log.segment(5000, 8000, damaged="broken off"), "A 4000 r1 damaged", "A 6000 r1 damaged"),
        (log.segment(8000, 10_000), "A 8000 r1"),
    ]),
    Case("the model failed on a frame", "the window says so and goes by the others", lambda log: [
        PICTURE,
        (blind(log.segment(0, 2000, scores={0: .7})), "A 0 r1 model", "E x/0#1 started 0- 0.7"),
    ]),
    Case("the model failed on all frames", "the window holds", lambda log: [
        PICTURE,
        (log.segment(0, 2000, scores={0: .7}), "A 0 r1", "E x/0#1 started 0- 0.7"),
        (blind(log.segment(2000, 4000, frames=[2000])), "A 2000 r1 model"),
        (log.segment(4000, 6000, scores={0: .1}), "A 4000 r1", "E x/0#2 ended 0-4000 score 0.7"),
    ], scores={"x": [.7, None, .1]}),
    Case("warnings", "what could not be read is named once", lambda log: [
        (log.segment(0, 2000, warnings=("a PGS track is pictures",)),
         "A 0 r1", "E framecue.warning/2000#1 ended 2000-2000"),
        (log.segment(2000, 4000, warnings=("a PGS track is pictures",)), "A 2000 r1"),
        (log.segment(4000, 6000, warnings=("no such codec", "a PGS track is pictures")),
         "A 4000 r1", "E framecue.warning/6000#1 ended 6000-6000"),
    ]),
]  # fmt: skip

SCENES = rules(rule("x", picture=["dial 2"]), labels=["dial 0", "dial 1"])

CAPTIONS = [
    Case("on change only", "and at most every 10 s", lambda log: [
        SCENES,
        (log.segment(0, 2000, scores={0: .9}), "A 0 r1", "C 0"),
        *plain(log, 2000, 4000, scores={0: .9}),
        *plain(log, 4000, 10_000, scores={1: .9}),
        (log.segment(10_000, 12_000, scores={1: .9}), "A 10000 r1", "C 10000"),
        *plain(log, 12_000, 24_000, scores={1: .9}),
        (log.segment(24_000, 26_000, scores={1: .9, 2: .7}), "A 24000 r1", "E x/24000#1 started 24000- 0.7", "C 24000"),
    ], captions=True),
    Case("words that may still come", "are waited for; a document's are there", lambda log: [
        log.text(cue(0, 1000, "a"), cue(12_000, 13_000, "b")),
        (log.segment(0, 2000), "A 0 r1 present", "C 0"),
        *plain(log, 2000, 12_000, "pending"),
        (log.segment(12_000, 14_000), "A 2000 r2 silent final", "A 12000 r1 present", "C 12000"),
    ], captions=True),
    Case("nothing to describe", "a window without frames asks for nothing", lambda log: [
        (log.segment(0, 2000, frames=[]), "A 0 r1"),
        (log.segment(2000, 4000), "A 2000 r1", "C 2000"),
    ], captions=True),
]  # fmt: skip


@pytest.mark.parametrize("restored", [False, True], ids=["", "restored"])
@pytest.mark.parametrize(
    "case", [*ORDER, *SILENCE, *WORDS, *RULES, *DEGRADED, *CAPTIONS], ids=lambda case: case.name
)  # fmt: skip
def test_behaviour(case: Case, restored: bool):
    assert_case(case, restored=restored)


def test_more_text_than_a_stream_may_hold_is_refused_and_the_rest_is_kept():
    log = Log()
    many = [cue(at, at + 1, "x") for at in range(15_000)]
    case = Case("", "", lambda log: [
        log.text(*many),
        (log.text(*many), "refused"),
        (log.segment(0, 2000), "A 0 r1 present"),
        (log.text(*many[:4000]), "A 0 r2 present"),
    ])  # fmt: skip
    assert_case(case, restored=False)
    refused = feed(machine(), [log.text(*many), log.text(*many)])[0]
    assert "30000 cues" in refused.reason
    assert (refused.origin.offset, len(refused.cues)) == (1, 15_000)


def test_live_text_is_timed_by_the_lower_median_of_the_offsets():
    """A burst after an outage is as nothing: the line stands where most segments say."""
    log = Log()
    delays = [500, 500, 500, 60_000, 60_000]
    out = feed(machine(), [
        *(log.segment(n * 2000, n * 2000 + 2000, at_ms=n * 2000 + 2000 + late) for n, late in enumerate(delays)),
        log.live("now", 9_000),
    ])  # fmt: skip
    (joined,) = [c for a in latest(out).values() for c in a.text.cues]
    assert (joined.start_ms, joined.end_ms) == (8_500, 8_500)


def test_wall_time_is_mapped_by_when_segments_were_captured():
    log = Log()
    out = feed(machine(), [
        log.segment(0, 4000, captured_at_ms=1_700_000_000_000),
        log.text(cue(1_700_000_002_500, 1_700_000_003_500, "noon", clock="wall")),
    ])  # fmt: skip
    last = list(latest(out).values())
    assert [len(a.text.cues) for a in last] == [0, 1]
    assert last[1].wall_at == "2023-11-14T22:13:22.000Z"


def test_frames_of_one_grid_cell_count_once_and_the_earliest_is_kept():
    log = Log()
    out = feed(machine(), [
        log.segment(0, 1250, session="s", frames=[0, 500, 1100]),
        log.segment(1250, 2000, session="s", frames=[1250, 1500]),
    ])  # fmt: skip
    (annotation,) = latest(out).values()
    assert [f.at_ms for f in annotation.frames] == [0, 500, 1100, 1500]


def test_settle_follows_the_lag_and_is_never_shorter_than_reorder():
    assert MachineSettings(lag_ms=3000).settle_ms == 13_000
    with pytest.raises(ValueError, match="settle"):
        MachineSettings(settle_after_ms=9_000)


def test_evidence_names_the_frames_the_words_and_the_scores_of_the_peak():
    log = Log()
    sought = rules(rule("x", picture=["dial 0"], text=["/goal/"], combine="both", when="early"))
    out = feed(machine(), [
        sought,
        log.segment(0, 2000, scores={0: .9}, cues=[cue(0, 1000, "other"), cue(1000, 2000, "GOAL")]),
    ])  # fmt: skip
    (started,) = [r for r in out if isinstance(r, Event)]
    (annotation,) = [r for r in out if isinstance(r, Annotation)]
    assert started.evidence.frames == annotation.frames
    assert [c.text for c in started.evidence.cues] == ["GOAL"]
    assert (started.evidence.picture, started.evidence.text) == (0.9, 1.0)


def test_a_scene_shows_the_leading_labels_of_a_classifier_with_many():
    labels = tuple(f"class {i}" for i in range(1000))
    pairing = Pairing(1.0, np.zeros((1, 8), np.float32))
    space = ClosedSpace("many", labels, text_dims=8, picture=pairing, text=pairing)
    shares = to_wire(np.linspace(0, 1, 1000, dtype=np.float32))
    segment = Log().segment(0, 2000)
    frames = tuple(f.model_copy(update={"vector": shares}) for f in segment.frames)
    one = StreamMachine("cam1", space=space, model="many")
    annotation = one.push(segment.model_copy(update={"space": "many", "frames": frames}))[0]
    assert isinstance(annotation, Annotation)
    assert annotation.scene is not None
    assert (annotation.scene.label, len(annotation.scene.runners_up)) == ("class 999", RANKED - 1)


def test_warnings_without_words_wait_once() -> None:
    """A segment that was skipped says so: hours of them ahead of a run are one sentence."""
    log, fold = Log(), machine()
    for words in ((), (), (cue(0, 1, "words"),), ()):
        fold.push(log.text(*words, session="s").model_copy(update={"warnings": ("skipped",)}))
    fold.push(log.text(session="other").model_copy(update={"warnings": ("skipped",)}))
    assert sorted(fold.snapshot().pending) == ["waiting/0", "waiting/1", "waiting/2"]
