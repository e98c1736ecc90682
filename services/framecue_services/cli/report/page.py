"""Renders the report: one HTML page that needs nothing from outside, with every text escaped.

It knows the template beside it and nothing of how results came about.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from framecue.schemas.rules import RuleSet
from framecue_services.cli.report.layout import lay_out
from framecue_services.cli.report.recording import Recorded
from framecue_services.cli.wording import clean


@dataclass(frozen=True)
class About:
    """What the page says of the run itself. `notes` are sentences: how the film was read, what its words came from."""

    title: str
    stream: str
    version: str
    notes: tuple[str, ...] = ()
    calibration: str = ""


def render(recorded: Recorded, rules: RuleSet, *, about: About) -> str:
    """The page as HTML. A function of its arguments: two equal runs give equal bytes."""
    environment = Environment(
        loader=PackageLoader("framecue_services.cli", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(data_uri=_data_uri, score=_score, clean=clean)
    return environment.get_template("page.html.j2").render(page=lay_out(recorded, rules), about=about)


def _data_uri(jpeg: bytes) -> Markup:
    return Markup("data:image/jpeg;base64,") + base64.b64encode(jpeg).decode()


def _score(value: float | None) -> str:
    """Two decimals without the leading zero's noise: `.83`, `1.00`, or a dash."""
    return "–" if value is None else f"{value:.2f}"
