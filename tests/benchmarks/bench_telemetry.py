"""What telemetry costs: CPU time of a fusion worker that is measured, beside the same one that is not.

Three hundred segments of 2 s of twelve streams, each with a trace, four pictures and a cue, go through a delivery loop
over the memory broker: read, embedded, folded, committed. Measured means everything at once: metrics for a Prometheus
endpoint, which is fetched, and metrics and every span sent to a collector in a process of its own. The light model
makes its vectors at once, which is where telemetry costs most; beside the preset `default`, whose forward takes
hundreds of times as long, nothing of it could be seen.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from framecue.analysis.settings import MachineSettings
from framecue.broker.loop import Loop
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Message
from framecue.clock import SystemClock
from framecue.schemas.topics import MEDIA
from framecue.telemetry.setup import Reporting, prometheus_text, reporting
from framecue_services.fusion.worker import FusionWorker
from tests.benchmarks.report import Row, least_cpu
from tests.support.encoders import light_model
from tests.support.films import cue, media_log, segment

STREAMS, SEGMENTS = 12, 25
ROUNDS = 8
MODEL = light_model()
COLLECTOR = """
from tests.support.collector import collecting
with collecting() as collector:
    print(collector.endpoint, flush=True)
    input()
"""


def run() -> list[Row]:
    """Everything measured and sent, against nothing."""
    messages = _messages()
    with _collector() as endpoint:
        told = Reporting("bench", otlp_endpoint=endpoint, prometheus="always", export_every_s=1.0)

        def measured() -> None:
            with reporting(told):
                _fold(messages)
                prometheus_text()

        with_it, without = least_cpu(measured, lambda: _fold(messages), rounds=ROUNDS)
    against = "the same fusion loop unmeasured, light model, 300 records with a trace each, CPU time"
    return [Row("telemetry, all of it", with_it / without, "x", "<= 1.25", against)]


def _messages() -> list[Message]:
    """Media records, as ingest writes them."""
    made = []
    for n in range(SEGMENTS):
        for stream in range(STREAMS):
            at = 2_000 * n
            media = segment(
                n, ("red", "red", "blue", "green"), stream=f"cam{stream}", cues=(cue(at, at + 900, f"goal {n}"),)
            )
            (record,) = media_log(media)
            trace = f"00-{n * STREAMS + stream + 1:032x}-{1:016x}-01".encode()
            kept = replace(record, headers=(("traceparent", trace),))
            made.append(Message(MEDIA.name, kept.key, kept.value, kept.headers))
    return made


def _fold(messages: list[Message]) -> None:
    broker = MemoryBroker(partitions=1, clock=SystemClock())
    worker = FusionWorker(MODEL, settings=MachineSettings(), clock=SystemClock(), broker=broker)
    loop = Loop(broker, worker, group="fusion", topics=(MEDIA.name,))
    broker.commit(messages)
    for _ in loop.drain():
        pass
    loop.close()


@contextmanager
def _collector() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", COLLECTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.communicate("\n")


if __name__ == "__main__":
    from tests.benchmarks.report import show

    show(run())
