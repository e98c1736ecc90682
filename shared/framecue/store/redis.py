"""The store on Redis: the view that other systems read.

Every key has a TTL and a bound. Who reads them without this code (`redis-cli`, with the prefix `framecue:`) finds

    framecue:streams          sorted set   stream, scored by when its last result was published (ms since 1970)
    framecue:latest:STREAM    hash         `flat`: the latest annotation, caption and open events; `HGETALL` it
    framecue:timeline:STREAM  sorted set   the last 300 annotations, oldest first, each in its newest revision:
                                           `<epoch> <start_ms> <end_ms> <revision> <JSON>`
    framecue:events:STREAM    sorted set   the last 300 events by their first starts, each in its newest state:
                                           `<epoch> <first start> <n-th there> <id> <sequence> <state> <JSON>`; state is
                                           open, closed or retracted (which is kept, so that it stays retracted)
    framecue:feed:rules, framecue:feed:built-in
                              sorted sets  events of all streams, scored by when their newest state was published (ms
                                           since 1970): of the users' rules, and those named framecue.*
    framecue:evidence:EVENT   string       the JPEG of an event's peak, and 16 digits behind it: the event's sequence
    framecue:live             channel      every new result as JSON, with its `type`

All scores of `timeline` and `events` are 0, so members stand in the order of their bytes and `ZRANGE key -1 -1` is the
last. Numbers have 16 digits; a negative one is a minus and what it has above -10^16, which sorts the same.

One script call writes one key, so it is safe on a cluster, and each key takes what is newer for itself: a process that
is killed between two keys, and does the same again, leaves both as they should be. It must not know the settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote

import redis
from pydantic import ValidationError
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from framecue.clock import Clock, SystemClock
from framecue.errors import SetupError, StoreError
from framecue.schemas.annotation import Annotation
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue.schemas.results import PublishedResult, to_json
from framecue.store import flat, scripts
from framecue.store.protocol import (
    EVENTS_MAX,
    FEED_MAX,
    TIMELINE_MAX,
    TTL_MS,
    Activity,
    Held,
    HeldEvent,
    Kept,
    Latest,
    LatestJson,
    News,
    Place,
    is_built_in,
    is_open,
    place,
    place_of_event,
    stream_of_event,
)
from framecue.timeline import parse_rfc3339

R = TypeVar("R", Annotation, Event)
Command: TypeAlias = tuple[str | bytes | int, ...]

READ_KEPT = 2_000
"""Results that are not read again where they come again, as the latest ones of a wall do: 40 MB at most."""
CONNECT_S, ANSWER_S = 2.0, 5.0
"""How long Redis may take: on one machine or in one data centre a hundred times what it needs."""
_GROUPS = f"{flat.CAPTION}|{flat.OPEN_EVENTS}"
_OPEN_AT = f"{flat.OPEN_EVENTS}_at_us"
_KEPT: Mapping[Kept, str] = {"annotation": "timeline", "event": "events"}
"""The keys that hold what is kept in order."""
_SPACES: Mapping[Kept, int] = {"annotation": 4, "event": 6}
"""In their members, before the JSON."""
_RETRACTED = b"retracted"
_KINDS = ("latest", "timeline", "events")
"""The keys of a stream."""
_FEEDS = ("rules", "built-in")
"""The keys of the feed."""
_SEQUENCE_DIGITS = 16


@dataclass(frozen=True)
class ServerFacts:
    """A Redis: its version, what it does when memory is full, and its bytes. `limit_bytes` 0: no limit."""

    version: tuple[int, ...]
    policy: str
    used_bytes: int
    limit_bytes: int


class RedisStore:
    """`store.protocol.Store` on the Redis (6.2 or later) at `url`: `redis://`, `rediss://` or `unix://`.

    Connects when it is first used, and again whenever it has to. Raises SetupError for a URL that cannot be used, and
    where the user or password is refused.
    """

    def __init__(self, url: str, *, prefix: str = "framecue:", clock: Clock | None = None) -> None:
        self.prefix, self._clock = prefix, clock or SystemClock()
        retry = Retry(NoBackoff(), 0)  # trying again is up to `_ask` and to the caller
        try:
            self._redis = redis.Redis.from_url(
                url, protocol=2, socket_connect_timeout=CONNECT_S, socket_timeout=ANSWER_S, retry=retry
            )
        except (ValueError, TypeError) as e:
            raise SetupError(
                "FRAMECUE_REDIS__URL must look like redis://user:password@host:6379/0 (rediss:// for TLS)"
            ) from e
        self.address = _address(self._redis.connection_pool.connection_kwargs)

    def put(self, results: Sequence[PublishedResult]) -> tuple[bool, ...]:
        places = [place(result) for result in results]
        if not results:
            return ()
        calls = [self._calls(result, at) for result, at in zip(results, places, strict=True)]
        with_events = dict.fromkeys(result.stream for result in results if isinstance(result, Event))
        ask_open = [_run(scripts.OPEN, self._key("events", stream)) for stream in with_events]
        with self._errors():
            answers = iter(self._ask([*chain(*calls), *ask_open, *self._activity(results), *self._feed(results)]))
            done = [[next(answers) for _ in mine] for mine in calls]
            changed = tuple(any(key_changed for key_changed, *_ in each) for each in done)
            still_open = dict(zip(with_events, answers, strict=False))
            gone = [each[0][1] for each, r in zip(done, results, strict=True) if isinstance(r, Event) and each[0][1:]]
            self._ask([*self._consequences(results, changed, still_open), *map(self._drop_picture, gone)])
        return changed

    def put_evidence(self, event_id: str, jpeg: bytes, *, sequence: int) -> bool:
        with self._errors():
            digits = f"{sequence:0{_SEQUENCE_DIGITS}}"
            key = self._key("evidence", event_id)
            (kept,) = self._ask([_run(scripts.PUT_PICTURE, key, digits, jpeg, TTL_MS)])
        return bool(kept)

    def forget(self, stream: str) -> None:
        with self._errors():
            self._delete(self._key("evidence", f"{stream}/"))
            self._ask([("ZREM", self._key("streams"), stream), *(("UNLINK", self._key(k, stream)) for k in _KINDS)])
            for key in (self._key("feed", half) for half in _FEEDS):
                (names,) = self._ask([("ZRANGE", key, 0, -1)])
                theirs = [name for name in names if name.startswith(f"{stream}/".encode())]
                self._ask([("ZREM", key, name) for name in theirs])

    def clear(self) -> int:
        """Deletes what this store wrote, of all streams, and no other keys; how many there were."""
        with self._errors():
            deleted = sum(self._delete(self._key(kind, "")) for kind in (*_KINDS, "evidence", "feed"))
            return deleted + int(self._ask([("UNLINK", self._key("streams"))])[0])

    def streams(self) -> tuple[str, ...]:
        with self._errors():
            since = self._clock.now_ms() - TTL_MS
            names: Any = self._redis.zrevrangebyscore(self._key("streams"), "+inf", f"({since}")
        return tuple(name.decode() for name in names)

    def activity(self) -> tuple[Activity, ...]:
        with self._errors():
            since = self._clock.now_ms() - TTL_MS
            (found,) = self._ask([("ZREVRANGEBYSCORE", self._key("streams"), "+inf", f"({since}", "WITHSCORES")])
        return tuple(Activity(at_ms, name) for name, at_ms in _scored(found))

    def active_ms(self, stream: str) -> int | None:
        with self._errors():
            (score,) = self._ask([("ZSCORE", self._key("streams"), stream)])
        at_ms = 0 if score is None else int(float(score))
        return at_ms if at_ms > self._clock.now_ms() - TTL_MS else None

    def latest(self, stream: str) -> Latest | None:
        return self.latest_of([stream])[0]

    def latest_of(self, streams: Sequence[str]) -> tuple[Latest | None, ...]:
        with self._errors():
            return tuple(None if held is None else _latest(held) for held in self._latest_held(streams))

    def latest_json_of(self, streams: Sequence[str]) -> tuple[LatestJson | None, ...]:
        with self._errors():
            return self._latest_held(streams)

    def fields(self, stream: str) -> flat.Fields:
        """What `HGETALL` shows of a stream; empty where nothing is known."""
        with self._errors():
            held: Any = self._redis.hgetall(self._key("latest", stream))
        return {name.decode(): value.decode() for name, value in held.items() if name.decode() != _OPEN_AT}

    def timeline(self, stream: str, *, limit: int = TIMELINE_MAX) -> tuple[Annotation, ...]:
        with self._errors():
            return self._members("timeline", stream, Annotation, first=-limit) if limit > 0 else ()

    def events(self, stream: str, *, limit: int = EVENTS_MAX) -> tuple[Event, ...]:
        with self._errors():
            held = self._members("events", stream, Event)
        shown = tuple(event for event in held if event.phase != "retracted")
        return shown[max(0, len(shown) - limit) :]

    def newest(self, kind: Kept, stream: str, *, limit: int, before: Place | None = None) -> tuple[Held, ...]:
        key, spaces = self._key(_KEPT[kind], stream), _SPACES[kind]
        shown: list[Held] = []
        with self._errors():
            while len(shown) < limit:
                end = "+" if before is None else b"(" + _spelled(before).encode() + b" "
                (members,) = self._ask([("ZREVRANGEBYLEX", key, end, "-", "LIMIT", 0, limit - len(shown))])
                if not members:
                    break
                split = [member.split(b" ", spaces) for member in members]
                shown += [Held(_place(parts, kind), parts[-1]) for parts in split if parts[-2] != _RETRACTED]
                before = _place(split[-1], kind)
        return tuple(shown)

    def find_events(self, event_ids: Sequence[str]) -> tuple[Event | None, ...]:
        with self._errors():
            found = self._find_members(event_ids)
            return tuple(None if parts is None else _result(Event, parts[-1]) for parts in found)

    def find_events_json(self, event_ids: Sequence[str]) -> tuple[HeldEvent | None, ...]:
        with self._errors():
            found = self._find_members(event_ids)
        return tuple(None if parts is None else HeldEvent(parts[-2] == b"open", parts[-1]) for parts in found)

    def news(self, *, limit: int, before: News | None = None) -> tuple[News, ...]:
        keys = [self._key("feed", half) for half in _FEEDS]
        with self._errors():
            most = "+inf" if before is None else before.at_ms
            at_once = [0 for _ in keys] if before is None else self._ask([("ZCOUNT", k, most, most) for k in keys])
            since = self._clock.now_ms() - TTL_MS
            asked = [
                ("ZREVRANGEBYSCORE", key, most, f"({since}", "WITHSCORES", "LIMIT", 0, limit + more)
                for key, more in zip(keys, at_once, strict=True)
            ]
            halves = [[News(at_ms, name) for name, at_ms in _scored(found)] for found in self._ask(asked)]
        older = (news for half in halves for news in half if before is None or _order(news) < _order(before))
        return tuple(sorted(older, key=_order, reverse=True)[:limit])

    def evidence(self, event_id: str) -> bytes | None:
        with self._errors():
            held: Any = self._redis.get(self._key("evidence", event_id))
        return None if held is None else bytes(held[:-_SEQUENCE_DIGITS])

    def facts(self) -> ServerFacts:
        """What the server says of itself."""
        with self._errors():
            info: Any = self._redis.info()
        return ServerFacts(
            version=tuple(int(part) for part in str(info["redis_version"]).split(".") if part.isdigit()),
            policy=str(info.get("maxmemory_policy", "noeviction")),
            used_bytes=int(info.get("used_memory", 0)),
            limit_bytes=int(info.get("maxmemory", 0)),
        )

    def close(self) -> None:
        """Closes its connections."""
        self._redis.close()

    def _key(self, *parts: str) -> str:
        return self.prefix + ":".join(parts)

    def _calls(self, result: PublishedResult, at: Place) -> tuple[Command, ...]:
        """What puts `result`, the key that people read before the one that tells the channel."""
        latest, value = self._key("latest", result.stream), to_json(result)
        match result:
            case Annotation():
                return (
                    self._put_fields(latest, "", flat.annotation_fields(result), order=4),
                    self._put_member("timeline", result, at, f"{result.revision}", value, limit=TIMELINE_MAX),
                )
            case Event():
                state = "open" if is_open(result) else "retracted" if result.phase == "retracted" else "closed"
                tail = f"{result.sequence} {state}"
                return (self._put_member("events", result, at, tail, value, limit=EVENTS_MAX),)
            case Caption():
                told = (self._key("live"), "caption", value)
                return (self._put_fields(latest, flat.CAPTION, flat.caption_fields(result), order=2, told=told),)

    def _put_member(
        self, kind: str, result: Annotation | Event, at: Place, tail: str, value: bytes, *, limit: int
    ) -> Command:
        spelled = _spelled(at)
        told = (self._key("live"), "annotation" if isinstance(result, Annotation) else "event")
        return _run(scripts.PUT_MEMBER, self._key(kind, result.stream), spelled, tail, value, limit, TTL_MS, *told)

    def _put_fields(
        self, key: str, group: str, fields: flat.Fields, *, order: int, told: tuple[str | bytes, ...] = ("", "", "")
    ) -> Command:
        pairs = json.dumps([text for pair in fields.items() for text in pair], ensure_ascii=False)  # quicker than many
        return _run(scripts.PUT_FIELDS, key, _GROUPS, group, TTL_MS, *told, order, pairs)

    def _delete(self, beginning: str) -> int:
        """Deletes the keys that begin so, a few at a time; how many there were."""
        pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", beginning) + "*"
        deleted, cursor = 0, -1
        while cursor != 0:
            ((cursor, keys),) = self._ask([("SCAN", max(cursor, 0), "MATCH", pattern, "COUNT", 1_000)])
            deleted += sum(self._ask([("UNLINK", key) for key in keys]))
        return deleted

    def _members(self, kind: str, stream: str, of: type[R], *, first: int = 0) -> tuple[R, ...]:
        (members,) = self._ask([("ZRANGE", self._key(kind, stream), first, -1)])
        return _read(members, of)

    def _activity(self, results: Sequence[PublishedResult]) -> Iterator[Command]:
        """Goes by when results were published, so that it stays the same however often they come."""
        key, now_ms = self._key("streams"), self._clock.now_ms()
        active: dict[str, int] = {}
        for result in results:
            active[result.stream] = max(active.get(result.stream, 0), _published_ms(result, now_ms))
        for stream, at_ms in active.items():
            yield "ZADD", key, "GT", at_ms, stream
        yield "ZREMRANGEBYSCORE", key, "-inf", now_ms - TTL_MS
        yield "PEXPIRE", key, TTL_MS

    def _feed(self, results: Sequence[PublishedResult]) -> Iterator[Command]:
        """As `_activity`, for events. A retracted one stays: older states that come again must not bring it back."""
        now_ms, touched = self._clock.now_ms(), dict[str, None]()
        for event in (result for result in results if isinstance(result, Event)):
            key = self._key("feed", _FEEDS[is_built_in(event.id)])
            touched[key] = None
            yield "ZADD", key, "GT", _published_ms(event, now_ms), event.id
        for key in touched:
            yield "ZREMRANGEBYSCORE", key, "-inf", now_ms - TTL_MS
            yield "ZREMRANGEBYRANK", key, 0, -FEED_MAX - 1
            yield "PEXPIRE", key, TTL_MS

    def _latest_held(self, streams: Sequence[str]) -> tuple[LatestJson | None, ...]:
        questions = [question for stream in streams for question in self._latest_questions(stream)]
        answers = iter(self._ask(questions) if questions else ())
        return tuple(_latest_json(*each) for each in zip(answers, answers, answers, strict=True))

    def _find_members(self, event_ids: Sequence[str]) -> list[list[bytes] | None]:
        """Of each event its member in parts; None where it is not held, or retracted."""
        places = [place_of_event(event_id) for event_id in event_ids]
        asked = [
            self._member_question(stream_of_event(event_id), at)
            for event_id, at in zip(event_ids, places, strict=True)
            if at is not None
        ]
        answers = iter(self._ask(asked) if asked else ())
        members = (next(iter(next(answers)), None) if at is not None else None for at in places)
        found = (None if member is None else member.split(b" ", _SPACES["event"]) for member in members)
        return [None if parts is None or parts[-2] == _RETRACTED else parts for parts in found]

    def _latest_questions(self, stream: str) -> tuple[Command, ...]:
        return (
            ("ZRANGE", self._key("timeline", stream), -1, -1),
            _run(scripts.OPEN, self._key("events", stream)),
            ("HGET", self._key("latest", stream), flat.CAPTION_JSON),
        )

    def _member_question(self, stream: str, at: Place) -> Command:
        """For the member at this place of a stream's events: whatever begins with it."""
        begin = _spelled(at).encode() + b" "
        return "ZRANGEBYLEX", self._key("events", stream), b"[" + begin, b"(" + begin + b"\xff"

    def _consequences(
        self, results: Sequence[PublishedResult], changed: Sequence[bool], still_open: Mapping[str, Any]
    ) -> list[Command]:
        """Open events beside the latest annotation, and a day more for all of what changed."""
        calls = []
        for stream, (at_us, members, *_) in still_open.items():
            fields = {_OPEN_AT: at_us.decode(), **flat.open_event_fields(_read(members, Event))}
            calls.append(self._put_fields(self._key("latest", stream), flat.OPEN_EVENTS, fields, order=1))
        for stream in dict.fromkeys(r.stream for r, new in zip(results, changed, strict=True) if new):
            calls += [("PEXPIRE", self._key(kind, stream), TTL_MS) for kind in _KINDS]
        return calls

    def _drop_picture(self, head: bytes) -> Command:
        """For an event whose member had to go."""
        return "UNLINK", self._key("evidence", unquote(head.split(b" ")[3].decode()))

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to `commands`, sent at once; they must bear being sent again."""
        try:
            answers = self._send(commands)
        except exceptions.ConnectionError:
            self._redis.ping()  # a client that has to log in is told so on this, and hung up on where it says much
            answers = self._send(commands)
        if any(isinstance(answer, exceptions.NoScriptError) for answer in answers):
            self._send([("SCRIPT LOAD", script.source) for script in scripts.ALL])
            answers = self._send(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        pipe: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        return answers

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where errors of the client become ours."""
        try:
            yield
        except (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError) as e:
            raise SetupError(
                f"Redis at {self.address} refuses this user ({_reason(e)}); set FRAMECUE_REDIS__URL with one that may "
                f"use the keys {self.prefix}* and the channel {self._key('live')}"
            ) from e
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as e:
            raise StoreError(
                f"Redis at {self.address} does not answer ({_reason(e)}); start it with `framecue up`, or set "
                "FRAMECUE_REDIS__URL to where it is"
            ) from e
        except exceptions.RedisError as e:
            raise StoreError(f"Redis at {self.address} refuses: {_reason(e)}") from e
        except ValidationError as e:
            raise StoreError(
                f"Redis at {self.address} holds results that this version cannot read; make them again with "
                "`framecue redis rebuild --flush`"
            ) from e


