"""Bearer tokens: how one is made, how it is kept, and what is known of all of them. It must not know HTTP.

The topic `control` holds tokens under `token:<id>`, and of each only the SHA-256. A slow hash as for passwords would
add nothing: a token has 256 random bits, so there is no list to try, and no machine counts that far. A fast one keeps
each request cheap.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import string
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256

from framecue.broker.protocol import Broker, Message, Record
from framecue.errors import FrameCueError
from framecue.schemas.segment import first_error
from framecue.schemas.token import TOKEN_KEY, Scope, Token
from framecue.schemas.topics import CONTROL
from framecue.timeline import parse_rfc3339, rfc3339

SECRET = re.compile(r"fc_([a-z0-9]{8,32})_[A-Za-z0-9_-]{43}")
"""A whole token: its id, and 256 random bits."""
POLL_S = 1.0
"""A revoked token is refused everywhere within this long and the time of one read."""
APART_S = 0.1
"""From one read to the next, however many ask for one: ten questions a second are nothing to Kafka."""
_ID_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_NOBODYS = "0" * 64
_log = logging.getLogger(__name__)


def new_token(
    name: str, *, scope: Scope, streams: Sequence[str], now_ms: int, expires_ms: int | None = None
) -> tuple[Token, str]:
    """A token as `control` keeps it, and the secret that is shown once. Raises ValidationError for a bad pattern."""
    token_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    secret = f"fc_{token_id}_{secrets.token_urlsafe(32)}"
    token = Token(
        id=token_id,
        name=name,
        scope=scope,
        streams=tuple(streams),
        sha256=digest(secret),
        created_at=rfc3339(now_ms),
        expires_at=None if expires_ms is None else rfc3339(expires_ms),
    )
    return token, secret


def digest(secret: str) -> str:
    """What is kept of a token."""
    return sha256(secret.encode()).hexdigest()


def token_message(token: Token) -> Message:
    """What makes the token count, on every gateway."""
    return Message(CONTROL.name, _key(token.id), token.model_dump_json().encode())


def revocation(token_id: str) -> Message:
    """What ends it."""
    return Message(CONTROL.name, _key(token_id), None)


def expiry_ms(token: Token) -> int | None:
    """When it ends by itself; None: never."""
    return None if token.expires_at is None else parse_rfc3339(token.expires_at)


@dataclass(frozen=True)
class Kept:
    """A token that counts, with its end read once."""

    token: Token
    expires_ms: int | None

    def counts_at(self, now_ms: int) -> bool:
        """Whether its time is not over."""
        return self.expires_ms is None or now_ms < self.expires_ms


class TokenBook:
    """The tokens that `control` holds, fed with its records in their order: by one thread, and asked by many.

    A record that is no token takes away what stood under its key: whatever is not understood lets nobody in.
    """

    def __init__(self) -> None:
        self._kept: Mapping[str, Kept] = {}

    def feed(self, records: Sequence[Record]) -> None:
        """Takes up what is new; other keys of the topic are not looked at."""
        kept = dict(self._kept)
        for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            if key.startswith(TOKEN_KEY):
                token_id = key.removeprefix(TOKEN_KEY)
                kept.pop(token_id, None)
                if (found := _read(record, token_id)) is not None:
                    kept[token_id] = found
        self._kept = kept  # replaced whole: who asks meanwhile sees the one or the other

    def tokens(self) -> tuple[Token, ...]:
        """All of them, oldest first, expired ones too."""
        return tuple(sorted((k.token for k in self._kept.values()), key=lambda token: (token.created_at, token.id)))

    def of_id(self, token_id: str) -> Kept | None:
        """The token of this id, whether expired or not."""
        return self._kept.get(token_id)

    def of_secret(self, secret: str) -> Kept | None:
        """The token that this secret is of, whether expired or not. How long it takes tells nothing of ids or bits."""
        named = SECRET.fullmatch(secret)
        if named is None:
            return None
        kept = self._kept.get(named[1])
        same = hmac.compare_digest(digest(secret), _NOBODYS if kept is None else kept.token.sha256)
        return kept if same else None


def read_tokens(broker: Broker) -> TokenBook:
    """What `control` holds now. Raises BrokerError."""
    book = TokenBook()
    for partition in range(broker.partitions(CONTROL.name)):
        book.feed(list(broker.read(CONTROL.name, partition=partition)))
    return book


class TokenRegistry:
    """The tokens as they are now: follows `control` on a thread of its own, once a second, and sooner when asked.

    While the broker is away, what was known last holds. `ready` is false until all was read once: before that nobody
    can be told from anybody.

        read   ████           ████                         ████             ████
                   ├─ apart ─┤    ├───────── poll ────────┤    ├─ apart ─┤
        asked    ↑     ↑ the second is for both                             ↑ the fourth, at once
    """

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S, apart_s: float = APART_S) -> None:
        self._broker, self._poll_s, self._apart_s = broker, poll_s, min(apart_s, poll_s)
        self._book = TokenBook()
        self._next: dict[int, int] = {}
        self._ready = False
        self._away = False
        self._turn = threading.Condition()
        self._asked: Future[None] | None = None
        """Done with the next read to begin; None while nobody waits for it. With `_turn` held, as `_is_closed`."""
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether all tokens were read once."""
        return self._ready

    def of_id(self, token_id: str) -> Kept | None:
        """As `TokenBook.of_id`."""
        return self._book.of_id(token_id)

    def of_secret(self, secret: str) -> Kept | None:
        """As `TokenBook.of_secret`."""
        return self._book.of_secret(secret)

    def start(self) -> None:
        """Follows from here on."""
        self._thread = threading.Thread(target=self._follow, name="tokens", daemon=True)
        self._thread.start()

    def next_read(self) -> Future[None] | None:
        """Done once a read is over that begins after this call, well or not; it is due at once, or in a moment.

        Who asks before it begins shares it: it cannot be cancelled. None where there is nothing to wait for: the
        broker is away as far as is known, or nothing is followed. Never blocks.
        """
        with self._turn:
            if self._is_closed or self._away or self._thread is None:
                return None
            if self._asked is None:
                self._asked = Future()
                self._asked.set_running_or_notify_cancel()  # who goes away must not take it from the others
                self._turn.notify_all()
            return self._asked

    def close(self) -> None:
        """Follows no more; what was known last holds."""
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=2 * self._poll_s)

    def catch_up(self) -> None:
        """Reads what is new. Raises BrokerError; then nothing of it counts, and the next call reads it again."""
        places = {p: self._broker.end(CONTROL.name, partition=p) for p in range(self._broker.partitions(CONTROL.name))}
        if any(end < self._next.get(partition, 0) for partition, end in places.items()):
            self._start_over()
        for partition, end in places.items():
            start = self._next.get(partition, 0)
            if start < end:
                self._book.feed(list(self._broker.read(CONTROL.name, partition=partition, start=start)))
            self._next[partition] = end
        self._ready = True

    def _start_over(self) -> None:
        """The topic was made anew: what it no longer holds does not count."""
        _log.warning("the topic control ends before what was read of it: all tokens are read again")
        self._book, self._next, self._ready = TokenBook(), {}, False

    def _follow(self) -> None:
        while not self._is_closed:
            asked = self._take_asked()
            self._read_on()
            if asked is not None:
                asked.set_result(None)
            with self._turn:
                self._turn.wait_for(lambda: self._is_closed, self._apart_s)
                self._turn.wait_for(lambda: self._is_closed or self._asked is not None, self._poll_s - self._apart_s)
        if (asked := self._take_asked()) is not None:
            asked.set_result(None)

    def _take_asked(self) -> Future[None] | None:
        """Whom the read that begins now is for: who asks from here on waits for the one after it."""
        with self._turn:
            asked, self._asked = self._asked, None
            return asked

    def _read_on(self) -> None:
        try:
            self.catch_up()
            self._away = False
        except FrameCueError as e:
            if not self._away:
                _log.warning("tokens stay as they are known, and new ones wait: %s", e)
            self._away = True
        except Exception:
            _log.exception("tokens could not be read; they stay as they are known")


def _key(token_id: str) -> bytes:
    return f"{TOKEN_KEY}{token_id}".encode()


def _read(record: Record, token_id: str) -> Kept | None:
    """The token that a record holds; None where it ends one, or cannot be read."""
    if record.value is None:
        return None
    try:
        token = Token.model_validate_json(record.value)
        if token.id != token_id:
            raise ValueError(f"it stands under the key of {token_id!r}")
        return Kept(token, expiry_ms(token))
    except ValueError as e:  # a ValidationError is one
        _log.warning("the token at %s %d lets nobody in: %s", record.topic, record.offset, first_error(e))
        return None
