"""What a deployment configures: `framecue.yaml` plus `FRAMECUE_*` variables, which win. Read here and nowhere else.

One frozen model per concern; units are in the names, bounds and reasons on the fields. A variable is the path to a
field, in capitals, joined by two underscores: `FRAMECUE_ANALYSIS__WINDOW_MS=2000`. The library's pure modules must not
know this file: they are handed plain values.

    python -m framecue.settings [--check] deploy/.env.example
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from framecue.analysis.settings import MachineSettings
from framecue.errors import SetupError
from framecue.media.sampling import Sampling
from framecue.schemas.base import exact_seconds
from framecue.schemas.event import Phase
from framecue.schemas.topics import FLEET_PARTITIONS, LOCAL_PARTITIONS

if TYPE_CHECKING:
    from framecue.broker.kafka.connection import KafkaConnection
    from framecue.broker.loop import LoopSettings
    from framecue.media.decoding import DecodeLimits
    from framecue.telemetry.setup import Reporting

PREFIX = "FRAMECUE_"
FILE = Path("framecue.yaml")
SETTLE_MARGIN_MS = 10_000
"""How much later than the lag text may still come: live captions are typed, sent and corrected within seconds."""


class Section(BaseModel):
    """One concern. Immutable; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AnalysisSettings(Section):
    """How the fold orders, windows, aligns and gives up waiting. Media time unless said otherwise."""

    window_ms: int = Field(2_000, ge=500, le=60_000, description="length of a window")
    reorder_ms: int = Field(10_000, ge=0, le=30_000, description="how late a segment may come and still count")
    max_gap_ms: int = Field(60_000, ge=1_000, le=3_600_000, description="a longer hole is a jump, not a gap")
    lag_ms: int = Field(0, ge=0, le=20_000, description="between what is said and its caption, where no header says it")
    settle_ms: int | None = Field(
        None,
        ge=0,
        le=30_000,
        description="how late text may come and still count; at least reorder_ms; empty: lag_ms + 10 s, at most 30 s",
    )
    signal_lost_ms: int = Field(10_000, ge=1_000, le=3_600_000, description="broker time without a segment")
    text_lost_ms: int = Field(60_000, ge=1_000, le=3_600_000, description="without a live or in-band cue")
    idle_ms: int = Field(300_000, ge=10_000, le=86_400_000, description="broker time without anything: epoch closes")
    caption_every_ms: int = Field(10_000, ge=1_000, le=3_600_000, description="at most one sentence in this long")

    @property
    def settles_after_ms(self) -> int:
        """`settle_ms`, or what follows from the lag and the reordering where it is not given."""
        if self.settle_ms is not None:
            return self.settle_ms
        return max(self.reorder_ms, min(self.lag_ms + SETTLE_MARGIN_MS, 30_000))

    def machine(self) -> MachineSettings:
        """The same as plain values, as the stream machine takes them."""
        given = self.model_dump(exclude={"settle_ms"})
        return MachineSettings(**given, settle_after_ms=self.settles_after_ms)

    @model_validator(mode="after")
    def _ordered(self) -> AnalysisSettings:
        if self.settle_ms is not None and self.settle_ms < self.reorder_ms:
            raise ValueError(f"settle_ms ({self.settle_ms}) must be at least reorder_ms ({self.reorder_ms})")
        if self.idle_ms < self.signal_lost_ms:
            raise ValueError(f"idle_ms ({self.idle_ms}) must be at least signal_lost_ms ({self.signal_lost_ms})")
        return self


Exact = Annotated[
    Fraction, BeforeValidator(lambda value: exact_seconds(str(value) if isinstance(value, float) else value))
]
"""A Fraction, that a person may also write as 2.5. (pydantic dumps a Fraction as text: hand on fields, not dumps.)"""


class SamplingSettings(Section):
    """Which frames are looked at."""

    mode: Literal["exact", "keyframes"] = Field(
        "exact", description="exact: the same frames however the stream is cut; keyframes: cheaper"
    )
    per_second: Exact = Field(Fraction(2), gt=0, le=30, description="frames looked at in a second of media time")
    short_side: int = Field(384, ge=64, le=2_160, description="px; smaller pictures are never enlarged")
    quality: int = Field(85, ge=30, le=100, description="of the JPEG pictures")

    def plan(self) -> Sampling:
        """The same as plain values, as decoders take them."""
        return Sampling(**dict(self))


