"""`make bench`: every benchmark, one table. Takes a few minutes; run it on a machine that does nothing else."""

from __future__ import annotations

from tests.benchmarks import (
    bench_delivery,
    bench_embed,
    bench_faces,
    bench_fold,
    bench_gateway,
    bench_ingest,
    bench_latency,
    bench_start,
    bench_store,
    bench_telemetry,
)
from tests.benchmarks.report import show

show(
    [
        *bench_ingest.run(),
        *bench_embed.run(),
        *bench_faces.run(),
        *bench_fold.run(),
        *bench_start.run(),
        *bench_store.run(),
        *bench_telemetry.run(),
        *bench_delivery.run(),
        *bench_latency.run(),
        *bench_gateway.run(),
    ]
)
