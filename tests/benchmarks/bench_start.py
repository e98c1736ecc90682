"""What it costs to start a command for people, beside loading the Kafka client and pydantic, which it needs anyhow.

Each command loads what it loads before it meets a server, settings read, in a process of its own. CPU time, in pairs.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

from tests.benchmarks.report import Row

BESIDE = "import kafka, pydantic"
COMMANDS = {
    "latest": "framecue_services.cli.asking, framecue.store.redis",
    "watch": "framecue_services.cli.watching, framecue.broker.kafka.tail",
    "say": "framecue_services.cli.saying, framecue.broker.kafka.sending",
    "push": "framecue_services.cli.pushing, framecue.broker.kafka.sending",
}
ROUNDS = 7


def cpu_seconds(code: str) -> float:
    """Of a process that runs `code`, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run() -> list[Row]:
    """Each command's start."""
    rows = []
    for name, modules in COMMANDS.items():
        code = f"import framecue_services.cli.__main__, {modules}, framecue.settings as s; s.load_settings()"
        ratio = median(cpu_seconds(code) / cpu_seconds(BESIDE) for _ in range(ROUNDS))
        rows.append(Row(f"start of framecue {name}", ratio, "x", "<= 3", f"`{BESIDE}`"))
    return rows
