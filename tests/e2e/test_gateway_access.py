"""A token limited to `lab-*` learns nothing of other streams, by any endpoint; no token and a wrong one get nothing.

What "nothing" means: two gateways are asked the same, one where other streams are and one where they never were. Every
answer is the same to the byte: status, headers, body. So is that about a stream which is there and one which is not.
And so that no row is idle: who sees all streams is answered otherwise.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.loop import Loop
from framecue.broker.memory import MemoryBroker
from framecue.broker.protocol import Broker, Message
from framecue.broker.publishing import result_message, rules_messages
from framecue.clock import FixedClock, SystemClock
from framecue.models.faces import open_faces
from framecue.schemas.annotation import Annotation, FrameRef, JoinedText
from framecue.schemas.caption import Caption
from framecue.schemas.codec import pack
from framecue.schemas.event import Event, Evidence
from framecue.schemas.media import SegmentMedia
from framecue.schemas.results import RESULT_TOPICS, PublishedResult
from framecue.schemas.rules import rules_from_yaml
from framecue.schemas.token import Scope, Token
from framecue.schemas.topics import FEEDBACK, MEDIA, SUBTITLES
from framecue.settings import Settings
from framecue.store.memory import MemoryStore
from framecue.timeline import rfc3339
from framecue_services.cli.__main__ import main
from framecue_services.cli.token import create_token
from framecue_services.gateway.app import create_app
from framecue_services.gateway.sessions import COOKIE
from framecue_services.gateway.tokens import digest, new_token, token_message
from framecue_services.projector.worker import ProjectorWorker
from tests.support.brokers import new_topics
from tests.support.films import segment
from tests.support.serving import serving

NOW_MS = 1_700_000_000_000
FOREIGN = ("tv-1", "lab", "lab1", "LAB-1", "xlab-1")
"""Streams that lab-* does not name, though some look like it."""
NEVER = "never-1"
WITHIN_S = 30.0
UNKNOWN = f"fc_{'a' * 12}_{'A' * 43}"


# the two worlds


class World:
    """A gateway over memory with the stream lab-1, and where wanted others beside it that are newer and more."""

    def __init__(self, tokens: Mapping[str, Token], *, others: tuple[str, ...]) -> None:
        clock = FixedClock(NOW_MS)
        self.broker = MemoryBroker(partitions=1, clock=clock)
        store = MemoryStore(clock)
        gateway = {"requests_per_second": 100_000, "request_burst": 100_000}
        self.app = create_app(
            Settings.model_validate({"gateway": gateway}),
            broker=self.broker,
            store=store,
            faces=open_faces("off"),
            clock=clock,
        )
        self.broker.commit([token_message(token) for token in tokens.values()])
        self.broker.commit(rules_messages(rules_from_yaml(_rules(others)), media_partitions=1, at_ms=NOW_MS))
        for age, stream in enumerate(("lab-1", *others)):
            self.watch(stream, media=segment(0, ("red", "blue"), stream=stream), seconds_ago=60 - age)
        if others:
            broken = segment(1, ("red",), stream=others[0])
            frame = broken.frames[0].model_copy(update={"jpeg": b"no picture"})
            self.watch(others[0], media=broken.model_copy(update={"frames": (frame,)}), seconds_ago=30)
        for _ in Loop(
            self.broker, ProjectorWorker(store, self.broker), group="projector", topics=RESULT_TOPICS
        ).drain():
            pass
        self.app.state.tokens.catch_up()
        self.app.state.tokens._apart_s = 0.0  # hundreds of wrong ones are shown here, one after the other

    def watch(self, stream: str, *, media: SegmentMedia, seconds_ago: int) -> None:
        """Pictures, windows, an event that is over, one that goes on and a sentence of `stream`."""
        offset = self.broker.end(MEDIA.name, partition=0)
        self.broker.commit([Message(MEDIA.name, stream.encode(), pack(media), partition=0)])
        refs = tuple(FrameRef(partition=0, offset=offset, index=i, at_ms=1_000 * i) for i in range(len(media.frames)))
        self.publish(*results(stream, refs, published_at=rfc3339(NOW_MS - 1_000 * seconds_ago)))

    def publish(self, *found: PublishedResult) -> None:
        self.broker.commit([result_message(one, None) for one in found])

    def written(self) -> list[int]:
        """How much was ever written to the topics that callers write to."""
        return [self.broker.end(topic, partition=0) for topic in (SUBTITLES.name, FEEDBACK.name)]


def results(stream: str, refs: tuple[FrameRef, ...], *, published_at: str) -> Iterator[PublishedResult]:
    for start_ms in (0, 2_000, 4_000):
        yield window(stream, start_ms, refs=refs, published_at=published_at)
    named = {"stream": stream, "epoch": 0, "model": "light", "space": "light-1", "published_at": published_at}
    for rule, start_ms, end_ms in (("goal kick", 0, 2_000), ("goal kick", 4_000, None)):
        yield Event(
            id=f"{stream}/0/{rule}/{start_ms}",
            sequence=1,
            phase="started" if end_ms is None else "ended",
            rule=rule,
            start_ms=start_ms,
            end_ms=end_ms,
            evidence=Evidence(frames=refs),
            **named,
        )
    yield Caption(
        id=f"{stream}/0/4000+2000", stream=stream, epoch=0, start_ms=4_000, end_ms=6_000, text="a room",
        model="light", published_at=published_at,
    )  # fmt: skip


def window(stream: str, start_ms: int, *, refs: tuple[FrameRef, ...] = (), published_at: str) -> Annotation:
    return Annotation(
        id=f"{stream}/0/{start_ms}+2000",
        revision=1,
        stream=stream,
        epoch=0,
        start_ms=start_ms,
        end_ms=start_ms + 2_000,
        settled_until_ms=start_ms,
        text=JoinedText(state="none"),
        frames=refs,
        model="light",
        space="light-1",
        published_at=published_at,
    )


def _rules(others: tuple[str, ...]) -> str:
    foreign = "".join(f"  - {{name: secret {name}, streams: '{name}', text: [word]}}\n" for name in others)
    return (
        f"events:\n  - {{name: goal kick, text: [goal]}}\n  - {{name: lab, streams: 'lab-*', text: [lab]}}\n{foreign}"
    )


@dataclass(frozen=True)
class Worlds:
    """`full` has other streams; in `bare` they never were. `secrets` by the name of the caller."""

    full: World
    bare: World
    addresses: Mapping[World, str]
    secrets: Mapping[str, str]
    client: httpx.Client

    def ask(self, world: World, caller: str, attempt: Attempt, stream: str) -> Answer:
        """What the caller is answered; `stream` stands where the path says `{s}`."""
        url = self.addresses[world] + attempt.path.replace("{s}", quote(stream))
        headers = {"Authorization": f"Bearer {self.secrets[caller]}"} | dict(attempt.sent)
        answer = self.client.request(attempt.method, url, headers=headers, json=attempt.body)
        kept = tuple((name, value) for name, value in answer.headers.multi_items() if name != "date")
        return Answer(answer.status_code, kept, answer.content)

    def prepared(self, attempt: Attempt, stream: str) -> Attempt:
        """The attempt with the cursor and the ETag that who sees all is given there."""
        if "{cursor}" in attempt.path:
            first = replace(attempt, path=attempt.path.replace("&cursor={cursor}", ""))
            cursor = json.loads(self.ask(self.full, "all", first, stream).body)["next"]
            assert cursor, "there is more than one of each"
            attempt = replace(attempt, path=attempt.path.replace("{cursor}", cursor))
        if attempt.tag:
            etag = self.ask(self.full, "all", attempt, stream).header("etag")
            assert etag or stream != FOREIGN[0], "it has one, but for frames that are of another"
            attempt = replace(attempt, sent=(("If-None-Match", etag),))
        return attempt


@dataclass(frozen=True)
class Answer:
    """All of it but the time of day."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


