"""What a delivery says of itself in its headers, and the signature over it: Standard Webhooks 1.0, CloudEvents 1.0.

Standard Webhooks (standardwebhooks.com) has libraries that verify in most languages; with them a receiver of ours is
one line. A name of our own for the same three headers would only have cost its users that.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from framecue.errors import SetupError
from framecue.schemas.event import Event
from framecue.schemas.results import cloud_headers

KEY_PREFIX = "whsec_"
"""Before a key in base64, as the libraries take it; anything else is a key as it stands."""
KEY_MIN = 16
"""Characters of a secret."""
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
CLOUD_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
"""What stands in an attribute as it is (its HTTP binding, 3.1.3.2): printable ASCII but for these and space."""


def keys_of(secret: str) -> tuple[bytes, ...]:
    """The keys in `secret`: one, or several with spaces between. Raises SetupError for what is no key."""
    return tuple(_key(part) for part in secret.split())


def webhook_id(event: Event) -> str:
    """The id of a delivery: the same at every attempt, another for every change of an event.

    Without a full stop, which is what the parts of the signed text are told apart by, and without spaces.
    """
    return quote(f"{event.id}#{event.sequence}", safe="/#").replace(".", "%2E")


def signed(delivery: str, body: bytes, *, at_s: int, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The three headers of Standard Webhooks for one attempt at `at_s`, in seconds since 1970."""
    text = f"{delivery}.{at_s}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, text, "sha256")).decode() for key in keys)
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def cloud_attributes(event: Event) -> Mapping[str, str]:
    """The content type and the CloudEvents attributes of `event`, as HTTP has them in binary mode."""
    attributes = {name.replace("_", "-"): value.decode() for name, value in cloud_headers(event)}
    return {name: quote(value, safe=CLOUD_SAFE) for name, value in attributes.items()}


def delivery_headers(
    event: Event, body: bytes, *, at_s: int, keys: Sequence[bytes], traceparent: str | None
) -> Mapping[str, str]:
    """All headers of one attempt at `at_s` to deliver `event`, published as `body`."""
    trace = traceparent if traceparent is not None and TRACEPARENT.fullmatch(traceparent) else None
    return {
        **cloud_attributes(event),
        **signed(webhook_id(event), body, at_s=at_s, keys=keys),
        **({} if trace is None else {"traceparent": trace}),
    }


def _key(part: str) -> bytes:
    cure = f"make one with `echo {KEY_PREFIX}$(openssl rand -base64 32)`"
    if len(part) < KEY_MIN:
        raise SetupError(f"a secret of a webhook is shorter than {KEY_MIN} characters; {cure}")
    if not part.startswith(KEY_PREFIX):
        return part.encode()
    try:
        return base64.b64decode(part.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error as e:
        raise SetupError(f"a secret of a webhook begins with {KEY_PREFIX} but is no base64; {cure}") from e
