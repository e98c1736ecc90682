"""What `framecue up` and `framecue down` print: progress for people, plain lines when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from framecue.settings import KafkaSettings, RedisSettings, Settings, load_settings
from framecue_services.cli.local.deployment import Deployment, Started
from framecue_services.cli.local.server import HOST, Server, StartError
from framecue_services.cli.local.service import GATEWAY
from framecue_services.cli.wording import clean

WIDTH = 11


def run_up(services: Sequence[str] | None = None) -> None:
    """Starts what does not run yet, and prints where everything is; raises SetupError with what to do."""
    console = plain_console()
    deployment, started = bring_up(console, services)
    introduce(console, deployment, started)
    console.print("\nnext: framecue push FILE --stream NAME · framecue watch · framecue latest NAME")
    console.print("stop: framecue down")


def bring_up(console: Console, services: Sequence[str] | None = None) -> tuple[Deployment, Started]:
    """Starts what does not run yet, telling it on `console`; raises SetupError with what to do."""
    deployment = Deployment(load_settings())
    with telling(console) as progress, _log_shown():
        started = deployment.start(progress, services)
    if started.already:
        console.print(f"{'running':<{WIDTH}}{', '.join(started.already)} (from before)")
    return deployment, started


def run_down() -> None:
    """Ends what runs, and prints it; its data and logs stay."""
    console = plain_console()
    deployment = Deployment(load_settings())
    with telling(console) as progress:
        ended = deployment.stop(progress)
    console.print(f"ended {', '.join(ended)}" if ended else f"nothing runs that was started in {deployment.folder}")


def run_purge() -> None:
    """Deletes the data and logs of what has ended, and says so."""
    deployment = Deployment(load_settings())
    deployment.purge()
    plain_console().print(f"deleted data and logs in {deployment.folder}")


def plain_console() -> Console:
    """A console that colours nothing by itself and breaks no line: addresses and commands are there to be copied."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def telling(console: Console) -> Iterator[Telling]:
    """A Progress that shows on `console` what takes a while, and a line for each server as it is ready."""
    with console.status("") as status:
        yield Telling(console, status)


@contextmanager
def _log_shown() -> Iterator[None]:
    """Prints on stderr how the log of a process ends that did not come up; what is to be done follows from it."""
    try:
        yield
    except StartError as e:
        for line in e.last_lines:
            print(f"  {clean(line)}", file=sys.stderr)
        raise


class Telling:
    """See `telling`."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console, self._status = console, status

    def doing(self, what: str) -> None:
        if self._console.is_terminal:
            self._status.update(what)
        else:
            self._console.print(what)

    def ready(self, server: Server) -> None:
        self._console.print(f"{server.name:<{WIDTH}}ready, process {server.pid}")


def introduce(console: Console, deployment: Deployment, started: Started) -> None:
    """Prints the addresses, and the variables by which other commands find them where they are not the usual ones."""
    settings = started.settings
    bootstrap, url = settings.kafka.bootstrap, settings.redis.url.get_secret_value()
    for what, where in (("Kafka", bootstrap), ("Redis", url), ("logs", str(deployment.logs))):
        console.print(f"{what:<{WIDTH}}{where}")
    if GATEWAY in (*started.new, *started.already):
        console.print(f"{'dashboard':<{WIDTH}}{dashboard(settings)}{_who_may(settings)}")
    given = []
    if bootstrap != KafkaSettings().bootstrap:
        given.append(f"FRAMECUE_KAFKA__BOOTSTRAP={bootstrap}")
    if url != RedisSettings().url.get_secret_value():
        given.append(f"FRAMECUE_REDIS__URL={url}")
    if given:
        console.print(f"\nso that other commands find them: export {' '.join(given)}")


def dashboard(settings: Settings) -> str:
    """The address of the page, as a browser on this machine reaches it."""
    return f"http://{HOST}:{settings.gateway.port}/"


def _who_may(settings: Settings) -> str:
    return "" if settings.gateway.auth == "off" else "  (log in with a token of `framecue token create NAME`)"
