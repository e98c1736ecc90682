"""What only Redis can show: keys as people read them, TTLs, the channel, clusters, refusals, servers that come back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from framecue.errors import SetupError, StoreError
from framecue.schemas.annotation import JoinedCue, JoinedText, RuleScore, Scene
from framecue.schemas.results import PublishedResult, to_json
from framecue.store.protocol import TTL_MS, Latest
from framecue.store.redis import Command, RedisStore
from framecue.timeline import rfc3339
from framecue_services.cli.local.redis_server import RedisServer
from tests.contract.test_store import annotation, caption, event
from tests.support.servers import free_port, redis_program, running

DAY_S = TTL_MS // 1000
_prefixes = (f"keys{n}:" for n in count())


@pytest.fixture
def client(redis_url: str) -> Generator[redis.Redis]:
    """A person with `redis-cli`."""
    with closing(redis.Redis.from_url(redis_url, decode_responses=True)) as one:
        yield one


@pytest.fixture
def store(redis_url: str) -> Generator[RedisStore]:
    with closing(RedisStore(redis_url, prefix=next(_prefixes))) as one:
        yield one


def key(store: RedisStore, *parts: str) -> str:
    return store.prefix + ":".join(parts)


def test_the_latest_results_are_flat_fields_that_a_person_can_read(store: RedisStore, client: redis.Redis) -> None:
    words = JoinedText(state="present", cues=(JoinedCue(start_ms=0, end_ms=900, text="Goal!", source="document"),))
    seen = annotation(2000).model_copy(
        update={
            "scene": Scene(label="football match", score=0.91),
            "rules": (RuleScore(rule="late goal", picture=0.8, text=0.9, score=0.85),),
            "text": words,
        }
    )
    store.put([seen, event(2000, peak=0.93), caption(2000).model_copy(update={"text": "Players celebrate."})])
    shown = client.hgetall(key(store, "latest", "cam1"))
    expected = {
        "stream": "cam1",
        "epoch": "0",
        "start_ms": "2000",
        "end_ms": "4000",
        "revision": "1",
        "scene": "football match",
        "scene_score": "0.91",
        "text": "Goal!",
        "text_state": "present",
        "rule.late goal": "0.85",
        "settled_until_ms": "0",
        "open_events": '[{"rule":"goal","start_ms":2000,"peak":0.93,"id":"cam1/0/goal/2000"}]',
        "caption": "Players celebrate.",
    }
    assert {name: shown.get(name) for name in expected} == expected


def test_fields_of_an_older_annotation_do_not_stay_behind(store: RedisStore) -> None:
    scored = annotation().model_copy(update={"rules": (RuleScore(rule="goal", picture=1, text=None, score=1),)})
    store.put([scored, caption(), annotation(2000)])
    shown = store.fields("cam1")
    assert "rule.goal" not in shown
    assert (shown["start_ms"], shown["caption_start_ms"]) == ("2000", "0")


def test_events_that_ended_are_no_longer_among_the_open(store: RedisStore) -> None:
    store.put([event(), event(2000)])
    store.put([event(sequence=2, phase="ended", end_ms=2000)])
    store.put([event()])
    assert [e["start_ms"] for e in json.loads(store.fields("cam1")["open_events"])] == [2000]


def test_members_stand_in_order_and_end_in_json(store: RedisStore, client: redis.Redis) -> None:
    store.put([annotation(2000, epoch=7, revision=3), event(2000), event(0, phase="ended", end_ms=900)])
    (member,) = client.zrange(key(store, "timeline", "cam1"), 0, -1)
    *head, text = member.split(" ", 4)
    assert [int(number) for number in head] == [7, 2000, 4000, 3]
    assert json.loads(text)["id"] == "cam1/7/2000+2000"
    states = [member.split(" ", 6)[3:6] for member in client.zrange(key(store, "events", "cam1"), 0, -1)]
    assert states == [["cam1/0/goal/0", "1", "closed"], ["cam1/0/goal/2000", "1", "open"]]


def test_streams_are_scored_by_when_their_results_were_published(store: RedisStore, client: redis.Redis) -> None:
    (now_s, _) = client.time()
    at_ms = (now_s - 60) * 1000
    published = annotation().model_copy(update={"published_at": rfc3339(at_ms)})
    store.put([published, annotation(2000).model_copy(update={"published_at": rfc3339(at_ms - 1)})])
    store.put([published])
    assert client.zrange(key(store, "streams"), 0, -1, withscores=True) == [("cam1", at_ms)]


def test_every_key_lives_for_a_day_and_a_repeat_adds_nothing_to_it(store: RedisStore, client: redis.Redis) -> None:
    results = (annotation(), event(), caption())
    store.put(results)
    store.put_evidence(event().id, b"jpeg", sequence=1)
    keys = sorted(client.scan_iter(match=f"{store.prefix}*"))
    kinds = ["events:cam1", "evidence:cam1/0/goal/0", "feed:rules", "latest:cam1", "streams", "timeline:cam1"]
    assert keys == [store.prefix + kind for kind in kinds]
    assert all(DAY_S - 60 < client.ttl(one) <= DAY_S for one in keys)
    for one in keys:
        client.expire(one, 1_000)
    store.put((annotation(), caption()))
    store.put_evidence(event().id, b"jpeg", sequence=1)
    assert [client.ttl(key(store, kind)) <= 1_000 for kind in kinds if kind != "streams"] == [True] * 5
    store.put([annotation(revision=2)])
    assert all(client.ttl(key(store, kind, "cam1")) > 1_000 for kind in ("events", "latest", "timeline"))


def test_the_channel_tells_what_is_new_and_nothing_else(store: RedisStore, client: redis.Redis) -> None:
    with closing(client.pubsub(ignore_subscribe_messages=True)) as heard:
        heard.subscribe(key(store, "live"))
        heard.get_message(timeout=5)
        new: tuple[PublishedResult, ...] = (annotation(), event(), caption(), annotation(revision=2))
        store.put((new[0], new[0], *new[1:], event(), caption(), annotation()))
        told = [json.loads(heard.get_message(timeout=5)["data"]) for _ in new]
        assert heard.get_message(timeout=0.0) is None
    kinds = ("annotation", "event", "caption", "annotation")
    assert told == [{"type": kind, **json.loads(to_json(one))} for kind, one in zip(kinds, new, strict=True)]


def test_a_picture_can_be_shown_as_it_lies_there(store: RedisStore, client: redis.Redis, redis_url: str) -> None:
    store.put_evidence("cam1/0/goal/0", b"\xff\xd8jpeg\xff\xd9", sequence=12)
    with closing(redis.Redis.from_url(redis_url)) as raw:
        assert raw.get(key(store, "evidence", "cam1/0/goal/0")) == b"\xff\xd8jpeg\xff\xd90000000000000012"


def test_writers_side_by_side_leave_the_newest(redis_url: str, store: RedisStore) -> None:
    rounds, writers = 40, 4
    started = threading.Barrier(writers)

    def write(n: int) -> None:
        with closing(RedisStore(redis_url, prefix=store.prefix)) as mine:
            started.wait()
            for i in range(n, rounds, writers):
                state = event(sequence=i + 1, phase="updated" if i + 1 < rounds else "ended")
                mine.put([annotation(revision=i + 1), state, caption(2000 * i)])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.latest("cam1") == Latest(annotation(revision=rounds), (), caption(2000 * (rounds - 1)))
    shown = store.fields("cam1")
    assert (shown["revision"], shown["open_events"], shown["caption_start_ms"]) == ("40", "[]", str(2000 * 39))


class Cut(RedisStore):
    """Its process is killed after so many commands of a batch; the server carries out what it got."""

    left = 10**9

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        answers = super()._send(commands[: self.left])
        if len(commands) > self.left:
            raise StoreError("killed")
        self.left -= len(commands)
        return answers


def test_a_batch_cut_off_anywhere_and_put_again_ends_the_same(redis_url: str, client: redis.Redis) -> None:
    before = (annotation(), event(), event(2000), caption())
    batch = (annotation(revision=2), annotation(2000), event(sequence=2, phase="ended"), event(4000), caption(2000))
    seen, cuts = [], 16
    for left in range(cuts):
        with closing(Cut(redis_url, prefix=next(_prefixes))) as store:
            store.put(before)
            store.left = left
            if left < cuts - 1:
                with pytest.raises(StoreError, match="killed"):
                    store.put(batch)
            store.left = 10**9
            store.put(batch)
            keys = [key(store, kind, "cam1") for kind in ("latest", "timeline", "events")]
            assert min(client.ttl(one) for one in keys) > DAY_S - 60
            seen.append((store.fields("cam1"), store.latest("cam1"), store.timeline("cam1"), store.events("cam1")))
    assert seen == [seen[-1]] * cuts
    assert [e["start_ms"] for e in json.loads(seen[0][0]["open_events"])] == [2000, 4000]


def test_clearing_leaves_keys_of_others(store: RedisStore, client: redis.Redis) -> None:
    client.set(key(store, "mine"), "stays", ex=60)
    store.put([annotation(), event(), annotation(stream="cam2")])
    store.put_evidence(event().id, b"jpeg", sequence=1)
    assert store.clear() == 8
    assert list(client.scan_iter(match=f"{store.prefix}*")) == [key(store, "mine")]


def test_scripts_that_redis_forgot_are_sent_again(store: RedisStore, client: redis.Redis) -> None:
    store.put([annotation()])
    client.script_flush()
    assert store.put([annotation(), annotation(revision=2), event()]) == (False, True, True)


class ClusterNode(RedisServer):
    """A cluster of one, which holds all slots and still refuses a call whose keys lie in two."""

    def prepare(self) -> Sequence[str]:
        return (*super().prepare(), "--cluster-enabled", "yes")


def test_on_a_cluster_each_call_names_keys_of_one_slot(tmp_path: Path) -> None:
    if (program := redis_program("8.2", tmp_path)) is None:
        pytest.skip("there is no Redis 8.2 here")
    server = ClusterNode(tmp_path, free_port(), program=program)
    with running(server), closing(RedisStore(server.url)) as store, closing(redis.Redis.from_url(server.url)) as client:
        client.execute_command("CLUSTER ADDSLOTS", *range(16_384))
        deadline = time.monotonic() + 30
        while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline
        store.put([one for name in ("cam1", "cam2") for one in (annotation(stream=name), event(stream=name))])
        store.put([caption()])
        store.put_evidence(event().id, b"jpeg", sequence=1)
        assert sorted(store.streams()) == ["cam1", "cam2"]
        assert store.latest("cam1") == Latest(annotation(), (event(),), caption())
        store.forget("cam1")
        assert store.clear() == 5


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://localhost", "redis://localhost:port", "redis://:secret@h:1/0?socket_timeout=soon", ""],
    ids=["no scheme", "other scheme", "port", "option", "empty"],
)
def test_a_url_that_cannot_be_used_is_something_to_set_up(url: str) -> None:
    with pytest.raises(SetupError, match="redis://") as raised:
        RedisStore(url)
    assert "secret" not in str(raised.value)


CALLS: tuple[Callable[[RedisStore], object], ...] = (
    lambda store: store.put([annotation()]),
    lambda store: store.put_evidence("e", b"jpeg", sequence=1),
    lambda store: store.latest("cam1"),
    lambda store: store.timeline("cam1"),
    lambda store: store.events("cam1"),
    lambda store: store.evidence("e"),
    lambda store: store.streams(),
    lambda store: store.fields("cam1"),
    lambda store: store.forget("cam1"),
    lambda store: store.clear(),
    lambda store: store.facts(),
)


def test_whatever_is_asked_of_a_redis_that_is_away_is_one_sentence() -> None:
    port = free_port()
    for call in CALLS:
        with closing(RedisStore(f"redis://:secret@127.0.0.1:{port}/0")) as store, pytest.raises(StoreError) as raised:
            call(store)
        assert str(raised.value) == (
            f"Redis at 127.0.0.1:{port} does not answer (Connection refused); start it with `framecue up`, or set "
            "FRAMECUE_REDIS__URL to where it is"
        )


def test_a_refusal_is_told_apart_from_an_absence(own_redis: Callable[[], RedisServer]) -> None:
    server = own_redis()
    with closing(redis.Redis.from_url(server.url)) as admin, closing(RedisStore(server.url)) as store:
        admin.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match=r"refuses: .*maxmemory"):
            store.put([annotation()])
        admin.config_set("maxmemory", 0)
        admin.acl_setuser("reader", enabled=True, passwords=["+secret"], categories=["+@read"], keys=["*"])
        admin.set("framecue:latest:cam1", "not a hash")
        with pytest.raises(StoreError, match=r"refuses: .*WRONGTYPE"):
            store.put([annotation()])
        admin.config_set("requirepass", "secret")
        for user in ("", ":wrong@", "reader:secret@"):
            with (
                closing(RedisStore(server.url.replace("//", f"//{user}"))) as refused,
                pytest.raises(SetupError, match="refuses this user") as raised,
            ):
                refused.put([annotation(stream="cam2")])
            assert "secret" not in str(raised.value)


def test_a_store_goes_on_with_a_redis_that_comes_back(own_redis: Callable[[], RedisServer]) -> None:
    server = own_redis()
    with closing(RedisStore(server.url)) as store:
        store.put([annotation()])
        server.kill()
        with pytest.raises(StoreError):
            store.put([annotation(2000)])
        server.start()
        assert store.put([annotation(2000)]) == (True,)
        server.stop()
        server.start()
        assert store.put([annotation(2000), annotation(4000)]) == (False, True)


def test_a_redis_that_hangs_is_given_up_in_time(own_redis: Callable[[], RedisServer]) -> None:
    server = own_redis()
    with closing(RedisStore(f"{server.url}?socket_timeout=0.2&socket_connect_timeout=0.2")) as store:
        store.put([annotation()])
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match="does not answer"):
                store.put([annotation(2000)])
        finally:
            os.kill(server.pid, signal.SIGCONT)
    with closing(RedisStore(server.url)) as store:
        store.put([annotation(2000)])
        assert store.timeline("cam1") == (annotation(), annotation(2000))


def test_results_of_a_version_to_come_are_not_taken_for_others(store: RedisStore, client: redis.Redis) -> None:
    client.zadd(key(store, "timeline", "cam1"), {'0 0 2000 1 {"schema":"framecue.annotation/9"}': 0})
    with pytest.raises(StoreError, match="rebuild --flush"):
        store.timeline("cam1")
