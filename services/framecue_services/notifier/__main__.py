"""The notifier as a process: events go to webhooks, each in a loop and a group of its own. A wiring diagram.

framecue run notifier
"""

from __future__ import annotations

from threading import Event

from framecue.broker.protocol import Broker
from framecue.clock import SystemClock
from framecue.errors import SetupError
from framecue.schemas.topics import EVENTS
from framecue.settings import NotifierSettings, Settings, Webhook
from framecue_services.hosting import StageFactory, host_all
from framecue_services.notifier.receiver import Receiver
from framecue_services.notifier.schedule import Schedule
from framecue_services.notifier.signing import keys_of
from framecue_services.notifier.worker import NotifierWorker

NONE = (
    "no webhook is configured, so there is nothing to run; write one into framecue.yaml, such as "
    "`notifier: {webhooks: [{name: ops, url: 'https://example.com/framecue', rules: [goal], secret: whsec_...}]}`, "
    "with a secret made by `echo whsec_$(openssl rand -base64 32)`"
)


def run(settings: Settings) -> None:
    """Serves until told to stop; raises as `hosting.host` does, and SetupError where no webhook is configured."""
    if not settings.notifier.webhooks:
        raise SetupError(NONE)
    stages = {webhook.group: _stage(webhook, settings.notifier) for webhook in settings.notifier.webhooks}
    host_all(settings, topics=(EVENTS.name,), stages=stages)


def _stage(webhook: Webhook, settings: NotifierSettings) -> StageFactory:
    keys_of(webhook.secret.get_secret_value())  # one that is none is said before any server is waited for
    clock = SystemClock()
    receiver = Receiver(
        webhook.url, timeout_s=webhook.timeout_ms / 1000, clock=clock, private=settings.private_addresses
    )
    schedule = Schedule(settings.backoff_ms / 1000, settings.backoff_max_ms / 1000)

    def stage(_: Broker, stop: Event) -> NotifierWorker:
        return NotifierWorker(webhook, receiver, clock=clock, stop=stop, schedule=schedule)

    return stage