class IngestSettings(Section):
    """The pool of decoders and what one segment may cost."""

    decoders: int = Field(2, ge=1, le=256, description="decoder processes of one worker")
    max_bytes: int = Field(16 << 20, ge=1 << 10, le=16 << 20, description="bytes of one segment; the topic's own limit")
    max_seconds: Exact = Field(Fraction(30), gt=0, le=120, description="s of media in one segment")
    max_pixels: int = Field(8192 * 4352, ge=1, le=1 << 28, description="px of one picture: 8K with its coded padding")
    max_frames: int = Field(7_200, ge=1, le=100_000, description="frames in one segment: 30 s at 240 a second")
    memory_bytes: int = Field(2 << 30, ge=256 << 20, le=64 << 30, description="bytes of address space of one decoder")
    cpu_seconds: float = Field(60, ge=1, le=600, description="s of CPU time for one segment")
    wall_seconds: float = Field(90, ge=1, le=900, description="s of wall time for one segment")

    def limits(self) -> DecodeLimits:
        """The bounds of one segment as plain values, as the pool of decoders takes them."""
        from framecue.media.decoding import DecodeLimits  # here, since it loads av, and settings are read by all

        return DecodeLimits(**{name: value for name, value in self if name != "decoders"})


class ModelSettings(Section):
    """Which model looks, and on what."""

    name: str = Field("default", min_length=1, description="a preset or the folder of a pulled model")
    lock: Path = Field(Path("models.lock"), description="file that pins what was pulled")
    deterministic: bool = Field(False, description="true: vectors equal to the bit from run to run, and slower")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")


class KafkaSettings(Section):
    """The broker."""

    bootstrap: str = Field("127.0.0.1:9092", min_length=3, description="host:port, or several with commas")
    prefix: str = Field("framecue.", pattern=r"^[A-Za-z0-9._-]*$", description="before every topic and group")
    partitions: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description=f"of each keyed topic, when topics are created; empty: {LOCAL_PARTITIONS} by `framecue up`, "
        f"{FLEET_PARTITIONS} elsewhere",
    )
    replication: int = Field(1, ge=1, le=9, description="copies of each partition, when topics are created")
    session_timeout_ms: int = Field(10_000, ge=6_000, le=300_000, description="silence after which a worker is dead")
    transaction_timeout_ms: int = Field(10_000, ge=1_000, le=60_000, description="the longest that one commit may take")
    connect_timeout_ms: int = Field(
        5_000, ge=500, le=60_000, description="how long a client that begins looks for a broker before it says so"
    )
    answer_timeout_ms: int = Field(10_000, ge=1_000, le=60_000, description="how long one question to it may take")
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how connections are secured: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str | None = Field(None, description="empty: none")
    sasl_password: SecretStr | None = Field(None, description="never logged")
    ssl_cafile: Path | None = Field(None, description="certificates to trust; empty: the system's")
    ssl_certfile: Path | None = Field(None, description="our own certificate, where the broker asks for one")
    ssl_keyfile: Path | None = Field(None, description="its key")

    def connection(self, client_id: str = "framecue") -> KafkaConnection:
        """Where the broker is as plain values, as clients take them; `client_id` is how the broker's logs name us."""
        from framecue.broker.kafka.connection import KafkaConnection  # here, since it loads the client

        given = {name: value for name, value in self if name not in ("partitions", "replication", "sasl_password")}
        password = None if self.sasl_password is None else self.sasl_password.get_secret_value()
        return KafkaConnection(**given, client_id=client_id, sasl_password=password)


