"""What embedding adds to the model: the bare forward's time as a share of the whole embed step's, same pictures.

The embed step is what fusion runs: JPEG in, vectors, luma grids and records out. The bare forward is the network alone,
in the encoder's own batches, on tensors that are ready. 1.0 would mean that everything around the network is free.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch

from framecue.media.decoding import DecodeLimits, decode_segment
from framecue.media.pictures import jpeg_to_rgb
from framecue.media.sampling import Sampling
from framecue.models.default import SIDE, ConseImages
from framecue.models.effnet import prepare
from framecue.models.loading import load_model
from framecue.schemas.media import Frame, Origin, SegmentMedia
from framecue_services.fusion.embedding import Embedder, Source
from tests.benchmarks.report import Row, cpu_ratio
from tests.support.footage import footage

STREAMS = 4
"""Segments in a batch, of different streams, five frames each."""


def run() -> list[Row]:
    """The preset `default` on this machine's CPU."""
    model = load_model("default", device="cpu")
    if not isinstance(model.images, ConseImages):
        raise TypeError("the preset `default` is not what this benchmark takes apart")
    frames = _frames()
    batch = [Source(0, n, _media(f"cam{n}", frames)) for n in range(STREAMS)]
    torch.set_num_threads(1)  # CPU time of waiting threads would count on both sides
    embedder = Embedder(model)
    whole = cpu_ratio(lambda: embedder.embed(batch), _forward(model.images, frames * STREAMS))
    return [Row("embed step", 1 / whole, "x", ">= 0.90", "bare forward of EfficientNet-Lite2, same pictures, CPU")]


def _frames() -> tuple[Frame, ...]:
    data = footage("bikes.mp4").read_bytes()
    sampling = Sampling(per_second=Fraction(1, 2))
    return decode_segment(data, start=None, program=None, sampling=sampling, limits=DecodeLimits()).frames


def _media(stream: str, frames: tuple[Frame, ...]) -> SegmentMedia:
    return SegmentMedia(
        stream=stream,
        origin=Origin(topic="segments", partition=0, offset=0),
        digest=b"",
        container="mov",
        wraps=False,
        first=Fraction(0),
        last=Fraction(10),
        last_duration=Fraction(0),
        sampling_per_second=Fraction(1, 2),
        frames=frames,
    )


def _forward(images: ConseImages, frames: tuple[Frame, ...]) -> Callable[[], object]:
    ready = [prepare(jpeg_to_rgb(f.jpeg), SIDE)[None] for f in frames]

    def forward() -> None:
        with torch.inference_mode():
            for picture in ready:
                images.network(picture)

    return forward


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
