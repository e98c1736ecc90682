"""`framecue doctor`: which checks there are, and in which order; later ones need what earlier ones found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Literal

from rich.console import Console

from framecue.broker.kafka.cluster import KafkaCluster
from framecue.broker.kafka.topics import check_topics
from framecue.clock import Clock, SystemClock
from framecue.errors import FrameCueError, SetupError
from framecue.settings import FILE, Settings, known_settings
from framecue_services.cli import connecting
from framecue_services.cli.doctor import gateway, kafka, machine, model, pictures, store, webhooks
from framecue_services.cli.doctor.findings import Check, Examined, Finding, examine, fine, of_error
from framecue_services.cli.doctor.page import as_json, failed, tell


def run_doctor(*, form: Literal["text", "json"] = "text", console: Console | None = None) -> int:
    """Prints what all checks find; 1 where something keeps FrameCue from working, else 0."""
    found = examination(SystemClock())
    if form == "json":
        listed = list(found)
        print(as_json(listed))
        return int(failed(listed))
    return int(failed(tell(found, console or Console(highlight=False, markup=False))))


def examination(clock: Clock) -> Iterator[Examined]:
    """What all checks find, as they find it."""
    yield from examine((Check("variables", machine.variables), Check("packages", machine.checksums)))
    yield from examine((Check("packages", machine.packages),))
    try:
        settings = known_settings()
    except SetupError as e:
        yield Examined("settings", of_error(e, cure=f"correct {FILE} or the variable"))
        yield Examined("settings", Finding("unknown", "nothing that needs settings was checked"))
        return
    yield from examine(
        (
            Check("settings", machine.settings_file),
            Check("decoders", lambda: machine.decoders(settings)),
            Check("disk", lambda: machine.disk(settings)),
            Check("local", lambda: machine.local_servers(settings)),
            Check("model", lambda: model.files(settings)),
            Check("gateway", lambda: gateway.access(gateway.as_it_runs(settings))),
            Check("webhooks", lambda: webhooks.receivers(settings.notifier, clock)),
            Check("pictures", lambda: pictures.faces(settings.privacy)),
        )
    )
    with ExitStack() as stack:
        yield from _redis(settings, stack)
        yield from _kafka(settings, clock, stack)


def _redis(settings: Settings, stack: ExitStack) -> Iterator[Examined]:
    def look() -> Iterable[Finding]:
        return store.server(stack.enter_context(connecting.store(settings)))

    yield from examine((Check("redis", look),))


def _kafka(settings: Settings, clock: Clock, stack: ExitStack) -> Iterator[Examined]:
    try:
        broker = stack.enter_context(connecting.broker(settings))
    except FrameCueError as e:
        yield Examined("kafka", of_error(e))
        yield Examined("kafka", Finding("unknown", "topics, groups, disks and snapshots: not before Kafka answers"))
        return
    cluster = KafkaCluster(settings.kafka.connection(client_id="framecue-doctor"))
    stack.callback(cluster.close)
    delivery = settings.delivery
    skip_ms = delivery.skip_older_than_ms if delivery.catch_up == "skip_older_than" else None
    yield from examine(
        (
            Check("kafka", lambda: kafka.brokers(cluster, settings.kafka)),
            Check("topics", lambda: topics(settings)),
            Check("kafka", lambda: kafka.transactions(cluster, clock, settings.kafka)),
            Check("retention", lambda: kafka.outages(cluster, skip_older_than_ms=skip_ms)),
            Check("kafka disk", lambda: kafka.disks(cluster, clock)),
            Check("groups", lambda: kafka.groups(cluster, clock, kafka.readers(settings.notifier))),
            Check("snapshots", lambda: model.space(settings, broker)),
        )
    )


def topics(settings: Settings) -> Iterator[Finding]:
    """What differs from the table of topics."""
    found = check_topics(settings.kafka.connection())
    for one in found:
        yield Finding("error", f"{one.topic}: {one.wrong}", one.cure)
    if not found:
        yield fine("all topics are as the table says")
