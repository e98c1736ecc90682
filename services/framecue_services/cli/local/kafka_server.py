"""One Apache Kafka on this machine: KRaft, a single node, reachable on 127.0.0.1 only.

It must not know our topics. Why each setting stands here: a single node keeps one copy of everything; short clean-up
intervals let readers past a killed worker's transaction; a short session lets a killed broker come back at once;
limits are those of the topic table.
"""

from __future__ import annotations

import base64
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from framecue.errors import SetupError
from framecue.schemas.topics import DEADLETTER_MAX_BYTES
from framecue.settings import child_environment
from framecue_services.cli.local.java import KAFKA, find_java, has_jars, kafka_jars
from framecue_services.cli.local.processes import Process
from framecue_services.cli.local.server import HOST, Server, ask

HEAP = ("-Xms96m", "-Xmx512m", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a Java that works for a second: to compile well costs more than it gives."""
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A request that every broker answers, also before it knows who asks: its length, key 18, version 0, id 1, no name."""
FORMAT_SECONDS = 120
LOCALE = {"LC_ALL": "C.UTF-8"}
"""Without a locale, Java finds no folder with an umlaut in its name."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={data}
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes={limit}
replica.fetch.max.bytes={limit}
num.network.threads=2
num.io.threads=4
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
"""
_LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
"""


class KafkaServer(Server):
    """A broker with its data, configuration and log below `folder`; its controller takes the port after `port`."""

    name = "Kafka"

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        cache: Path | None = None,
        log: Path | None = None,
        process: Process | None = None,
    ) -> None:
        super().__init__(log or folder / "kafka.log", process)
        self.folder, self.port = folder, port
        self._cache = cache

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def starting(self) -> str:
        fetched = has_jars(self._cache)
        return super().starting if fetched else f"fetching Kafka {KAFKA} (43 MB, only this once)"

    def prepare(self) -> Sequence[str]:
        java, classes = find_java(), str(kafka_jars(self._cache) / "*")
        properties, logging = self._configure()
        configured = (f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", classes)
        if not (self._data / "meta.properties").exists():
            self._format((str(java), *BRIEF, *configured, "kafka.tools.StorageTool"), properties)
            self._formatted_by.write_text(KAFKA)
        else:
            self._check_version()
        crash = f"-XX:ErrorFile={self.folder.resolve() / 'crash.log'}"
        return (str(java), *HEAP, crash, *configured, "kafka.Kafka", str(properties))

    def environment(self) -> Mapping[str, str]:
        return child_environment(LOCALE)

    def properties(self) -> str:
        """The broker's configuration; raises SetupError where the folder's name cannot stand in it."""
        data = _escaped(self._data)
        return _PROPERTIES.format(
            host=HOST, port=self.port, controller=self.port + 1, data=data, limit=DEADLETTER_MAX_BYTES
        )

    def answers(self) -> bool:
        return ask(self.port, API_VERSIONS, 10)[4:10] == b"\0\0\0\1\0\0"

    @property
    def _data(self) -> Path:
        return self.folder.resolve() / "data"

    @property
    def _formatted_by(self) -> Path:
        """Holds the version of the Kafka that made the data: an older one cannot read it."""
        return self.folder.resolve() / "formatted-by"

    def _check_version(self) -> None:
        """Raises SetupError where the data is of a newer Kafka; that of before versions were noted is."""
        found = self._formatted_by.read_text().strip() if self._formatted_by.exists() else "4.4.0"
        if _numbers(found) > _numbers(KAFKA):
            raise SetupError(
                f"the data in {self._data} was made by Kafka {found}, which {KAFKA} cannot read; delete {self.folder} "
                "to begin anew (what its topics hold is lost), or set FRAMECUE_LOCAL__FOLDER to another folder"
            )

    def _configure(self) -> tuple[Path, Path]:
        """The files that hold the broker's settings and its logger's, written anew: a port may have changed."""
        properties, logging = self.folder.resolve() / "server.properties", self.folder.resolve() / "log4j2.properties"
        self.folder.mkdir(parents=True, exist_ok=True)
        properties.write_text(self.properties())
        logging.write_text(_LOGGING)
        return properties, logging

    def _format(self, tool: Sequence[str], properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = (*tool, "format", "--standalone", f"--cluster-id={cluster}", "-c", str(properties))
        try:
            subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, check=True, timeout=FORMAT_SECONDS, env=self.environment()
            )
        except subprocess.CalledProcessError as e:
            said = (e.stderr or e.stdout).strip().splitlines()
            raise SetupError(f"Kafka cannot use the folder {self._data}: {said[-1] if said else e}") from e


def _escaped(path: Path) -> str:
    """A path as a file of Java properties holds it: ASCII, since that is how they are read."""
    if "," in str(path):
        raise SetupError(
            f"Kafka takes no folder with a comma in its name: {path}; set FRAMECUE_LOCAL__FOLDER to another"
        )
    units = str(path).encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 < code < 0x7F and code != 0x5C else f"\\u{code:04x}" for code in codes)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
