"""How settings become what the client is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kafka.errors import FencedInstanceIdError, KafkaError, NodeNotReadyError, SaslAuthenticationFailedError
from pydantic import SecretStr

from framecue.broker.kafka.connection import KafkaConnection, broker_error
from framecue.broker.protocol import TopicPartition
from framecue.errors import BrokerError, DisplacedError, FrameCueError, SetupError
from framecue.settings import KafkaSettings


def test_names_are_prefixed() -> None:
    connection = KafkaSettings(prefix="site.").connection("framecue-ingest")
    assert (connection.group("ingest"), connection.partition(TopicPartition("media", 3)).topic) == (
        "site.ingest",
        "site.media",
    )
    assert connection.client()["client_id"] == "framecue-ingest"


@pytest.mark.parametrize(
    ("security", "given"),
    [
        ("PLAINTEXT", set()),
        ("SSL", {"ssl_cafile"}),
        ("SASL_PLAINTEXT", {"sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}),
        ("SASL_SSL", {"sasl_mechanism", "sasl_plain_username", "sasl_plain_password", "ssl_cafile"}),
    ],
)
def test_the_client_is_given_what_its_security_needs(security: Any, given: set[str]) -> None:
    settings = KafkaSettings(
        bootstrap="a:1, b:2",
        security=security,
        sasl_username="me",
        sasl_password=SecretStr("secret"),
        ssl_cafile=Path("ca.pem"),
    )
    config = settings.connection().client()
    assert {name for name in config if name.startswith(("sasl", "ssl"))} == given
    assert config["bootstrap_servers"] == ["a:1", "b:2"]
    assert "secret" not in repr(settings.connection())


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (NodeNotReadyError(), BrokerError, "start one with `framecue up`"),
        (FencedInstanceIdError(), DisplacedError, "FRAMECUE_SLOT"),
        (SaslAuthenticationFailedError(), SetupError, "refuses us"),
        (KafkaError("odd"), BrokerError, "doing it: KafkaError"),
        (SetupError("ours"), SetupError, "ours"),
    ],
)
def test_each_error_of_the_client_is_one_of_ours(error: Exception, kind: type[FrameCueError], says: str) -> None:
    ours = broker_error("doing it", error, KafkaConnection("a:1"))
    assert type(ours) is kind
    assert says in str(ours)
