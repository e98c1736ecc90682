"""Redis: whether it answers, is new enough, and keeps what it is given. What facts mean needs no server."""

from __future__ import annotations

from collections.abc import Iterator

from framecue.store.redis import RedisStore, ServerFacts
from framecue_services.cli.doctor.findings import Finding, fine
from framecue_services.cli.wording import in_bytes

LEAST_VERSION = (6, 2)
NEARLY_FULL = 0.9


def judge(facts: ServerFacts) -> Iterator[Finding]:
    """What is off with a Redis."""
    version = ".".join(map(str, facts.version))
    if facts.version < LEAST_VERSION:
        yield Finding("error", f"Redis is {version}", f"use Redis {'.'.join(map(str, LEAST_VERSION))} or later")
    else:
        yield fine(f"Redis {version} answers")
    if not facts.limit_bytes:
        yield fine(f"{in_bytes(facts.used_bytes)} in use, and no limit is set")
        return
    share = f"{in_bytes(facts.used_bytes)} of {in_bytes(facts.limit_bytes)} in use"
    if facts.policy != "noeviction":
        yield Finding(
            "warning",
            f"{share}, and {facts.policy} drops results when it is full; nothing is lost for good",
            "set maxmemory-policy to noeviction or raise maxmemory; `framecue redis rebuild` brings results back",
        )
    elif facts.used_bytes > NEARLY_FULL * facts.limit_bytes:
        yield Finding("warning", f"{share}: soon it takes no results, and they wait in Kafka", "raise maxmemory")
    else:
        yield fine(share)


def server(store: RedisStore) -> Iterator[Finding]:
    """The Redis that the settings name."""
    yield from judge(store.facts())