@pytest.fixture(scope="module")
def worlds() -> Generator[Worlds]:
    callers: dict[str, tuple[Scope, str]] = {
        "lab": ("write", "lab-*"),
        "lab-reader": ("read", "lab-*"),
        "lab-admin": ("admin", "lab-*"),
        "all": ("admin", "*"),
    }
    made = {
        name: new_token(name, scope=scope, streams=(streams,), now_ms=NOW_MS)
        for name, (scope, streams) in callers.items()
    }
    tokens = {name: token for name, (token, _) in made.items()}
    full, bare = World(tokens, others=FOREIGN), World(tokens, others=())
    secrets = {name: secret for name, (_, secret) in made.items()}
    with serving(full.app) as full_address, serving(bare.app) as bare_address, httpx.Client(timeout=WITHIN_S) as client:
        yield Worlds(full, bare, {full: full_address, bare: bare_address}, secrets, client)


# the table


@dataclass(frozen=True)
class Attempt:
    """One way to ask one route for what is not one's own. `{s}` in the path is the stream that is asked for.

    `tag` sends the ETag that who sees all is given there; `{cursor}` in the path is the cursor that they are given.
    `expected` is what the caller hears, and `all_hear` what who sees all does: None where that would change the world.
    """

    route: str
    path: str
    why: str
    body: Any = None
    tag: bool = False
    caller: str = "lab"
    expected: int = 404
    all_hear: int | None = 200
    sent: tuple[tuple[str, str], ...] = ()

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.route}: {self.why}"


