"""Commands that start and stop things: `up`, `down`, `run`."""

from __future__ import annotations

from typing import Annotated

import typer

commands = typer.Typer()


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