class RedisSettings(Section):
    """The result store."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis://, or rediss:// for TLS; with user:password@ for ACL"
    )
    prefix: str = Field("framecue:", pattern=r"^[A-Za-z0-9:._-]*$", description="before every key")


class DeliverySettings(Section):
    """How workers read, commit, restore and catch up."""

    commit_every_ms: int = Field(100, ge=1, le=10_000, description="at most this long from done to committed")
    commit_bytes: int = Field(4 << 20, ge=1 << 16, le=256 << 20, description="or once so much is to be written")
    max_records: int = Field(32, ge=1, le=1_000, description="records of one batch")
    queue_bytes: int = Field(64 << 20, ge=1 << 20, le=4 << 30, description="read ahead; then partitions are paused")
    snapshot_every_ms: int = Field(10_000, ge=100, le=600_000, description="state of changed streams is kept")
    catch_up: Literal["all", "skip_older_than"] = Field(
        "all", description="after an outage. all: everything; skip_older_than: ingest leaves out what waited too long"
    )
    skip_older_than_ms: int = Field(600_000, ge=1_000, le=604_800_000, description="what is too long")

    def loop(self) -> LoopSettings:
        """The bounds of a delivery loop as plain values."""
        from framecue.broker.loop import LoopSettings  # here, since only services need it

        return LoopSettings(self.max_records, self.queue_bytes, self.commit_every_ms, self.commit_bytes)


class LocalSettings(Section):
    """The servers that `framecue up` starts on this machine."""

    folder: Path = Field(Path(".framecue"), description="data, logs and what is running")
    kafka_port: int = Field(9092, ge=1_024, le=65_534, description="on 127.0.0.1; its controller takes the next port")
    redis_port: int = Field(6379, ge=1_024, le=65_535, description="on 127.0.0.1")
    metrics_port: int = Field(
        9464, ge=1_024, le=65_500, description="of the first service; each further one takes the next, on 127.0.0.1"
    )


class RunSettings(Section):
    """One service process."""

    ready_file: Path | None = Field(None, description="file that is there while the service is ready; empty: none")


def _word(value: Any) -> Any:
    """YAML reads a bare `off` as false."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


class GatewaySettings(Section):
    """The HTTP API and the dashboard."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=1, le=65_535, description="the dashboard is at its /")
    auth: Annotated[Literal["on", "off"], BeforeValidator(_word)] = Field(
        "on", description="on: tokens of `framecue token create`; off: everybody may everything, on loopback only"
    )
    session_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="signs browser sessions, the same on every gateway; empty: new at each start, which ends them",
    )
    session_hours: float = Field(12, gt=0, le=720, description="h until a browser has to log in again")
    secure_cookie: bool = Field(False, description="true where browsers come by https, as behind a proxy with TLS")
    requests_per_second: float = Field(100, gt=0, le=100_000, description="of one token, or address without one")
    request_burst: int = Field(500, ge=1, le=1_000_000, description="requests at once before that holds")
    live_subscribers: int = Field(1_000, ge=1, le=100_000, description="connections to /v1/live at a time")
    live_per_caller: int = Field(
        200, ge=1, le=100_000, description="of those, of one token, or address without one; well below all of them"
    )
    live_queue_bytes: int = Field(1 << 20, ge=1 << 14, le=64 << 20, description="waiting for one; then it is dropped")
    picture_cache_bytes: int = Field(64 << 20, ge=1 << 20, le=16 << 30, description="pictures kept as they are shown")
    history_seconds: float = Field(20, gt=0, le=300, description="s that one look into the topics may take")


class PrivacySettings(Section):
    """What pictures show of people, wherever FrameCue shows one. Topics always hold raw pictures."""

    faces: Annotated[Literal["blur", "off"], BeforeValidator(_word)] = Field(
        "blur", description="blur, where framecue[privacy] is installed; off: as they are"
    )


class Webhook(Section):
    """Where events are delivered to by HTTP."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="of its group and metrics: keep it")
    url: str = Field(pattern=r"^https?://\S+$", max_length=2_000)
    secret: SecretStr = Field(
        min_length=16, description="signs each delivery; two with a space between while it is changed; never logged"
    )
    rules: tuple[str, ...] = Field(("*",), description="names or patterns of rules, such as goal or framecue.*")
    streams: str = Field("*", description="pattern of stream ids")
    phases: tuple[Phase, ...] = Field(("started", "updated", "ended", "retracted"), description="what of an event")
    max_age_ms: int = Field(3_600_000, ge=1_000, le=30 * 86_400_000, description="older events are not delivered")
    max_attempts: int = Field(20, ge=1, le=1_000, description="then it is a dead letter")
    timeout_ms: int = Field(10_000, ge=100, le=120_000, description="for one attempt")

    @property
    def group(self) -> str:
        """The group that reads events for it."""
        return f"notifier.{self.name}"

    @field_validator("url")
    @classmethod
    def _callable(cls, url: str) -> str:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise ValueError("names a user or password, which others would see; the signature says who calls")
        if not parts.hostname or parts.port == 0:
            raise ValueError("names no host, or a port that is none")
        return url


