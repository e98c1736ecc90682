"""Webhooks: whether receivers can be called, and whether others could listen. Connects to each, and sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

from framecue.clock import Clock
from framecue.errors import SetupError
from framecue.settings import NotifierSettings, Webhook
from framecue_services.cli.doctor.findings import Finding, fine, of_error
from framecue_services.notifier.addresses import Resolve, resolve
from framecue_services.notifier.receiver import Answer, Receiver
from framecue_services.notifier.signing import keys_of

CONNECT_S = 3.0
"""For each receiver: a person waits."""


def receivers(settings: NotifierSettings, clock: Clock, *, resolve: Resolve = resolve) -> Iterator[Finding]:
    """Each webhook that is configured."""
    for webhook in settings.webhooks:
        try:
            keys_of(webhook.secret.get_secret_value())
            receiver = Receiver(
                webhook.url, timeout_s=CONNECT_S, clock=clock, private=settings.private_addresses, resolve=resolve
            )
        except SetupError as e:
            yield of_error(e)
            continue
        answer = receiver.reach()
        yield judge(webhook, answer)
        if webhook.url.startswith("http:") and answer.outcome == "delivered" and not receiver.is_inside():
            what = f"the webhook {webhook.name} is called without TLS: events can be read on the way to {receiver.name}"
            yield Finding("warning", what, "write its URL with https")


def judge(webhook: Webhook, answer: Answer) -> Finding:
    """What it means that a receiver gave this answer to a connection."""
    what = f"the webhook {webhook.name}: {answer.what}"
    if answer.outcome == "delivered":
        return fine(what)
    if answer.outcome == "private":
        cure = "set FRAMECUE_NOTIFIER__PRIVATE_ADDRESSES=allow where that is meant, or correct its URL"
        return Finding("error", what.partition(";")[0] + ", and nothing is delivered there", cure)
    return Finding("warning", f"{what}; events wait, and become dead letters", "start it, or correct its URL")