A = Attempt
STREAM, EVENT = "/v1/streams/{s}", "/v1/events/{s}/0/goal%20kick/0"
PICTURES = "/v1/streams/{id}/pictures/{partition}/{offset}/{index}"
LISTS = ("timeline", "events", "captions")
LAST_HOUR = f"since={quote(rfc3339(NOW_MS - 3_600_000))}"
FRAME, BROKEN = "pictures/0/2", f"pictures/0/{2 + len(FOREIGN)}"
"""Of the first foreign stream: behind the record of rules and that of lab-1."""
ANY = (("If-None-Match", "*"),)
TABLE: tuple[Attempt, ...] = (
    A("GET /v1/streams", "/v1/streams", "all there are", expected=200),
    A("GET /v1/streams", "/v1/streams?match={s}", "by name", expected=200),
    A("GET /v1/streams", "/v1/streams?match=%3F*", "by a wide pattern", expected=200),
    A("GET /v1/streams", "/v1/streams?limit=1", "whether there are more", expected=200),
    A("GET /v1/streams", "/v1/streams?limit=1&cursor={cursor}", "on from somebody else's place", expected=200),
    A("GET /v1/streams", "/v1/streams", "whether it is as others saw it", tag=True, expected=200, all_hear=304),
    A("GET /v1/streams/{id}/latest", f"{STREAM}/latest", "as it is now"),
    A("GET /v1/streams/{id}/latest", f"{STREAM}/latest", "whether it is as others saw it", tag=True, all_hear=304),
    *(A(f"GET /v1/streams/{{id}}/{name}", f"{STREAM}/{name}", "as it was") for name in LISTS),
    *(A(f"GET /v1/streams/{{id}}/{name}", f"{STREAM}/{name}?{LAST_HOUR}&limit=1", "in the topics") for name in LISTS),
    *(
        A(f"GET /v1/streams/{{id}}/{name}", f"{STREAM}/{name}", "as others saw it", tag=True, all_hear=304)
        for name in LISTS
    ),
    A("GET /v1/streams/{id}/timeline", f"{STREAM}/timeline?limit=1&cursor={{cursor}}", "from somebody else's place"),
    A("GET /v1/streams/{id}/timeline", "/v1/streams/lab-1%2F..%2F{s}/timeline", "around a corner", all_hear=404),
    A("GET /v1/streams/{id}/thumbnail", f"{STREAM}/thumbnail", "how it looks"),
    A("GET /v1/streams/{id}/thumbnail", f"{STREAM}/thumbnail?width=32", "how it looks, small"),
    A("GET /v1/streams/{id}/thumbnail", f"{STREAM}/thumbnail", "as others saw it", tag=True, all_hear=304),
    A(f"GET {PICTURES}", f"{STREAM}/{FRAME}/0", "a frame of it"),
    A(f"GET {PICTURES}", f"{STREAM}/{FRAME}/1?width=32", "a frame of it, small"),
    A(f"GET {PICTURES}", f"{STREAM}/{FRAME}/0", "as others saw it", tag=True, all_hear=304),
    A(f"GET {PICTURES}", f"{STREAM}/{BROKEN}/0?width=32", "a frame that cannot be shown", all_hear=410),
    A(f"GET {PICTURES}", f"/v1/streams/lab-1/{FRAME}/0", "a foreign frame as one's own", all_hear=404),
    A(f"GET {PICTURES}", f"/v1/streams/lab-1/{FRAME}/0?width=32", "the same, small", all_hear=404),
    A(f"GET {PICTURES}", f"/v1/streams/lab-1/{FRAME}/7", "how many frames there are", all_hear=404),
    A(f"GET {PICTURES}", f"/v1/streams/lab-1/{BROKEN}/0?width=32", "whether it can be shown", all_hear=404),
    A("POST /v1/streams/{id}/text", f"{STREAM}/text", "to put words in", {"text": "goal"}, all_hear=202),
    A("POST /v1/streams/{id}/feedback", f"{STREAM}/feedback", "to judge it", {"verdict": "missed"}, all_hear=201),
    A("GET /v1/events", "/v1/events", "all there are", expected=200),
    A("GET /v1/events", "/v1/events?match={s}", "by stream", expected=200),
    A("GET /v1/events", "/v1/events?state=open&limit=1", "what goes on, and whether there is more", expected=200),
    A("GET /v1/events", "/v1/events?limit=1&cursor={cursor}", "on from somebody else's place", expected=200),
    A("GET /v1/events", "/v1/events", "whether it is as others saw it", tag=True, expected=200, all_hear=304),
    A("GET /v1/events/{event}", EVENT, "by id"),
    A("GET /v1/events/{event}", EVENT, "as others saw it", tag=True, all_hear=304),
    A("GET /v1/events/{event}/evidence/{n}", f"{EVENT}/evidence/0", "what was seen"),
    A("GET /v1/events/{event}/evidence/{n}", f"{EVENT}/evidence/1?width=32", "what was seen, small"),
    A("GET /v1/events/{event}/evidence/{n}", f"{EVENT}/evidence/0", "as others saw it", tag=True, all_hear=304),
    A("POST /v1/events/{event}/feedback", f"{EVENT}/feedback", "to judge it", {"verdict": "wrong"}, all_hear=201),
    *(
        A(f"GET {route}", path, "whether there is any", sent=ANY, all_hear=304)
        for route, path in (
            ("/v1/streams/{id}/latest", f"{STREAM}/latest"),
            ("/v1/streams/{id}/thumbnail", f"{STREAM}/thumbnail"),
            (PICTURES, f"{STREAM}/{FRAME}/0"),
            ("/v1/events/{event}", EVENT),
            ("/v1/events/{event}/evidence/{n}", f"{EVENT}/evidence/0"),
        )
    ),
    A("GET /v1/rules", "/v1/rules", "what is looked for elsewhere", expected=200),
    A("GET /v1/rules", "/v1/rules", "whether it is as others saw it", tag=True, expected=200, all_hear=304),
    A("PUT /v1/rules", "/v1/rules", "what concerns all streams", {"events": []}, caller="lab-admin", expected=403,
      all_hear=None),
    A("GET /metrics", "/metrics", "what counts all streams", expected=403),
)  # fmt: skip
LIVE = "GET /v1/live"
NOT_OF_STREAMS = frozenset({"POST /v1/session", "GET /v1/session", "DELETE /v1/session", "GET /healthz", "GET /readyz"})
"""Who asks, and whether servers answer."""
OPEN = frozenset({"POST /v1/session", "GET /healthz", "GET /readyz"})
"""What needs no token."""