class NotifierSettings(Section):
    """Webhooks: events told to other systems by HTTP."""

    webhooks: tuple[Webhook, ...] = Field(
        (), description="JSON here, a list in framecue.yaml: name, url, secret, rules"
    )
    private_addresses: Annotated[Literal["refuse", "allow"], BeforeValidator(_word)] = Field(
        "refuse", description="allow: also to receivers inside the own network, and on this machine"
    )
    backoff_ms: int = Field(1_000, ge=10, le=60_000, description="before the second attempt; each further one doubles")
    backoff_max_ms: int = Field(60_000, ge=10, le=3_600_000, description="at most so long between two attempts")

    @model_validator(mode="after")
    def _distinct(self) -> NotifierSettings:
        names = [hook.name for hook in self.webhooks]
        if len(set(names)) < len(names):
            raise ValueError("two webhooks have the same name")
        if self.backoff_max_ms < self.backoff_ms:
            raise ValueError(f"backoff_max_ms ({self.backoff_max_ms}) must be at least backoff_ms ({self.backoff_ms})")
        return self


class TelemetrySettings(Section):
    """Metrics, traces and logs for operators."""

    metrics_port: int | None = Field(None, ge=1, le=65_535, description="Prometheus endpoint; empty: none")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address that endpoint listens on")
    otlp_endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="http://host:4317, by gRPC, for traces and metrics; empty: none"
    )
    sample_ratio: float = Field(1.0, ge=0, le=1, description="share of traces kept that begin here")
    export_every_ms: int = Field(10_000, ge=100, le=600_000, description="metrics by OTLP")
    stream_labels: int = Field(100, ge=0, le=10_000, description="so many streams have metrics of their own")
    logs: Literal["text", "json"] = Field("text", description="text for people; json, a line each, with trace ids")

    def reporting(
        self, service: str, *, slot: str, prometheus: Literal["with endpoint", "always", "never"] = "with endpoint"
    ) -> Reporting:
        """Where a process of `service` reports to, as plain values; "never" is for those that soon end."""
        from framecue.telemetry.setup import Reporting

        endpoint = None if self.metrics_port is None else (self.metrics_host, self.metrics_port)
        return Reporting(
            service,
            slot=slot,
            metrics_at=None if prometheus == "never" else endpoint,
            prometheus=prometheus,
            otlp_endpoint=self.otlp_endpoint,
            sample_ratio=self.sample_ratio,
            export_every_s=self.export_every_ms / 1000,
            stream_labels=self.stream_labels,
        )


class Settings(BaseSettings):
    """Everything a deployment configures."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    analysis: AnalysisSettings = AnalysisSettings()
    sampling: SamplingSettings = SamplingSettings()
    ingest: IngestSettings = IngestSettings()
    model: ModelSettings = ModelSettings()
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    delivery: DeliverySettings = DeliverySettings()
    local: LocalSettings = LocalSettings()
    run: RunSettings = RunSettings()
    gateway: GatewaySettings = GatewaySettings()
    privacy: PrivacySettings = PrivacySettings()
    notifier: NotifierSettings = NotifierSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    slot: str = Field(
        "0",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="which worker of its group this is; each of a group needs its own, the same after a restart",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables before the file, so that one machine can differ; nothing else is read."""
        if isinstance(env_settings, EnvSettingsSource):  # what is unknown is told, not a reason to know nothing
            known = {name.lower() for name in variables()}
            given = env_settings.env_vars
            env_settings.env_vars = {name: value for name, value in given.items() if name.lower() in known}
        return env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """The settings of this process, from `path` (else `framecue.yaml` here, if there is one) and the environment.

    Raises SetupError: a file that cannot be read, a name that does not exist (with the nearest one), a value out of
    bounds.
    """
    for sentence in unknown_variables():
        raise SetupError(sentence)
    return known_settings(path)


def known_settings(path: Path | None = None) -> Settings:
    """As `load_settings`, without a word on variables that do not exist: for who tells of them, and goes on."""
    given = _read(path or FILE) if path is not None or FILE.exists() else {}
    try:
        return Settings(**given)
    except ValidationError as e:
        raise SetupError(_explain(e)) from e
    except SettingsError as e:  # it names the section alone, and what it comes from quotes the value
        broken = [name for name in os.environ if name.upper() in variables() and _is_broken_list(name)]
        raise SetupError(f"{', '.join(broken)} must hold a list as JSON, such as [], and cannot be read as that") from e


