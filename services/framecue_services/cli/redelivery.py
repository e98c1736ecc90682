"""Events that the receiver of a webhook did not take, brought to it again by hand: once each, as the notifier does it.

They are not written to `events` again: whoever else reads that topic has them, and would see them twice.
"""

from __future__ import annotations

from framecue.clock import Clock
from framecue.errors import DeliveryError, MessageError, SetupError
from framecue.schemas.deadletter import DeadLetter
from framecue.schemas.event import Event
from framecue.schemas.results import read_result
from framecue.settings import NotifierSettings, Webhook
from framecue.telemetry.traces import traceparent_of
from framecue_services.cli.wording import clean
from framecue_services.notifier.addresses import Resolve, resolve
from framecue_services.notifier.receiver import Receiver
from framecue_services.notifier.signing import delivery_headers, keys_of


class Redelivery:
    """To the webhooks of `settings`. A receiver that cannot take anything is asked once, not for each event."""

    def __init__(self, settings: NotifierSettings, *, clock: Clock, resolve: Resolve = resolve) -> None:
        self._settings, self._clock, self._resolve = settings, clock, resolve
        self._webhooks = {webhook.group: webhook for webhook in settings.webhooks}
        self._receivers: dict[str, Receiver] = {}
        self._away: dict[str, str] = {}

    def bring(self, letter: DeadLetter) -> str:
        """The webhook that took the event in `letter`.

        Raises DeliveryError where it was not taken, MessageError where the letter holds no event, and SetupError where
        this machine does not know the webhook, or cannot call it.
        """
        group = letter.stage
        webhook = self._webhooks.get(group)
        if webhook is None:
            raise SetupError(
                f"no webhook is configured here for {clean(group)}; do this where the notifier's settings are"
            )
        event = read_result(letter.origin.topic, letter.value)
        if not isinstance(event, Event):
            raise MessageError("it holds no event")
        if group in self._away:
            raise DeliveryError(self._away[group])
        headers = delivery_headers(
            event,
            letter.value,
            at_s=self._clock.now_ms() // 1000,
            keys=keys_of(webhook.secret.get_secret_value()),
            traceparent=traceparent_of(letter.headers),
        )
        answer = self._receiver(webhook).post(letter.value, headers)
        if answer.outcome == "delivered":
            return f"the webhook {webhook.name}"
        if answer.outcome not in ("refused", "failed"):  # which may be said of one event
            self._away[group] = answer.what
        raise DeliveryError(answer.what)

    def _receiver(self, webhook: Webhook) -> Receiver:
        if webhook.group not in self._receivers:
            self._receivers[webhook.group] = Receiver(
                webhook.url,
                timeout_s=webhook.timeout_ms / 1000,
                clock=self._clock,
                private=self._settings.private_addresses,
                resolve=self._resolve,
            )
        return self._receivers[webhook.group]
