"""Commands for people who run FrameCue: `rules`, `topics`, `deadletters`, `redis`, `token`, `forget`, `doctor`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_SHOWN = 50

commands = typer.Typer()
rules = typer.Typer(no_args_is_help=True, help="Say what to look for, and see what is looked for.")
topics = typer.Typer(no_args_is_help=True, help="Make and check the topics on the broker.")
deadletters = typer.Typer(no_args_is_help=True, help="See what could not be used, and put it back.")
redis = typer.Typer(no_args_is_help=True, help="Make what Redis shows again.")
token = typer.Typer(no_args_is_help=True, help="Say who may use the gateway.", rich_markup_mode="rich")
for _name, _group in (
    ("rules", rules), ("topics", topics), ("deadletters", deadletters), ("redis", redis), ("token", token),
):  # fmt: skip
    commands.add_typer(_group, name=_name, rich_help_panel="Commands")


class TokenScope(StrEnum):
    """What a token may do; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


Since = Annotated[str, typer.Option(metavar="TIME", help="So long ago (90s, 1h, 2d), an RFC 3339 time, or oldest.")]
Stage = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only of this stage: ingest, fusion, …", show_default="all")
]
Streams = Annotated[
    str | None, typer.Option("--stream", metavar="PATTERN", help="Only of these streams.", show_default="all")
]
Letter = Annotated[str, typer.Argument(metavar="ID", help="As `deadletters list` shows it: partition/offset.")]


@rules.command(
    "apply",
    epilog="[bold]Examples[/bold]\n\nframecue rules apply rules.yaml\n\nframecue rules apply --default-if-none",
)
def apply_rules(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Scenes and events, in words (YAML).", show_default=False)
    ] = None,
    default_if_none: Annotated[
        bool, typer.Option("--default-if-none", help="Instead of a file: everyday scenes, unless rules are in force.")
    ] = False,
) -> None:
    """Check a rules file and put it in force, on every worker alike.

    What was in force before is replaced; the differences are said. An error points at its line and changes nothing.
    """
    if (file is None) == (not default_if_none):
        raise typer.BadParameter("give a FILE, or --default-if-none", param_hint="FILE")
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.rules import run_apply, run_apply_default
    from framecue_services.cli.rules_file import read_rules

    settings = load_settings()
    rules = None if file is None else read_rules(file)  # what is wrong here is said before a broker is looked for
    with connecting.broker(settings) as broker:
        if rules is None:
            run_apply_default(broker)
        else:
            run_apply(rules, broker, settings=settings)


@rules.command("show", epilog="[bold]Examples[/bold]\n\nframecue rules show --stream cam1 > cam1.yaml")
def show_rules(
    stream: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what concerns this stream.", show_default="all rules")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON instead of a rules file.")] = False,
) -> None:
    """Print the rules in force, as a rules file, and since when they are."""
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.rules import run_show

    with connecting.broker(load_settings()) as broker:
        run_show(broker, stream=stream, form="json" if as_json else "yaml")


@topics.command("create")
def create_topics(
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="N", help="Of each keyed topic; fixed from then on.", show_default="64"),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=9, metavar="N", help="Copies of each partition.", show_default="1")
    ] = None,
) -> None:
    """Make the topics that are missing; what is there stays as it is.

    The defaults are the settings kafka.partitions and kafka.replication.
    """
    from framecue.settings import load_settings
    from framecue_services.cli.topics import run_create

    raise typer.Exit(run_create(load_settings().kafka, partitions=partitions, replication=replication))


@topics.command("check")
def check_topics() -> None:
    """Compare the topics with what they should be: partitions, timestamps, sizes, retention.

    Each difference comes with its cure. Exit codes: 0 all as it should be, 1 something differs.
    """
    from framecue.settings import load_settings
    from framecue_services.cli.topics import run_check

    raise typer.Exit(run_check(load_settings().kafka))


@deadletters.command(
    "list",
    epilog="[bold]Examples[/bold]\n\nframecue deadletters list --since 1h --stage ingest\n\n"
    "framecue deadletters list --stream 'cam*' --since oldest | cut -f1,6",
)
def list_letters(
    since: Since = "24h",
    stage: Stage = None,
    stream: Streams = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="The newest of them.")] = _SHOWN,
) -> None:
    """List what could not be used: when, which stream, why, and where it came from.

    A table on a terminal; in a pipe one line each, with tabs between the columns.
    """
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.deadletters import run_list, wanted

    chosen = wanted(since, stage=stage, streams=stream)
    with connecting.broker(load_settings()) as broker:
        run_list(broker, chosen, last=last)


@deadletters.command("show")
def show_letter(
    letter: Letter,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the original bytes.", show_default=False)
    ] = None,
) -> None:
    """Say all about one: the reason, its headers, and what to do."""
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.deadletters import run_show

    with connecting.broker(load_settings()) as broker:
        run_show(broker, letter, output=output)