def routes(app: FastAPI) -> set[str]:
    """All that the OpenAPI document names, as `GET /v1/streams`."""
    return {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}


def test_every_route_is_in_the_table(worlds: Worlds) -> None:
    """A new one needs a row that tries to learn from it what it must not tell."""
    assert {attempt.route for attempt in TABLE} | {LIVE} | NOT_OF_STREAMS == routes(worlds.full.app)


@pytest.mark.parametrize("attempt", TABLE, ids=str)
def test_nothing_is_learnt_of_what_is_not_ones_own(worlds: Worlds, attempt: Attempt) -> None:
    before = worlds.full.written()
    for stream in FOREIGN if "{s}" in attempt.path else FOREIGN[:1]:
        asked = worlds.prepared(attempt, stream)
        told = worlds.ask(worlds.full, asked.caller, asked, stream)
        assert told.status == asked.expected
        assert told == worlds.ask(worlds.bare, asked.caller, asked, stream), "as where it never was"
        assert told == worlds.ask(worlds.full, asked.caller, asked, NEVER), "as of one that never was"
    assert worlds.full.written() == before


@pytest.mark.parametrize("attempt", [a for a in TABLE if a.all_hear is not None], ids=str)
def test_who_sees_all_does_learn_it(worlds: Worlds, attempt: Attempt) -> None:
    """Else the row above would hold whatever the gateway did."""
    asked = worlds.prepared(attempt, FOREIGN[0])
    told = worlds.ask(worlds.full, "all", asked, FOREIGN[0])
    assert told.status == attempt.all_hear
    if attempt.expected == told.status == 200:
        assert told.body != worlds.ask(worlds.full, attempt.caller, asked, FOREIGN[0]).body


