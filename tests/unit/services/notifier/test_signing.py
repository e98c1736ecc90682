"""What a delivery says of itself: verified by the example in the docs, and by a vector of Standard Webhooks' own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from framecue.errors import SetupError
from framecue.schemas.event import Event
from framecue_services.notifier.signing import cloud_attributes, keys_of, signed, webhook_id
from tests.contract.test_store import event
from tests.support.paths import REPO

OURS = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
Verified = Callable[[str, Mapping[str, str], bytes], bool]


@pytest.fixture(scope="module")
def verified() -> Verified:
    """The ten lines of deploy/docs/webhooks.md."""
    (code,) = re.findall(r"```python\n(.*?)```", (REPO / "deploy/docs/webhooks.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102
    return found["verified"]  # type: ignore[no-any-return]


def test_a_signature_is_as_the_libraries_of_standard_webhooks_make_it() -> None:
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, at_s=1614265330, keys=keys_of(OURS))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("secrets", "change", "holds", "reason"),
    [
        (OURS, {}, True, "as it was sent"),
        (f"whsec_{'B' * 32} {OURS}", {}, True, "while the secret is changed"),
        (f"whsec_{'B' * 32}", {}, False, "somebody else's secret"),
        (OURS, {"webhook-id": "cam1/0/goal/0#2"}, False, "passed off as another delivery"),
        (OURS, {"webhook-timestamp": str(int(time.time()) - 1)}, False, "passed off as another attempt"),
        (OURS, {"body": b'{"test": 1}'}, False, "changed on the way"),
    ],
)
def test_the_example_of_the_docs_tells_what_is_ours(
    verified: Verified, secrets: str, change: Mapping[str, Any], holds: bool, reason: str
) -> None:
    headers = signed("cam1/0/goal/0#1", BODY, at_s=int(time.time()), keys=keys_of(secrets))
    changed = {"body": BODY, **headers, **change}
    assert verified(OURS, changed, changed["body"]) is holds, reason


def test_the_example_of_the_docs_takes_no_copy_of_an_old_delivery(verified: Verified) -> None:
    headers = signed("cam1/0/goal/0#1", BODY, at_s=int(time.time()) - 301, keys=keys_of(OURS))
    assert not verified(OURS, headers, BODY)


def test_a_secret_without_the_prefix_is_the_key_itself() -> None:
    assert keys_of("correct-horse-battery") == (b"correct-horse-battery",)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("whsec_not-base64-at-all!", "no base64"),
        (f"{OURS} too-brief", "shorter than 16"),
        ("whsec_" + "A" * 15, "no base64"),
    ],
)
def test_what_is_no_secret_is_said_with_a_cure_and_without_the_secret(secret: str, says: str) -> None:
    with pytest.raises(SetupError, match=f"{says}.*openssl rand") as raised:
        keys_of(secret)
    assert secret.split()[-1] not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (event(), "cam1/0/goal/0#1"),
        (event(sequence=2), "cam1/0/goal/0#2"),
        (event(stream="cam.1"), "cam%2E1/0/goal/0#1"),  # a full stop ends the id in what is signed
        (event().model_copy(update={"id": "cam1/0/free kick/0"}), "cam1/0/free%20kick/0#1"),
    ],
)
def test_the_id_of_a_delivery_is_its_own_and_has_no_full_stop(given: Event, expected: str) -> None:
    assert webhook_id(given) == expected


def test_cloud_events_attributes_are_headers_encoded_as_its_binding_has_them() -> None:
    free_kick = event().model_copy(update={"id": 'cam1/0/"free" kick/0', "published_at": "2026-01-31T12:00:00.000Z"})
    assert cloud_attributes(free_kick) == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "cam1/0/%22free%22%20kick/0#1",
        "ce-type": "framecue.event",
        "ce-source": "/streams/cam1",
        "ce-subject": "cam1/0/%22free%22%20kick/0",
        "ce-time": "2026-01-31T12:00:00.000Z",
    }
