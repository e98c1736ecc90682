"""Commands that start and stop things: `up`, `down`, `run`."""

from __future__ import annotations

import typer

commands = typer.Typer()