def heard(address: str, secret: str, marker: str, **asked: str) -> Iterator[tuple[str, str]]:
    """The frames of a live stream, as (event, data), once it listens; ends behind the one that names `marker`."""
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.stream("GET", f"{address}/v1/live", params=asked, headers=headers, timeout=WITHIN_S) as answer:
        assert answer.status_code == 200
        frame: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                frame[name] = value
                continue
            if "event" in frame:
                yield frame["event"], frame["data"]
                if marker in frame["data"]:
                    return
            frame = {}


def test_live_tells_nothing_of_what_is_not_ones_own(worlds: Worlds) -> None:
    told = {}
    for world in (worlds.full, worlds.bare):
        frames = heard(worlds.addresses[world], worlds.secrets["lab"], "lab-1/0/9000+2000")
        assert next(frames)[0] == "hello"
        for stream in FOREIGN if world is worlds.full else ():
            world.publish(window(stream, 9_000, published_at=rfc3339(NOW_MS)))
        world.publish(window("lab-1", 9_000, published_at=rfc3339(NOW_MS)))
        told[world] = list(frames)
    assert len(told[worlds.bare]) == 1
    assert told[worlds.full] == told[worlds.bare]


def test_a_live_stream_that_goes_on_from_somebody_elses_place_tells_no_more(worlds: Worlds) -> None:
    place = _first_place(worlds)
    worlds.full.publish(
        window("tv-1", 11_000, published_at=rfc3339(NOW_MS)), window("lab-1", 11_000, published_at=rfc3339(NOW_MS))
    )
    told = {
        caller: [
            json.loads(data)["stream"]
            for kind, data in heard(
                worlds.addresses[worlds.full], worlds.secrets[caller], "lab-1/0/11000+2000", last_event_id=place
            )
            if kind == "annotation"
        ]
        for caller in ("lab", "all")
    }
    assert told == {"lab": ["lab-1"], "all": ["tv-1", "lab-1"]}


def _first_place(worlds: Worlds) -> str:
    """The id of the first frame that who sees all is sent."""
    headers = {"Authorization": f"Bearer {worlds.secrets['all']}"}
    address = worlds.addresses[worlds.full]
    with httpx.stream("GET", f"{address}/v1/live", headers=headers, timeout=WITHIN_S) as answer:
        return next(line.removeprefix("id: ") for line in answer.iter_lines() if line.startswith("id: "))


# who shows nothing, or something wrong

SHOWN: tuple[tuple[str, dict[str, str]], ...] = (
    ("nothing", {}),
    ("a token nobody made", {"Authorization": f"Bearer {UNKNOWN}"}),
    ("a token that was revoked", {"Authorization": "Bearer {revoked}"}),
    ("a token whose time is over", {"Authorization": "Bearer {expired}"}),
    ("a token as a password", {"Authorization": "Basic {all}"}),
    ("a token as a cookie", {"Cookie": f"{COOKIE}={{all}}"}),
    ("a session nobody signed", {"Cookie": f"{COOKIE}={{id}}.9999999999999.{'0' * 64}"}),
)


