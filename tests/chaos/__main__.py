"""`make chaos`: ten minutes of streams while everything dies, then a verdict. Ends with 1 where something is wrong.

python -m tests.chaos --seconds 540 --kills 100 --seed 1
"""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.running import run
from tests.chaos.verifying import summary
from tests.support.fleet import Fleet
from tests.support.servers import new_kafka, new_redis, running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=540, help="of real time that streams are played for")
    parser.add_argument("--kills", type=int, default=100, help="deaths of workers to aim at, at least")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where logs and data stay; else they go when all is well")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and workers end with it
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
    if killer.total < asked.kills:
        verdict.wrong.append(f"only {killer.total} deaths of {asked.kills}")
    deaths = {f"deaths of {who} {where}": n for (who, where), n in sorted(killer.deaths.items())}
    sys.stdout.write(summary(verdict.counts) + "\n\n")
    sys.stdout.write(summary({**deaths, "deaths": killer.total, "stopped for a while": killer.stalls}) + "\n\n")
    sys.stdout.writelines(f"{sentence}\n" for sentence in verdict.wrong)
    if verdict.wrong:
        sys.stdout.write(f"{len(verdict.wrong)} things are wrong; logs are in {folder}\n")
        return 1
    sys.stdout.write("all is as it must be\n")
    if asked.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