def _run(script: scripts.Script, key: str, *arguments: str | bytes | int) -> Command:
    return "EVALSHA", script.sha, 1, key, *arguments


def _sortable(number: int) -> str:
    return f"{number:016}" if number >= 0 else f"-{10**16 + number:016}"


def _number(spelled: bytes) -> int:
    """What `_sortable` spelled so."""
    return int(spelled) if spelled[:1] != b"-" else int(spelled[1:]) - 10**16


def _spelled(at: Place) -> str:
    return " ".join(_sortable(part) if isinstance(part, int) else part for part in at)


def _scored(answer: Sequence[bytes]) -> Iterator[tuple[str, int]]:
    """Names and scores, which come one after the other."""
    for name, score in zip(answer[::2], answer[1::2], strict=True):
        yield name.decode(), int(float(score))


def _order(news: News) -> tuple[int, bytes]:
    """As Redis orders: ids by their bytes."""
    return news.at_ms, news.event_id.encode()


def _latest_json(last: Sequence[bytes], events: Sequence[Any], caption: bytes | None) -> LatestJson | None:
    """The answers to `_latest_questions`. Whatever is known of a stream is one of the three, or an event that ended."""
    _, still_open, *has_events = events
    if not last and caption is None and not any(has_events):
        return None
    return LatestJson(next(iter(_jsons(last, "annotation")), None), tuple(_jsons(still_open, "event")), caption or None)


