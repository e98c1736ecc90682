"""Commands that start and stop things: `up`, `down`, `run`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

commands = typer.Typer()


class ServiceName(StrEnum):
    """What `framecue run` runs."""

    INGEST = "ingest"
    FUSION = "fusion"
    CAPTIONER = "captioner"
    PROJECTOR = "projector"
    GATEWAY = "gateway"
    NOTIFIER = "notifier"


@commands.command()
def run(
    service: Annotated[
        ServiceName,
        typer.Argument(
            metavar="SERVICE",
            help="One of ingest, fusion, captioner, projector, gateway, notifier.",
            show_default=False,
        ),
    ],
    adopt_model: Annotated[
        bool,
        typer.Option(
            "--adopt-model",
            help="fusion only: go on with streams that another model watched; what is open of them is closed.",
        ),
    ] = False,
) -> None:
    """Run one service in this process, until SIGTERM or Ctrl-C: what `up`, Docker and fleets start.

    Settings come from framecue.yaml and FRAMECUE_* variables. Several workers of one service share its work; each
    needs a FRAMECUE_SLOT of its own.
    """
    from importlib import import_module

    from framecue.settings import load_settings
    from framecue_services.hosting import log_to_stderr

    if adopt_model and service is not ServiceName.FUSION:
        raise typer.BadParameter("only fusion adopts a model", param_hint="--adopt-model")
    settings = load_settings()
    log_to_stderr(settings.telemetry.logs, service=service.value, slot=settings.slot)
    adopting = {"other_space": "adopt"} if adopt_model else {}
    import_module(f"framecue_services.{service.value}.__main__").run(settings, **adopting)


@commands.command()
def up(
    servers_only: Annotated[
        bool, typer.Option("--servers-only", help="Kafka and Redis and the topics; none of the services.")
    ] = False,
) -> None:
    """Start Kafka, Redis and the services on this machine: no Docker, no root, no Java needed.

    What runs already is left alone, so it is safe to run twice. Everything listens on 127.0.0.1 only.
    """
    from framecue_services.cli.local.terminal import run_up

    if servers_only:
        run_up(services=())
    else:
        run_up()


@commands.command()
def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete the data and logs, all topics with them.")
    ] = False,
) -> None:
    """End everything that `framecue up` started here; the data stays."""
    from framecue_services.cli.local.terminal import run_down, run_purge

    run_down()
    if purge:
        run_purge()