@pytest.mark.parametrize(("what", "headers"), SHOWN, ids=[what for what, _ in SHOWN])
def test_without_a_right_token_no_route_tells_anything(worlds: Worlds, what: str, headers: dict[str, str]) -> None:
    """Not even whether it is there: what no route answers is refused in the same words."""
    revoked, expired = (new_token(n, scope="admin", streams=("*",), now_ms=NOW_MS, expires_ms=NOW_MS) for n in "re")
    worlds.full.broker.commit([token_message(expired[0])])
    worlds.full.app.state.tokens.catch_up()
    values = {"{revoked}": revoked[1], "{expired}": expired[1], "{all}": worlds.secrets["all"]}
    values["{id}"] = worlds.secrets["all"].split("_")[1]
    sent = {name: _filled(value, values) for name, value in headers.items()}
    asked = [a.path.replace("{s}", "lab-1") for a in TABLE if "{cursor}" not in a.path]
    pairs = [(m, p) for p in {*asked, "/v1/live", "/v1/session", "/v1/nothing"} for m in METHODS]
    refused = set()
    for number, (method, path) in enumerate(pairs):
        if (method, path) == ("POST", "/v1/session"):
            continue
        client = TestClient(
            worlds.full.app, client=(f"192.0.{number // 250}.{number % 250}", 50_000)
        )  # each address may be wrong ten times
        answer = client.request(method, path, headers=sent)
        assert answer.status_code == 401, (method, path)
        refused.add(answer.content if method != "HEAD" else b"")
    assert len(refused - {b""}) == 1


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def test_what_needs_no_token_is_known_and_tells_nothing_of_streams(worlds: Worlds) -> None:
    client = TestClient(worlds.full.app)
    found = {name for name in routes(worlds.full.app) if client.request(*_asked(name)).status_code != 401}
    assert found == OPEN


def test_pages_and_files_are_the_same_wherever_they_are_asked_for(worlds: Worlds) -> None:
    """What they show, they ask for. Else a route that the document leaves out would be in no table."""
    documented = {path.replace("{event}", "{event:path}") for path in worlds.full.app.openapi()["paths"]}
    hidden = {*_paths(worlds.full.app.routes)} - documented - {path.replace("{n}", "{n:int}") for path in documented}
    assert {"/", "/docs", "/openapi.json", "/streams/{stream}"} <= hidden
    assert not [path for path in hidden if path.startswith("/v1")]
    for path in hidden:
        filled = _filled(path, {"{event:path}": "tv-1/0/goal kick/0", "{stream}": "tv-1", "{name}": "app.js"})
        told = {worlds.client.get(worlds.addresses[world] + filled).content for world in (worlds.full, worlds.bare)}
        assert len(told) == 1
        assert b"tv-1" not in told.pop()


def _paths(routes: Sequence[Any]) -> Iterator[str]:
    """Of all routes, also of those that were included together."""
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        if inner is not None:
            yield from _paths(inner.routes)
        elif path := getattr(route, "path", ""):
            yield path