def unknown_variables() -> tuple[str, ...]:
    """A sentence for each `FRAMECUE_*` variable of this process that sets nothing, with the nearest there is.

    pydantic-settings does not notice a misspelt variable: a typo would change nothing, silently.
    """
    known = variables()
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name.upper() not in known)
    nearest = {name: get_close_matches(name.upper(), known, n=1, cutoff=0)[0] for name in unknown}
    return tuple(f"there is no setting {name}; the nearest is {near}" for name, near in nearest.items())


def overlaid(settings: Settings, asked: Mapping[str, Mapping[str, Any]]) -> Settings:
    """`settings` with the values of `asked` on top, by section; raises SetupError for one out of bounds."""
    sections = {}
    for name, values in asked.items():
        section = getattr(settings, name)
        try:
            sections[name] = type(section).model_validate({**dict(section), **values})
        except ValidationError as e:
            raise SetupError(_explain(e, section=name)) from e
    return settings.model_copy(update=sections)


def variables() -> dict[str, FieldInfo]:
    """Every `FRAMECUE_*` variable there is, with the field it sets."""
    return _plain() | {
        f"{PREFIX}{section}__{name}".upper(): field
        for section, model in _sections()
        for name, field in model.model_fields.items()
    }


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that this one starts: its own, with `changes`."""
    return {**os.environ, **changes}


def env_example() -> str:
    """The text of `deploy/.env.example`: every variable with its default, meaning and bounds."""
    lines = [
        "# Every setting with its default. Generated by `make schemas`. FrameCue reads variables and no such file:",
        "# take the # away in a copy where you want another value, and load it with `set -a; . COPY; set +a`.",
    ]
    lines += [line for name, field in _plain().items() for line in ("", *_example(name, field))]
    for section, model in _sections():
        lines += ["", f"# {section}: {(model.__doc__ or '').splitlines()[0]}"]
        for name, field in model.model_fields.items():
            lines += _example(f"{PREFIX}{section}__{name}".upper(), field)
    return "\n".join(lines) + "\n"


def _example(variable: str, field: FieldInfo) -> tuple[str, str]:
    bounds = _bounds(field)
    return f"# {field.description}{f' ({bounds})' if bounds else ''}", f"#{variable}={_as_written(field.default)}"


def _plain() -> dict[str, FieldInfo]:
    """The variables of fields that stand in no section."""
    sections = dict(_sections())
    return {f"{PREFIX}{name}".upper(): f for name, f in Settings.model_fields.items() if name not in sections}


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def _as_written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return "[]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(field: FieldInfo) -> str:
    signs = {Ge: ("from", "ge"), Gt: ("above", "gt"), Le: ("to", "le"), Lt: ("below", "lt")}
    words = [f"{signs[type(m)][0]} {getattr(m, signs[type(m)][1])}" for m in field.metadata if type(m) in signs]
    return " ".join(words)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as e:  # in words of its own: the error quotes the line, which may hold a secret
        where = "" if e.problem_mark is None else f" in line {e.problem_mark.line + 1}"
        raise SetupError(f"the settings file {path} cannot be read: {e.problem}{where}") from e
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
        raise SetupError(f"the settings file {path} cannot be read: {e}") from e
    if not isinstance(value or {}, dict):
        raise SetupError(
            f"the settings file {path} must hold sections such as `analysis:`, not a {type(value).__name__}"
        )
    return {str(name): section for name, section in (value or {}).items()}


def _is_broken_list(name: str) -> bool:
    """Whether this variable holds a list that is no JSON."""
    if not isinstance(variables()[name.upper()].default, tuple):
        return False
    try:
        json.loads(os.environ[name])
    except ValueError:
        return True
    return False


def _explain(e: ValidationError, *, section: str | None = None) -> str:
    first = e.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in (section, *first["loc"]) if part is not None]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        paths = {".".join(n.removeprefix(PREFIX).lower().split("__", 1)): n for n in variables()}
        nearest = get_close_matches(where, [*paths, *Settings.model_fields], n=1, cutoff=0)[0]
        return f"there is no setting {where}; the nearest is {nearest}"
    variable = PREFIX + "__".join(path[:2]).upper()
    return f"the setting {where} ({variable}): {first['msg'].removeprefix('Value error, ')}"


def main(arguments: list[str]) -> int:
    """Writes or, after `--check`, compares the file named last; 1 where it is not current."""
    target = Path(arguments[-1])
    if arguments[0] == "--check":
        if target.is_file() and target.read_text() == env_example():
            return 0
        sys.stderr.write(f"{target} is not current; run `make schemas`\n")
        return 1
    target.write_text(env_example())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