def _latest(held: LatestJson) -> Latest:
    return Latest(
        None if held.annotation is None else _result(Annotation, held.annotation),
        tuple(_result(Event, data) for data in held.open_events),
        None if held.caption is None else Caption.model_validate_json(held.caption),
    )


def _read(members: Sequence[bytes], kind: type[R]) -> tuple[R, ...]:
    """The results in members of `timeline` or `events`."""
    return tuple(_result(kind, data) for data in _jsons(members, "annotation" if kind is Annotation else "event"))


def _jsons(members: Sequence[bytes], kind: Kept) -> Iterator[bytes]:
    """Their JSON, which stands behind the last of so many spaces."""
    return (member.split(b" ", _SPACES[kind])[-1] for member in members)


def _place(parts: Sequence[bytes], kind: Kept) -> Place:
    """What a member in parts begins with."""
    numbers = tuple(map(_number, parts[:3]))
    return numbers if kind == "annotation" else (*numbers, parts[3].decode())


@lru_cache(READ_KEPT)
def _result(kind: type[R], data: bytes) -> R:
    """The result that `data` is. It cannot change, so whoever asks for the same is given the same."""
    return kind.model_validate_json(data)


def _published_ms(result: PublishedResult, now_ms: int) -> int:
    try:
        return min(now_ms, parse_rfc3339(result.published_at or ""))
    except ValueError:
        return now_ms


def _address(connection: Mapping[str, Any]) -> str:
    return str(connection.get("path") or f"{connection.get('host', 'localhost')}:{connection.get('port', 6379)}")


def _reason(e: Exception) -> str:
    cause = e.__cause__ or e.__context__
    return str(getattr(cause, "strerror", None) or e).rstrip(".")