@deadletters.command(
    "requeue",
    epilog="[bold]Examples[/bold]\n\nframecue deadletters requeue 3/17 3/18\n\n"
    "framecue deadletters requeue --all --stage ingest --since 2h",
)
def requeue_letters(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="As `deadletters list` shows them.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Instead of IDs: all that fit the options.")] = False,
    since: Since = "24h",
    stage: Stage = None,
    stream: Streams = None,
) -> None:
    """Put letters back on the topics they came from, once what was wrong is mended.

    Bytes and headers are the original ones. Events that a webhook did not take are delivered to it, once each.
    Exit codes: 0 all went back, 1 some have no way back.
    """
    if bool(letters) == everything:
        raise typer.BadParameter("give IDs, or --all", param_hint="ID…")
    from framecue.clock import SystemClock
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.deadletters import dead_letters, letters_named, run_requeue, wanted
    from framecue_services.cli.redelivery import Redelivery

    chosen, settings = wanted(since, stage=stage, streams=stream), load_settings()
    bring = Redelivery(settings.notifier, clock=SystemClock()).bring
    with connecting.broker(settings) as broker:
        found = letters_named(broker, letters) if letters else dead_letters(broker, chosen)
        raise typer.Exit(run_requeue(broker, found, bring=bring))


@commands.command()
def forget(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End what is known of a stream: its run, its state, and all of it in Redis.

    Kafka keeps what was written until it expires; which topics, and how long, is said.
    """
    from framecue.errors import SetupError

    if not yes:
        if not sys.stdin.isatty():
            raise SetupError(f"nobody can be asked whether to forget {stream}; say --yes")
        typer.confirm(f"Forget all about {stream}?", abort=True)
    from framecue.broker.kafka.cluster import KafkaCluster
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.forget import run_forget

    settings = load_settings()
    cluster = KafkaCluster(settings.kafka.connection())
    try:
        with connecting.broker(settings) as broker, connecting.store(settings) as store:
            kept_ms = cluster.retention_ms()
            raise typer.Exit(run_forget(broker, store, stream, progress=cluster.committed, retention_ms=kept_ms))
    finally:
        cluster.close()


@commands.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Look at all that FrameCue stands on, and name a cure for what is wrong.

    Settings, packages, decoders, the model, Kafka with its topics, limits, disks and groups, Redis. Changes nothing.

    Exit codes: 0 it can work, 1 something keeps it from working.
    """
    from framecue_services.cli.doctor.running import run_doctor

    raise typer.Exit(run_doctor(form="json" if as_json else "text"))


@token.command(
    "create",
    epilog="[bold]Examples[/bold]\n\nframecue token create wallboard --streams '*' --expires 90d\n\n"
    "framecue token create lab --scope write --streams 'lab-*' --streams 'kitchen' > lab.token",
)
def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for; feedback is signed with it.")],
    streams: Annotated[
        list[str],
        typer.Option(
            metavar="PATTERN",
            help="The streams it sees, such as 'lab-*'; may be given more than once.",
            show_default=False,
        ),
    ],
    scope: Annotated[
        TokenScope, typer.Option(help="read; write: also text and feedback; admin: also the rules.")
    ] = TokenScope.READ,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="So long from now (12h, 30d), or an RFC 3339 time.", show_default="never"),
    ] = None,
) -> None:
    """Make a token for the gateway, and print it: this once, on stdout.

    Send it as [bold]Authorization: Bearer fc_…[/bold], or log in with it on the dashboard. What is kept of it is a
    hash.
    """
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.token import run_create

    with connecting.broker(load_settings()) as broker:
        run_create(broker, name, scope=scope.value, streams=streams, expires=expires)


@token.command("list")
def list_tokens() -> None:
    """List all tokens: what each may do, on which streams, and until when. Secrets are not known.

    A table on a terminal; in a pipe one line each, with tabs between the columns.
    """
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.token import run_list

    with connecting.broker(load_settings()) as broker:
        run_list(broker)


@token.command("revoke")
def revoke_token(
    named: Annotated[str, typer.Argument(metavar="ID|NAME", help="As `token list` shows it.")],
) -> None:
    """End a token: within two seconds no gateway lets it in, its sessions end, and so do its live connections."""
    from framecue.settings import load_settings
    from framecue_services.cli import connecting
    from framecue_services.cli.token import run_revoke

    with connecting.broker(load_settings()) as broker:
        run_revoke(broker, named)


@redis.command("rebuild")
def rebuild_redis(
    flush: Annotated[
        bool, typer.Option("--flush", help="Delete FrameCue's keys first: after an update, or where keys are damaged.")
    ] = False,
) -> None:
    """Put the results of the topics into Redis again.

    For a Redis that was emptied or replaced. The projector may go on beside it: what is newer stays.
    """
    from framecue_services.cli.rebuild import rebuild_view

    rebuild_view(before="delete" if flush else "keep")
