"""The hub by hand: what subscribers are handed, where they go on after a break, what becomes of who does not read."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from contextlib import suppress
from itertools import chain, groupby

import pytest

from framecue.broker.memory import KEEP_BYTES, MemoryBroker
from framecue.broker.protocol import Message, Offsets, Record, TopicPartition
from framecue.clock import FixedClock
from framecue.schemas.annotation import Annotation, JoinedText
from framecue.schemas.results import RESULT_TOPICS, to_json
from framecue.schemas.topics import partition_of
from framecue.settings import Settings
from framecue_services.gateway import live as subject
from framecue_services.gateway.cutting import _TRANSPORT
from framecue_services.gateway.feed import in_order, result_of, results_of
from framecue_services.gateway.live import (
    KIND_OF,
    WOKEN_AT_ONCE,
    ClosingError,
    Kind,
    LiveHub,
    Result,
    Subscription,
    TooManyOfOneError,
    TooManySubscribersError,
    Wanted,
)
from framecue_services.gateway.places import LONGEST, Place, PlaceError, PlaceSeal, check_form
from framecue_services.gateway.replay import Bounds, Replay
from framecue_services.gateway.routes import live as route
from framecue_services.gateway.routes.live import LiveStream

PARTITIONS = 2
BEGIN: Offsets = {TopicPartition(topic, p): 10 for topic in RESULT_TOPICS for p in range(PARTITIONS)}
STREAMS = ("cam1", "cam2", "lab-1")
PATIENCE_S = 20


def run(coroutine: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


def hub(*, queue_bytes: int = 1 << 20, most: int = 10, most_each: int = 1_000, ring_records: int = 1_000) -> LiveHub:
    made = LiveHub(queue_bytes=queue_bytes, most=most, most_each=most_each, ring_records=ring_records)
    made.opened(b"these topics", BEGIN, now_ms=1_000)
    made.caught_up()
    return made


def result(offset: int, *, stream: str = "cam1", topic: str = "annotations", size: int = 0) -> Result:
    at = TopicPartition(topic, partition_of(stream, PARTITIONS))
    data = json.dumps({"of": stream, "n": offset, "fill": "x" * size}).encode()
    return Result(KIND_OF[topic], stream, at, offset, 1_000 + offset, data)


def log(count: int) -> list[Result]:
    """`count` results over all streams and topics, with gaps in the offsets, as transactions leave them."""
    ends = dict(BEGIN)
    chance, out = random.Random(7), []
    for _ in range(count):
        one = result(0, stream=chance.choice(STREAMS), topic=chance.choice(RESULT_TOPICS))
        offset = ends[one.at] + chance.choice((0, 0, 1))
        ends[one.at] = offset + 1
        out.append(result(offset, stream=one.stream, topic=one.at.topic))
    return out


def interleaved(results: Sequence[Result], seed: int) -> list[Result]:
    """The same log as another gateway meets it: partitions in their order, mixed in another way."""
    queues = [list(part) for _, part in groupby(sorted(results, key=lambda r: (r.at, r.offset)), key=lambda r: r.at)]
    chance, out = random.Random(seed), []
    while queues := [queue for queue in queues if queue]:
        out.append(chance.choice(queues).pop(0))
    return out


async def taken(subscription: Subscription) -> list[dict[str, str]]:
    """The frames that wait for it, as fields."""
    out = []
    with suppress(TimeoutError):
        while True:
            waits = subscription._filled.is_set() or subscription._queue
            async with asyncio.timeout(PATIENCE_S if waits else 0):
                if (chunk := await subscription.next()) is None:
                    break
            out += frames(chunk)
    return out


def frames(chunk: bytes) -> list[dict[str, str]]:
    blocks = chunk.decode().removesuffix("\n\n").split("\n\n")
    return [dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":") for block in blocks]


def names(found: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    return [(frame["event"], frame["data"]) for frame in found]


def of(results: Iterable[Result]) -> list[tuple[str, str]]:
    return [(one.kind, one.data.decode()) for one in results]


# places


def test_a_place_opens_as_it_was_sealed() -> None:
    place = Place(1_700_000_000_123, (0, 127, 128, 300_000_000_000))
    assert PlaceSeal(b"log", 4).open(PlaceSeal(b"log", 4).seal(place.at_ms, place.offsets)) == place


def _tampered(text: str) -> str:
    return text[:-3] + ("A" if text[-3] != "A" else "B") + text[-2:]


SEALED = PlaceSeal(b"log", 3).seal(5, (1, 2, 3))


@pytest.mark.parametrize(
    ("seal", "text"),
    [
        pytest.param(PlaceSeal(b"log", 3), _tampered(SEALED), id="changed: nobody makes up a place"),
        pytest.param(PlaceSeal(b"made again", 3), SEALED, id="of topics that were deleted since"),
        pytest.param(PlaceSeal(b"log", 4), SEALED, id="of another number of partitions"),
        pytest.param(PlaceSeal(b"log", 3), "", id="empty"),
        pytest.param(PlaceSeal(b"log", 3), "100-a0-17", id="too short"),
        pytest.param(PlaceSeal(b"log", 3), "½" * 40, id="not even ASCII"),
        pytest.param(PlaceSeal(b"log", 3), "A" * (LONGEST + 1), id="longer than any"),
        pytest.param(PlaceSeal(b"log", 3), SEALED + "\r\nid: x", id="with more lines behind it"),
    ],
)
def test_what_is_no_place_of_these_topics_is_refused(seal: PlaceSeal, text: str) -> None:
    with pytest.raises(PlaceError):
        seal.open(text)


@pytest.mark.parametrize("text", ["", "100-a0-17", "½" * 40, "A" * (LONGEST + 1), "A B" * 20])
def test_what_cannot_be_a_place_of_any_topics_is_known_before_there_are_topics(text: str) -> None:
    with pytest.raises(PlaceError):
        check_form(text)


def test_an_id_says_nothing_of_streams_that_somebody_does_not_see() -> None:
    """Offsets count what all streams of a partition do. Two places that differ in one have no long part in common."""
    seal = PlaceSeal(b"log", 24)
    one, other = seal.seal(5, [1_000] * 24), seal.seal(5, [1_000] * 23 + [1_001])
    assert len(one) == len(other)
    assert all(one[i : i + 8] != other[i : i + 8] for i in range(0, len(one), 8))
    assert seal.seal(5, [1_000] * 24) != one  # nor whether anything at all happened meanwhile


# what is handed on


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        pytest.param(Wanted(), lambda r: True, id="everything"),
        pytest.param(Wanted("cam*"), lambda r: r.stream != "lab-1", id="a pattern"),
        pytest.param(Wanted("cam2"), lambda r: r.stream == "cam2", id="one stream"),
        pytest.param(Wanted(kinds=frozenset({"event"})), lambda r: r.kind == "event", id="one kind"),
        pytest.param(Wanted(seen=("lab-*", "x")), lambda r: r.stream == "lab-1", id="a token for some: asks for all"),
        pytest.param(Wanted("cam1", seen=("lab-*",)), lambda r: False, id="a token for some: asks for another"),
        pytest.param(Wanted(seen=()), lambda r: False, id="a token for nothing"),
        pytest.param(Wanted("CAM1"), lambda r: False, id="ids are told apart by case"),
    ],
)
def test_everybody_is_handed_what_they_want_and_see_in_the_order_of_the_log(
    wanted: Wanted, fitting: Callable[[Result], bool]
) -> None:
    async def scenario() -> None:
        live, results = hub(), log(60)
        subscription = live.subscribe(wanted)
        subscription.attach()
        live.publish(results[:25])
        live.publish(results[25:])
        assert names(await taken(subscription)) == of(filter(fitting, results))

    run(scenario())


def test_what_was_handed_on_once_is_not_handed_on_again_when_a_tail_begins_anew() -> None:
    async def scenario() -> None:
        live, results = hub(), log(30)
        subscription = live.subscribe(Wanted())
        subscription.attach()
        live.publish(results[:20])
        live.publish(results[5:])
        assert names(await taken(subscription)) == of(results)

    run(scenario())


# going on after a break


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wanted", [Wanted(), Wanted("cam*", frozenset({"event", "caption"})), Wanted("lab-1")])
def test_whoever_shows_its_last_id_is_handed_exactly_the_rest_also_by_another_gateway(
    wanted: Wanted, seed: int
) -> None:
    """Wherever it broke off; the other gateway may have met the partitions in another order, and be behind by then."""

    async def scenario() -> None:
        results = log(40)
        first = hub()
        listening = first.subscribe(wanted)
        listening.attach()
        for one in results:
            first.publish([one])
        seen = await taken(listening)
        expected = sorted(of(r for r in results if r.kind in wanted.kinds and wanted.has_stream(r.stream)))
        for broken in range(len(seen)):
            other = hub()
            elsewhere = interleaved(results, seed)
            other.publish(elsewhere[: 8 * seed])
            resumed = other.subscribe(wanted)
            since = other.placed(seen[broken]["id"])
            resumed.attach(since.offsets)
            behind = {at for at in BEGIN if since.offsets[other.slot(at)] > other._next[other.slot(at)]}
            other.publish(elsewhere[8 * seed :])
            rest = await taken(resumed)
            told_again = [r for r in elsewhere[8 * seed :] if r.at in behind]  # it was ahead of this gateway there
            assert set(names(seen[: broken + 1])) | set(names(rest)) == set(expected)
            twice = set(names(seen[: broken + 1])) & set(names(rest))
            assert twice <= set(of(told_again))
            assert len(rest) == len(set(names(rest)))

    run(scenario())


def test_a_keep_alive_carries_a_place_so_that_who_heard_nothing_for_hours_need_not_have_hours_read_again() -> None:
    async def scenario() -> None:
        live, results = hub(ring_records=5), log(60)
        wanted = Wanted("quiet")
        subscription = live.subscribe(wanted)
        subscription.attach()
        hello = live.placed(live.place())
        live.publish(results)
        live.beat()
        (beat,) = await taken(subscription)
        assert live.behind(hello.offsets, wanted)
        assert not live.behind(live.placed(beat["id"]).offsets, wanted)
        assert beat.keys() == {"id"}  # no event: browsers take up the place and tell nobody

    run(scenario())


def test_who_was_away_for_longer_than_the_ring_reaches_is_behind_where_it_has_a_place_only() -> None:
    async def scenario() -> None:
        live = hub(ring_records=2)
        live.publish([result(10 + n, stream="cam1") for n in range(5)])
        home = TopicPartition("annotations", partition_of("cam1", PARTITIONS))
        begin = [10] * len(BEGIN)
        other = next(f"s{n}" for n in range(9) if partition_of(f"s{n}", PARTITIONS) != home.partition)
        behind = {wanted: live.behind(begin, wanted) for wanted in (Wanted("cam1"), Wanted("cam*"), Wanted(other))}
        assert behind == {Wanted("cam1"): {home: 13}, Wanted("cam*"): {home: 13}, Wanted(other): {}}
        assert live.behind(begin, Wanted(kinds=frozenset({"event"}))) == {}

    run(scenario())


def test_the_ring_is_bounded_in_bytes_too() -> None:
    live = LiveHub(queue_bytes=1 << 20, most=1, most_each=1, ring_bytes=10_000)
    live.opened(b"these topics", BEGIN, now_ms=0)
    live.publish([result(10 + n, size=1_000) for n in range(50)])
    assert (len(live._ring), live._held_bytes <= 10_000) == (9, True)


# who does not keep up, or may not go on


def test_who_does_not_read_is_dropped_at_its_bound_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[str] = []
    monkeypatch.setattr(subject, "add", lambda metric, amount=1, **labels: dropped.extend(labels.values()))

    async def scenario() -> None:
        live = hub(queue_bytes=10_000)
        slow, quick = live.subscribe(Wanted()), live.subscribe(Wanted())
        slow.attach()
        quick.attach()
        got = []
        for n in range(20):
            live.publish([result(10 + n, size=1_000)])
            got += await taken(quick)
        assert (slow.why, await slow.next(), slow._waiting_bytes <= 10_000) == ("slow", None, True)
        assert (quick.why, len(got), dropped) == (None, 20, ["slow"])

    run(scenario())


def test_many_who_listen_are_told_a_few_at_a_time_so_that_requests_have_their_turns() -> None:
    async def scenario() -> None:
        live = hub(most=1_000)
        subscriptions = [live.subscribe(Wanted()) for _ in range(3 * WOKEN_AT_ONCE + 1)]
        for subscription in subscriptions:
            subscription.attach()
        for n in range(2):  # the second finds all of them asleep again
            live.publish([result(10 + n)])
            told = []
            while not told or told[-1] < len(subscriptions):
                await asyncio.sleep(0)
                told.append(sum(subscription._filled.is_set() for subscription in subscriptions))
            assert told == [WOKEN_AT_ONCE, 2 * WOKEN_AT_ONCE, 3 * WOKEN_AT_ONCE, len(subscriptions)]
            assert [len(await taken(subscription)) for subscription in subscriptions] == [1] * len(subscriptions)

    run(scenario())


def test_one_hand_over_that_is_larger_than_a_queue_is_no_reason_to_drop_whoever_reads() -> None:
    async def scenario() -> None:
        live = hub(queue_bytes=10_000)
        subscription = live.subscribe(Wanted())
        subscription.attach()
        live.publish([result(10 + n, size=1_000) for n in range(20)])
        assert (len(await taken(subscription)), subscription.why) == (20, None)

    run(scenario())


def test_a_token_that_no_longer_counts_ends_what_it_began() -> None:
    async def scenario() -> None:
        live, is_valid = hub(), True
        subscription, other = live.subscribe(Wanted(), is_valid=lambda: is_valid), live.subscribe(Wanted())
        live.check()
        assert subscription.why is None
        is_valid = False
        live.check()
        assert (subscription.why, subscription.ended.is_set(), other.why) == ("refused", True, None)

    run(scenario())


def test_no_more_listen_than_may_and_who_leaves_makes_room() -> None:
    async def scenario() -> None:
        live = hub(most=1)
        first = live.subscribe(Wanted())
        with pytest.raises(TooManySubscribersError):
            live.subscribe(Wanted())
        first.end("left")
        live.subscribe(Wanted())

    run(scenario())


def test_one_caller_cannot_have_all_there_are_and_what_it_leaves_is_its_own_again() -> None:
    async def scenario() -> None:
        live = hub(most=3, most_each=2)
        first, _ = live.subscribe(Wanted(), caller="a"), live.subscribe(Wanted("cam*"), caller="a")
        for _ in range(3):  # being refused takes nothing
            with pytest.raises(TooManyOfOneError):
                live.subscribe(Wanted(), caller="a")
        other = live.subscribe(Wanted(), caller="b")
        with pytest.raises(TooManySubscribersError):
            live.subscribe(Wanted(), caller="b")
        other.end("slow")
        other.end("left")  # counts once
        with pytest.raises(TooManyOfOneError):
            live.subscribe(Wanted(), caller="a")
        first.end("left")
        live.subscribe(Wanted(), caller="a")
        live.close()
        assert not live._of_caller, "nobody is remembered who left"

    run(scenario())


def test_when_the_gateway_ends_all_are_sent_away_and_nobody_is_taken() -> None:
    async def scenario() -> None:
        live = hub()
        subscription = live.subscribe(Wanted())
        live.close()
        assert (subscription.why, await subscription.next()) == ("closing", None)
        with pytest.raises(ClosingError):
            live.subscribe(Wanted())

    run(scenario())


# topics that are not what they were


def test_everybody_hears_of_it_when_what_was_to_come_next_is_gone() -> None:
    async def scenario() -> None:
        live, results = hub(), log(10)
        subscription = live.subscribe(Wanted("nothing"))
        subscription.attach()
        live.publish(results)
        before = live.place()
        live.opened(b"made again", dict.fromkeys(BEGIN, 0), now_ms=9_000)
        (missed,) = await taken(subscription)
        said = json.loads(missed["data"])
        assert missed["event"] == "missed"
        assert (said["since"], said["until"]) == ("1970-01-01T00:00:01.016Z", "1970-01-01T00:00:09.000Z")
        assert live.placed(missed["id"]).offsets == (0,) * len(BEGIN)
        with pytest.raises(PlaceError):
            live.placed(before)

    run(scenario())


def test_nobody_hears_of_a_tail_that_goes_on_where_the_last_one_was() -> None:
    async def scenario() -> None:
        live, results = hub(), log(10)
        subscription = live.subscribe(Wanted())
        subscription.attach()
        live.publish(results[:5])
        live.opened(b"these topics", {r.at: r.offset for r in results}, now_ms=9_000)
        live.publish(results[5:])
        assert names(await taken(subscription)) == of(results)

    run(scenario())


# what the ring no longer holds


def annotation(stream: str, n: int) -> Annotation:
    return Annotation(
        id=f"{stream}/0/{n}+2000", revision=1, stream=stream, epoch=0, start_ms=2_000 * n, end_ms=2_000 * n + 2_000,
        settled_until_ms=0, text=JoinedText(state="none"), model="m", space="s",
    )  # fmt: skip


class Old:
    """A hub whose ring holds the last three results, over a broker that holds more."""

    def __init__(self, count: int, *, keep_bytes: int = 32 << 20) -> None:
        keep = dict(KEEP_BYTES) | {"annotations": keep_bytes}
        self.broker = MemoryBroker(partitions=PARTITIONS, clock=FixedClock(5_000), keep_bytes=keep)
        self.hub = LiveHub(queue_bytes=1 << 20, most=10, most_each=10, ring_records=3)
        tail = self.broker.tail(RESULT_TOPICS, start="oldest")
        self.hub.opened(tail.log_id, tail.positions(), now_ms=0)
        self.hub.caught_up()
        self.place = self.hub.placed(self.hub.place())
        for n in range(count):
            one = annotation(STREAMS[n % len(STREAMS)], n)
            self.broker.commit([Message("annotations", one.stream.encode(), to_json(one))])
            self.hub.publish(results_of(tail.poll(100, timeout_s=0)))

    async def resumed(self, wanted: Wanted, bounds: Bounds) -> list[dict[str, str]]:
        replay = Replay(self.hub, self.broker, FixedClock(9_000), since=self.place, wanted=wanted, bounds=bounds)
        out = [frame for chunk in [c async for c in replay.frames()] for frame in frames(chunk)]
        subscription = self.hub.subscribe(wanted)
        subscription.attach(replay.offsets)
        return out + await taken(subscription)


@pytest.mark.parametrize("wanted", [Wanted(), Wanted("cam*"), Wanted("lab-1"), Wanted(seen=("lab-*",))])
def test_what_the_ring_no_longer_holds_comes_from_the_topics_once_and_in_order(wanted: Wanted) -> None:
    async def scenario() -> None:
        found = await Old(40).resumed(wanted, Bounds(30))
        ids = [json.loads(frame["data"])["id"] for frame in found]
        expected = [annotation(s, n).id for n in range(40) if wanted.has_stream(s := STREAMS[n % len(STREAMS)])]
        assert sorted(ids) == sorted(expected)
        for stream in STREAMS:
            assert [i for i in ids if i.startswith(stream)] == [i for i in expected if i.startswith(stream)]
        assert {frame["event"] for frame in found} == {"annotation"}

    run(scenario())


def test_each_frame_that_comes_from_the_topics_is_a_place_to_go_on_from() -> None:
    async def scenario() -> None:
        old = Old(40)
        found = await old.resumed(Wanted(), Bounds(30))
        for broken in range(0, len(found), 5):
            old.place = old.hub.placed(found[broken]["id"])
            rest = await old.resumed(Wanted(), Bounds(30))
            assert len(rest) == len(set(names(rest)))
            assert set(names(found[: broken + 1])) | set(names(rest)) == set(names(found))
            assert not set(names(found[: broken + 1])) & set(names(rest))

    run(scenario())


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        pytest.param(Bounds(30, records=10), "more than 10 results were published since", id="too many"),
        pytest.param(Bounds(-1), "reading took longer than -1 s", id="too long"),
    ],
)
def test_what_would_be_too_much_is_told_as_missed_and_then_it_goes_on(bounds: Bounds, reason: str) -> None:
    async def scenario() -> None:
        first, *rest = await Old(40).resumed(Wanted(), bounds)
        said = json.loads(first["data"])
        assert (first["event"], said["reason"]) == ("missed", reason)
        assert (said["since"], said["until"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:09.000Z")
        assert [frame["event"] for frame in rest] == ["annotation"] * 3

    run(scenario())


def test_what_the_topics_no_longer_hold_is_told_as_missed_and_the_rest_comes() -> None:
    async def scenario() -> None:
        first, *rest = await Old(40, keep_bytes=6_000).resumed(Wanted(), Bounds(30))
        assert (first["event"], json.loads(first["data"])["reason"]) == ("missed", "what came next is no longer kept")
        assert 3 < len(rest) < 40
        assert json.loads(rest[-1]["data"])["id"] == annotation(STREAMS[0], 39).id

    run(scenario())


# one connection


class Connection:
    """One that takes `takes` pieces of an answer and then no more; `cut` once it was dropped."""

    def __init__(self, *, takes: int = 10_000) -> None:
        self.taken, self.cut = b"", asyncio.Event()
        self._takes = takes

    async def serve(self, stream: LiveStream) -> None:
        await stream({"type": "http", _TRANSPORT: self}, self._receive, self._send)

    def abort(self) -> None:
        self.cut.set()

    async def _receive(self) -> dict[str, object]:
        await self.cut.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, object]) -> None:
        if not self._takes:
            await asyncio.Event().wait()
        self._takes -= 1
        self.taken += message.get("body", b"")  # type: ignore[operator]


def stream(hub: LiveHub, broker: MemoryBroker, shown: str | None) -> LiveStream:
    settings = Settings.model_validate({"gateway": {"history_seconds": 0.01}})
    return LiveStream(hub, hub.subscribe(Wanted()), shown, broker=broker, clock=FixedClock(0), settings=settings)


def test_who_does_not_read_what_it_missed_is_cut_off_and_another_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would keep its connection for ever, and four of them all turns."""
    monkeypatch.setattr(route, "GRACE_S", 0.01)

    async def scenario() -> None:
        old = Old(40)
        shown = old.hub.sealed(0, old.place.offsets)
        lazy = [Connection(takes=2) for _ in range(subject.REPLAYS)]  # the head and `hello`
        serving = [asyncio.create_task(one.serve(stream(old.hub, old.broker, shown))) for one in lazy]
        await asyncio.gather(*serving)
        assert all(one.cut.is_set() for one in lazy)
        assert not old.hub.replaying.locked()
        assert not old.hub._subscriptions

    run(scenario())


