"""Everything that `framecue up` starts and `framecue down` ends: two servers, then the services over them.

Knows the order and who is told what. How each is started is its own affair; what is printed is the caller's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from framecue.errors import SetupError
from framecue.models import lock
from framecue.schemas.topics import LOCAL_PARTITIONS
from framecue.settings import (
    GatewaySettings,
    KafkaSettings,
    LocalSettings,
    ModelSettings,
    RedisSettings,
    Settings,
    overlaid,
)
from framecue_services.cli import connecting
from framecue_services.cli.local.kafka_server import KafkaServer
from framecue_services.cli.local.processes import Process
from framecue_services.cli.local.redis_server import RedisServer
from framecue_services.cli.local.server import HOST, STOP_SECONDS, Server, await_ready, taken
from framecue_services.cli.local.service import GATEWAY, Service, metrics_port, services_of
from framecue_services.cli.local.state import State, forget, read_state, sole_use, write_state
from framecue_services.cli.rules import apply_default_rules

_LOCALHOSTS = (HOST, "localhost")
_OURS = ("kafka", "redis", "logs", "ready")
"""The folders below the local one. Nothing else in there is ours to delete."""


class Progress(Protocol):
    """Is told what happens, while somebody waits."""

    def doing(self, what: str) -> None:
        """`what` begins, and takes a while."""
        ...

    def ready(self, server: Server) -> None:
        """The server answers."""
        ...


@dataclass(frozen=True)
class Started:
    """What runs now. `settings` are the caller's, with the addresses of these servers."""

    settings: Settings
    new: tuple[str, ...]
    already: tuple[str, ...]


class Deployment:
    """The servers and services whose data, logs and state are in the folder that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = local_settings(settings)
        self._local = settings.local
        self.folder = settings.local.folder
        self.logs = self.folder / "logs"

    def start(self, progress: Progress, services: Sequence[str] | None = None) -> Started:
        """Starts what does not run yet, all services where none are named, and returns when all of it is ready.

        Raises SetupError with what to do; what this call had started is ended again then.
        """
        names = services_of(self._settings) if services is None else services
        with sole_use(self.folder):
            state = read_state(self.folder)
            servers = self._servers(state)
            everything = [*servers, *(self._service(name, state.processes.get(name)) for name in names)]
            already = tuple(one.name for one in everything if one.running)
            with self._undone_on_failure(everything, already):
                self._bring_up(servers, progress)
                progress.doing("creating topics")
                create_topics(self._settings)
                if names:
                    pin_model(self._settings.model)
                    put_rules_in_force(self._settings)
                self._bring_up(everything[len(servers) :], progress)
        return Started(self._settings, tuple(one.name for one in everything if one.name not in already), already)

    def stop(self, progress: Progress) -> tuple[str, ...]:
        """Ends all that runs, services first, and gives back their names. Data and logs stay."""
        if not self.folder.is_dir():
            return ()
        with sole_use(self.folder):
            running = read_state(self.folder).processes
            names = tuple(running)
            servers = {KafkaServer.name, RedisServer.name}
            for group in (set(running) - servers, servers & set(running)):
                if group:
                    progress.doing(f"ending {', '.join(name for name in names if name in group)}")
                    self._end({name: running[name] for name in group})
        return names

    def purge(self) -> None:
        """Deletes data and logs; to be called when nothing runs."""
        if not self.folder.is_dir():
            return
        with sole_use(self.folder):
            for name in _OURS:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            forget(self.folder)

    def _servers(self, state: State) -> list[Server]:
        kafka = KafkaServer(
            self.folder / "kafka",
            self._local.kafka_port,
            log=self.logs / "kafka.log",
            process=state.processes.get(KafkaServer.name),
        )
        redis = RedisServer(
            self.folder / "redis",
            self._local.redis_port,
            log=self.logs / "redis.log",
            process=state.processes.get(RedisServer.name),
        )
        ports = (self._local.kafka_port, self._local.kafka_port + 1)
        self._check_port(kafka, ports, "kafka_port", state.kafka_port)
        self._check_port(redis, (self._local.redis_port,), "redis_port", state.redis_port)
        return [kafka, redis]

    def _check_port(self, server: Server, ports: Sequence[int], field: str, running_on: int | None) -> None:
        if server.running:
            if running_on != ports[0]:
                raise SetupError(
                    f"{server.name} runs on port {running_on}; run `framecue down` before it can move to {ports[0]}"
                )
            return
        for port in ports:
            check_free(port, server.name, f"FRAMECUE_LOCAL__{field.upper()}")

    def _service(self, name: str, process: Process | None) -> Service:
        settings, port = self._settings, metrics_port(name, self._settings)
        variables = {
            "FRAMECUE_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
            "FRAMECUE_REDIS__URL": settings.redis.url.get_secret_value(),
            "FRAMECUE_GATEWAY__AUTH": settings.gateway.auth,
            "FRAMECUE_TELEMETRY__METRICS_PORT": str(port),
        }
        service = Service(name, self.logs, self.folder / "ready", variables=variables, process=process)
        if not service.running:
            check_free(port, f"{name}'s metrics", "FRAMECUE_LOCAL__METRICS_PORT")
            if name == GATEWAY:
                check_free(settings.gateway.port, name, "FRAMECUE_GATEWAY__PORT")
        return service

    def _bring_up(self, servers: Sequence[Server], progress: Progress) -> None:
        new = [server for server in servers if not server.running]
        for server in new:
            progress.doing(server.starting)
            server.launch()
            self._note({server.name: server.process})
        if new:
            progress.doing(f"waiting for {', '.join(server.name for server in new)}")
        await_ready(servers, ready=lambda server: progress.ready(server) if server in new else None)

    @contextmanager
    def _undone_on_failure(self, everything: Sequence[Server], already: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._end({one.name: one.process for one in reversed(everything) if one.name not in already})
            raise

    def _end(self, processes: Mapping[str, Process | None]) -> None:
        for process in processes.values():
            if process is not None:
                process.ask_to_stop()
        for process in processes.values():
            if process is not None:
                process.stop(within_s=STOP_SECONDS)
        self._note(dict.fromkeys(processes))

    def _note(self, changed: Mapping[str, Process | None]) -> None:
        """Keeps who runs now, so that the next command finds them even if this one is killed."""
        processes = {**read_state(self.folder).processes, **changed}
        alive = {name: process for name, process in processes.items() if process is not None}
        ports = {"kafka_port": self._local.kafka_port, "redis_port": self._local.redis_port}
        write_state(self.folder, State(processes=alive, **ports))


def local_settings(settings: Settings) -> Settings:
    """`settings` with the addresses of this machine's servers; raises SetupError where they name others."""
    local = settings.local
    if local.redis_port in (local.kafka_port, local.kafka_port + 1):
        raise SetupError(
            f"FRAMECUE_LOCAL__REDIS_PORT is {local.redis_port}, but Kafka takes {local.kafka_port} and the next; "
            "set it to another port"
        )
    return overlaid(
        settings,
        {
            "kafka": {"bootstrap": _bootstrap(settings.kafka, local)},
            "redis": {"url": _url(settings.redis, local)},
            "gateway": {"auth": _auth(settings.gateway)},
        },
    )


