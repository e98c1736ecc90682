"""A real browser: Debian's Chromium under Playwright. A visit sees what a person would not: errors, foreign requests.

    with browsing() as browser, visiting(browser, "http://127.0.0.1:8080") as visit:
        visit.page.goto("/")

It must not know the page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 60_000
"""For anything to appear: other tests may keep the machine busy."""
Colours = Literal["light", "dark"]
SERIOUS = ("serious", "critical")


@dataclass
class Visit:
    """One page, and what went wrong in it: `errors` of its console, `foreign` requests that left the origin."""

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def assert_clean(self, *, but: str = "(?!)") -> None:
        """Nothing went wrong, apart from errors that `but`, a pattern, fits."""
        errors = [error for error in self.errors if not re.search(but, error)]
        assert not errors, f"in the console: {errors}"
        assert not self.foreign, f"asked elsewhere: {self.foreign}"


@contextmanager
def browsing() -> Generator[Browser]:
    """A browser with nothing in it. Playwright's own would have to be downloaded."""
    assert CHROMIUM, "there is no Chromium here: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser,
    origin: str,
    *,
    colours: Colours = "light",
    size: tuple[int, int] = (1280, 900),
    with_axe: bool = False,
) -> Generator[Visit]:
    """A visit by somebody new. `with_axe`: the checker is put into each page, which its own rules would not let in."""
    context = browser.new_context(
        base_url=origin,
        color_scheme=colours,
        viewport={"width": size[0], "height": size[1]},
        bypass_csp=with_axe,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    if with_axe:
        context.add_init_script((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    visit = Visit(context.new_page())
    here = urlsplit(origin).netloc

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(f"{message.text} {message.location.get('url', '')}")

    def asked(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != here:
            visit.foreign.append(request.url)

    visit.page.on("console", heard)
    visit.page.on("pageerror", lambda error: visit.errors.append(f"uncaught: {error}"))
    visit.page.on("request", asked)
    try:
        yield visit
    finally:
        context.close()


def found_by_axe(page: Page, impacts: Sequence[str] = SERIOUS) -> list[str]:
    """What axe finds on the page as it stands, of these impacts: `rule: element`."""
    result: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:160]} ({node.get('failureSummary', '')[:200]})"
        for violation in result["violations"]
        if violation["impact"] in impacts
        for node in violation["nodes"]
    ]
