"""`make chaos`: minutes of streams while everything dies, then a verdict.

python -m tests.chaos --seconds 600 --kills 100 --seed 1
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.chaos.running import run
from tests.chaos.verifying import summary
from tests.support.fleet import Fleet
from tests.support.servers import new_kafka, new_redis, running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="of real time that streams are played for")
    parser.add_argument("--kills", type=int, default=100, help="deaths of workers to aim at, at least")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where logs and data stay; else they go when all is well")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="framecue-chaos-"))
    with (
        running(new_kafka(folder / "kafka")) as kafka,
        running(new_redis(folder / "redis")) as redis,
        Fleet(folder / "fleet", bootstrap=kafka.bootstrap, redis_url=redis.url) as fleet,
    ):
        verdict, killer = run(
            fleet,
            seed=asked.seed,
            seconds=asked.seconds,
            kills=asked.kills,
            streams=asked.streams,
            kafka=kafka,
            redis=redis,
        )
    lines = [
        summary(verdict.counts),
        "",
        *(f"{n:>8}  deaths of {who} {where}" for (who, where), n in sorted(killer.deaths.items())),
    ]
    lines += [f"{killer.total:>8}  deaths", f"{killer.stalls:>8}  stalls", "", *verdict.wrong]
    if killer.total < asked.kills:
        verdict.wrong.append(f"only {killer.total} deaths of {asked.kills}")
    lines.append(
        f"{len(verdict.wrong)} things are wrong; logs in {folder}" if verdict.wrong else "all is as it must be"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
