"""`framecue token`: makes, lists and ends the tokens that open the gateway.

A token is printed once, when it is made; what is kept of it (`gateway.tokens`) does not give it back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from framecue.broker.protocol import Broker
from framecue.clock import Clock, SystemClock
from framecue.errors import SetupError
from framecue.schemas.segment import first_error
from framecue.schemas.token import Scope, Token
from framecue_services.cli.times import later
from framecue_services.cli.wording import clean
from framecue_services.gateway.tokens import expiry_ms, new_token, read_tokens, revocation, token_message

_HEADINGS = ("ID", "NAME", "SCOPE", "STREAMS", "MADE", "EXPIRES")


def create_token(
    broker: Broker, name: str, *, scope: Scope, streams: Sequence[str], expires: str | None = None, now_ms: int
) -> tuple[Token, str]:
    """Makes a token that counts from here on; the token as it is kept, and the secret.

    Raises SetupError for a name that is taken or cannot be one, a bad pattern, or a time that is over.
    """
    if name != clean(name) or not name:
        raise SetupError(f"{clean(name)!r} cannot be a name as it was typed; leave out what cannot be seen")
    if name in {token.name for token in read_tokens(broker).tokens()}:
        raise SetupError(f"there is a token {name} already; choose another name, or `framecue token revoke` it first")
    expires_ms = None if expires is None else later(expires, now_ms=now_ms)
    try:
        token, secret = new_token(name, scope=scope, streams=streams, now_ms=now_ms, expires_ms=expires_ms)
    except ValidationError as e:
        raise SetupError(f"no such token can be made: {first_error(e)}") from e
    broker.commit([token_message(token)])
    return token, secret


def revoke_token(broker: Broker, named: str) -> Token:
    """Ends the token of this id or name; the token that it was. Raises SetupError where there is none."""
    tokens = read_tokens(broker).tokens()
    found = [token for token in tokens if token.id == named] or [token for token in tokens if token.name == named]
    match found:
        case [token]:
            broker.commit([revocation(token.id)])
            return token
        case []:
            raise SetupError(f"there is no token {clean(named)}; `framecue token list` shows those there are")
    ids = ", ".join(token.id for token in found)
    raise SetupError(f"{len(found)} tokens have the name {clean(named)}; say which by its id: {ids}")


def run_create(
    broker: Broker,
    name: str,
    *,
    scope: Scope,
    streams: Sequence[str],
    expires: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Prints the secret, and nothing else, on stdout."""
    now_ms = (clock or SystemClock()).now_ms()
    token, secret = create_token(broker, name, scope=scope, streams=streams, expires=expires, now_ms=now_ms)
    until = "until it is revoked" if token.expires_at is None else f"until {token.expires_at}"
    _tell(f"{token.name} may {_allowed(token)} on {', '.join(token.streams)}, {until}")
    _tell(f"it is shown only this once; `framecue token revoke {token.id}` ends it")
    if token.scope == "admin" and "*" not in token.streams:
        _tell("what concerns all streams, such as the rules, is only for tokens with --streams '*'")
    print(secret)


def run_list(broker: Broker, *, clock: Clock | None = None, console: Console | None = None) -> None:
    """Prints all tokens, oldest first, without what would let anybody in."""
    now_ms = (clock or SystemClock()).now_ms()
    console = console or Console(highlight=False)
    rows = [_row(token, now_ms) for token in read_tokens(broker).tokens()]
    if not rows:
        _tell("there are no tokens; make one with `framecue token create NAME --streams '*'`")
        return
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row))
        return
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("ID", "SCOPE"), min_width=len(heading))
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def run_revoke(broker: Broker, named: str) -> None:
    """Says which token was ended."""
    token = revoke_token(broker, named)
    print(
        f"{clean(token.name)} ({token.id}) is revoked: within two seconds no gateway lets it in, and what is open ends"
    )


def _row(token: Token, now_ms: int) -> tuple[str, ...]:
    ends_ms = expiry_ms(token)
    ends = "never" if token.expires_at is None else token.expires_at
    if ends_ms is not None and ends_ms <= now_ms:
        ends = f"expired {ends}"
    return token.id, clean(token.name), token.scope, " ".join(token.streams), token.created_at, ends


def _allowed(token: Token) -> str:
    return {"read": "read", "write": "read and write", "admin": "read, write and administer"}[token.scope]


def _tell(sentence: str) -> None:
    print(f"framecue: {clean(sentence)}", file=sys.stderr)
