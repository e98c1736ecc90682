"""Commands for people who run FrameCue: `rules`, `topics`, `deadletters`, `redis`, `forget`, `doctor`."""

from __future__ import annotations

import typer

commands = typer.Typer()