def _asked(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    filled = {
        "{id}": "lab-1",
        "{event}": "lab-1/0/goal/0",
        "{partition}": "0",
        "{offset}": "1",
        "{index}": "0",
        "{n}": "0",
    }
    return method, _filled(path, filled)


# scopes


@pytest.mark.parametrize(
    ("caller", "method", "path", "body"),
    [
        ("lab-reader", "POST", "/v1/streams/lab-1/text", {"text": "goal"}),
        ("lab-reader", "POST", "/v1/streams/lab-1/feedback", {"verdict": "missed"}),
        ("lab-reader", "POST", "/v1/events/lab-1/0/goal%20kick/0/feedback", {"verdict": "right"}),
        ("lab-reader", "PUT", "/v1/rules", {"events": []}),
        ("lab", "PUT", "/v1/rules", {"events": []}),
    ],
)
def test_on_ones_own_streams_the_scope_counts(
    worlds: Worlds, caller: str, method: str, path: str, body: dict[str, Any]
) -> None:
    before = worlds.full.written()
    answer = worlds.ask(worlds.full, caller, Attempt(f"{method} {path}", path, "", body), "")
    assert (answer.status, b"needs the scope" in answer.body) == (403, True)
    assert worlds.full.written() == before


# on a real broker


def test_a_token_that_was_just_made_is_taken_at_once_by_every_gateway(kafka: str) -> None:
    """Also where it is shown first for a session, and where only its session is shown."""
    connection = new_topics(kafka)
    with ExitStack() as stack:
        desk = stack.enter_context(closing(KafkaBroker(connection)))
        brokers = [stack.enter_context(closing(KafkaBroker(connection))) for _ in range(2)]
        apps = [_app(broker, session_secret="s" * 32) for broker in brokers]
        addresses = [stack.enter_context(serving(app)) for app in apps]
        _until(lambda: all(app.state.tokens.ready for app in apps), "tokens were read once")
        found = []
        for number in range(10):
            _, secret = create_token(desk, f"new {number}", scope="read", streams=("*",), now_ms=SystemClock().now_ms())
            with _client(addresses[number % 2]) as browser:
                found.append(browser.post("/v1/session", json={"token": secret}).status_code)
                told = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
            with _client(addresses[1 - number % 2]) as other:
                found.append(other.get("/v1/session", headers=told).status_code)
            _, secret = create_token(
                desk, f"newer {number}", scope="read", streams=("*",), now_ms=SystemClock().now_ms()
            )
            found.append(_statuses([stack.enter_context(_client(addresses[number % 2], secret))])[0])
        assert found == [200] * 30


def test_a_revoked_token_stops_everywhere_within_seconds_and_stands_in_no_log(
    kafka: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    connection = new_topics(kafka)
    monkeypatch.setenv("FRAMECUE_KAFKA__BOOTSTRAP", connection.bootstrap)
    monkeypatch.setenv("FRAMECUE_KAFKA__PREFIX", connection.prefix)

    def framecue(*command: str) -> str:
        """What the command prints on stdout."""
        monkeypatch.setattr(sys, "argv", ["framecue", *command])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        return capsys.readouterr().out.strip()

    with ExitStack() as stack:
        secret = framecue("token", "create", "lab", "--streams", "*")
        brokers = [stack.enter_context(closing(KafkaBroker(connection))) for _ in range(2)]
        addresses = [stack.enter_context(serving(_app(broker))) for broker in brokers]
        clients = [stack.enter_context(_client(address, secret)) for address in addresses]
        browser = stack.enter_context(_client(addresses[0]))
        _until(lambda: _statuses(clients) == [200, 200], "it counts everywhere")
        assert browser.post("/v1/session", json={"token": secret}).status_code == 200
        cookie = browser.cookies[COOKIE]
        clients[0].get("/v1/streams", params={"token": secret})
        clients[0].get("/v1/streams", params={"q": "something private"})
        with clients[1].stream("GET", "/v1/live") as live:
            lines = live.iter_lines()
            assert "event: hello" in lines
            assert "lab" in framecue("token", "list")
            framecue("token", "revoke", "lab")
            _until(lambda: _statuses([*clients, browser]) == [401, 401, 401], "it counts nowhere")
            assert not [line for line in lines if line.startswith("event: ")], "the stream ends, and tells no more"
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert any("/v1/streams" in message for message in ours), "what is asked for is logged"
    secrets = (
        secret.rpartition("_")[2],
        digest(secret),
        cookie.rpartition(".")[2],
        "something+private",
        "something private",
    )
    assert [message for message in ours if any(one in message for one in secrets)] == []


def _client(address: str, secret: str | None = None) -> httpx.Client:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=address, headers=headers, timeout=WITHIN_S)


def _statuses(clients: Sequence[httpx.Client]) -> list[int]:
    return [client.get("/v1/session").status_code for client in clients]


def _app(broker: Broker, **gateway: Any) -> FastAPI:
    settings = Settings.model_validate({"gateway": gateway})
    return create_app(settings, broker=broker, store=MemoryStore(SystemClock()), faces=open_faces("off"))


def _until(holds: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)
