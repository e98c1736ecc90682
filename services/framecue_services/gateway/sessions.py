"""Browser sessions: a signed cookie that names a token and an end; nothing is kept here. It must not know HTTP.

    <token id>.<end in ms>.<HMAC-SHA256 of both and of what is kept of the token>

So every gateway with the same secret takes it, it ends with its token, and a token made anew under an old id gives an
old session nothing. Whoever logs out deletes the cookie; a copy of it counts until its end, or until the token goes.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256

from framecue_services.gateway.tokens import Kept

COOKIE = "framecue_session"
_COOKIE = re.compile(r"([a-z0-9]{8,32})\.([0-9]{1,16})\.([0-9a-f]{64})")
_PURPOSE = b"framecue-session/1"
"""Signed too, so that no other use of the secret can make a cookie."""


@dataclass(frozen=True)
class Claim:
    """What a cookie says; nothing of it is believed before `Sessions.holds`."""

    token_id: str
    expires_ms: int
    signature: str


class Sessions:
    """Signs cookies and checks them. Without a secret one is made for this process alone."""

    def __init__(self, secret: str | None, *, length_ms: int) -> None:
        self._key = secrets.token_bytes(32) if secret is None else secret.encode()
        self._length_ms = length_ms

    def open(self, kept: Kept, *, now_ms: int) -> tuple[str, int]:
        """A cookie for who showed this token, and its end: the token's own where that is sooner."""
        end_ms = now_ms + self._length_ms
        if kept.expires_ms is not None:
            end_ms = min(end_ms, kept.expires_ms)
        return f"{kept.token.id}.{end_ms}.{self._signature(kept, end_ms)}", end_ms

    def holds(self, claim: Claim, kept: Kept, *, now_ms: int) -> bool:
        """Whether we signed that for this token, and its time is not over."""
        signed = hmac.compare_digest(claim.signature, self._signature(kept, claim.expires_ms))
        return signed and now_ms < claim.expires_ms

    def _signature(self, kept: Kept, expires_ms: int) -> str:
        said = b"\n".join((_PURPOSE, kept.token.id.encode(), str(expires_ms).encode(), kept.token.sha256.encode()))
        return hmac.new(self._key, said, sha256).hexdigest()


def read_cookie(value: str) -> Claim | None:
    """What a cookie says; None for one that is not ours."""
    found = _COOKIE.fullmatch(value)
    return None if found is None else Claim(found[1], int(found[2]), found[3])
