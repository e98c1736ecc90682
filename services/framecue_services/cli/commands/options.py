"""Options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

READ = "What to read"

Film = Annotated[Path, typer.Argument(metavar="FILE", help="The film: MKV, MP4, WebM or MPEG-TS.", show_default=False)]
Subtitles = Annotated[
    list[Path] | None,
    typer.Option(
        "--subtitles",
        metavar="FILE",
        help="SRT, WebVTT, ASS, TTML or JSON cues; may be given more than once. Without it, files beside the film "
        "with its name are taken. Text tracks in the film are always read.",
        rich_help_panel=READ,
        show_default=False,
    ),
]
Lag = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=20,
        metavar="SECONDS",
        help="How late the words appear after they are said.",
        rich_help_panel=READ,
        show_default="0",
    ),
]