def test_who_waits_for_a_turn_hears_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would end a connection that is quiet for long."""
    monkeypatch.setattr(route, "QUIET_S", 0.01)

    async def scenario() -> None:
        old, one = Old(40), Connection()
        for _ in range(subject.REPLAYS):
            await old.hub.replaying.acquire()
        serving = asyncio.create_task(one.serve(stream(old.hub, old.broker, old.hub.sealed(0, old.place.offsets))))
        while one.taken.count(b": waiting for others") < 2:
            await asyncio.sleep(0)
        old.hub.replaying.release()
        while one.taken.count(b"event: annotation") < 40:
            await asyncio.sleep(0)
        old.hub.close()
        await serving

    run(scenario())


def test_who_waits_for_kafka_keeps_its_place_when_the_gateway_ends() -> None:
    async def scenario() -> None:
        old, one = Old(1), Connection()
        unready = LiveHub(queue_bytes=1 << 20, most=10, most_each=10)
        serving = asyncio.create_task(one.serve(stream(unready, old.broker, old.hub.place())))
        while b": waiting for Kafka" not in one.taken:
            await asyncio.sleep(0)
        unready.close()
        await serving
        assert b"id:" not in one.taken
        assert one.taken.rpartition(b"retry: ")[1]

    run(scenario())


# what the feed makes of records


def record(topic: str, offset: int, value: bytes, *, partition: int = 0, at_ms: int | None = 0) -> Record:
    return Record(topic, partition, offset, at_ms, b"cam1", value)


def test_records_of_one_poll_are_told_as_they_were_written_each_partition_in_its_order() -> None:
    """Clocks of workers differ: a partition's later record may say an earlier time, and stays behind."""
    polled = [
        record("events", 1, b"", at_ms=20),
        record("annotations", 1, b"", at_ms=20),
        record("annotations", 2, b"", at_ms=15),
        record("annotations", 7, b"", partition=1, at_ms=10),
    ]
    ordered = [(r.topic, r.partition, r.offset) for r in in_order(polled)]
    assert ordered == [("annotations", 1, 7), ("annotations", 0, 1), ("annotations", 0, 2), ("events", 0, 1)]


def test_what_is_no_result_is_left_out_with_a_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    good = to_json(annotation("cam1", 1))
    with caplog.at_level(logging.WARNING):
        found = results_of([record("annotations", 3, b"{}\n\nevent: event"), record("annotations", 4, good)])
    assert [one.offset for one in found] == [4]
    assert "annotations 0/3 is left out" in caplog.text


def test_a_result_that_was_written_in_several_lines_is_one_line_of_a_frame() -> None:
    """A line break would end the frame, and whoever can write to the topic could make up the next one."""
    laid_out = json.dumps(json.loads(to_json(annotation("cam1", 1))), indent=2).encode()
    one = result_of(record("annotations", 0, laid_out))
    assert one.data == to_json(annotation("cam1", 1))


def test_kinds_are_those_of_the_result_topics() -> None:
    kinds: list[Kind] = list(chain(KIND_OF.values()))
    assert (tuple(KIND_OF), tuple(kinds)) == (RESULT_TOPICS, subject.KINDS)
