"""Commands for people who push and watch streams: `push`, `say`, `watch`, `latest`, `history`.

They must never load torch, transformers or (but for `push`) av.
"""

from __future__ import annotations

import typer

commands = typer.Typer()
