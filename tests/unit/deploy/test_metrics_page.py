"""What operators read: the table of metrics is made of the closed list; what the page says to set or run exists."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import typer

from framecue.settings import PREFIX, variables
from framecue_services.cli.__main__ import app
from tests.support.paths import REPO

DOCS = REPO / "deploy" / "docs"
PAGE = (DOCS / "operators.md").read_text()


def test_table_of_metrics_is_what_the_list_says() -> None:
    program = REPO / "deploy" / "observability" / "metrics_page.py"
    done = subprocess.run([sys.executable, program, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_that_the_page_names_exist() -> None:
    known = {name.removeprefix(PREFIX).lower().replace("__", "."): name for name in variables()}
    sections = "|".join({name.split(".")[0] for name in known if "." in name})
    paths = set(re.findall(rf"`((?:{sections})\.[a-z_]+)[`:]", PAGE))
    assert len(paths) > 10
    assert paths - set(known) == set()
    assert set(re.findall(r"FRAMECUE_\w+", PAGE)) <= set(variables())


def test_commands_that_the_page_names_exist() -> None:
    group = typer.main.get_command(app)
    named = set(re.findall(r"`framecue ([a-z]+(?: [a-z]+)?)", PAGE))
    assert len(named) > 5
    for words in named:
        found: click.Command | None = group
        for word in words.split():
            if isinstance(found, click.Group):
                found = found.commands.get(word)
        assert found is not None, words


def test_links_of_the_pages_lead_somewhere() -> None:
    """Within a page to a heading, else to a file."""
    for page in (DOCS / "operators.md", DOCS / "metrics.md"):
        for path, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
            target = (page.parent / path) if path else page
            assert target.is_file(), f"{page.name} leads to {path}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
                assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