def _auth(gateway: GatewaySettings) -> str:
    """Whoever is on this machine may look without a token, where nothing else was said."""
    is_ours = gateway.host in _LOCALHOSTS and "auth" not in gateway.model_fields_set
    return "off" if is_ours else gateway.auth


def check_free(port: int, needs: str, variable: str) -> None:
    """Raises SetupError where a program listens on this port of 127.0.0.1."""
    if taken(port):
        raise SetupError(
            f"port {port} of {HOST}, which {needs} needs, is in use by another program; "
            f"end that, or set {variable} to a free port"
        )


def _bootstrap(kafka: KafkaSettings, local: LocalSettings) -> str:
    ours = f"{HOST}:{local.kafka_port}"
    if kafka.security != "PLAINTEXT":
        raise SetupError(
            f"`framecue up` starts a Kafka without {kafka.security}; unset FRAMECUE_KAFKA__SECURITY, or start the "
            "services for your own Kafka with `framecue run`"
        )
    if kafka.bootstrap in (KafkaSettings().bootstrap, *(f"{host}:{local.kafka_port}" for host in _LOCALHOSTS)):
        return ours
    raise SetupError(
        f"the settings name a Kafka of yours, {kafka.bootstrap}, but `framecue up` starts one on {ours}; unset "
        "FRAMECUE_KAFKA__BOOTSTRAP, or start the services with `framecue run`"
    )


def _url(redis: RedisSettings, local: LocalSettings) -> str:
    given = redis.url.get_secret_value()
    if given == RedisSettings().url.get_secret_value():
        return f"redis://{HOST}:{local.redis_port}/0"
    parts = urlsplit(given)
    if parts.scheme == "redis" and parts.netloc in [f"{host}:{local.redis_port}" for host in _LOCALHOSTS]:
        return given
    raise SetupError(
        f"the settings name a Redis of yours, but `framecue up` starts one on {HOST}:{local.redis_port}; unset "
        "FRAMECUE_REDIS__URL, or start the services with `framecue run`"
    )


def create_topics(settings: Settings) -> None:
    """Creates the topics that are not there yet; raises a FrameCueError where the broker refuses."""
    from framecue.broker.kafka import topics as kafka_topics  # here, since it loads the client

    kafka = settings.kafka
    partitions = kafka.partitions or LOCAL_PARTITIONS
    kafka_topics.create_topics(kafka.connection(), partitions=partitions, replication=kafka.replication)


def put_rules_in_force(settings: Settings) -> None:
    """Applies the shipped rules where none ever were, so that the first stream already has scenes."""
    with connecting.broker(settings) as broker:
        apply_default_rules(broker)


def pin_model(model: ModelSettings) -> None:
    """Pins a preset where nothing is pinned yet, since workers load what is pinned; raises SetupError."""
    if model.name in lock.PRESETS and not model.lock.exists():
        lock.pull(model.name, model.lock)
