"""Takes the pictures of the dashboard that stand in README.md, from a gateway that is running.

    .venv/bin/python deploy/docs/screenshots.py http://127.0.0.1:8080 demo

The stream should be at work and have an event of a rule; `make demo`, or a looped `framecue push`, gives one. Needs
Chromium, and Playwright out of the extra `dev`. Where the gateway asks for a token, give it as a third argument.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MAX_BYTES = 300_000
EXACT = 96
"""Colours of a palette that are kept as they are."""
SETTLED_MS = 4_000
"""Until what arrives has arrived: pictures, and a window or two."""
PATIENCE_MS = 60_000


@dataclass(frozen=True)
class Shot:
    """One picture: which page, how, and what has to be there before."""

    name: str
    path: str
    shows: str
    colours: Literal["light", "dark"] = "light"
    size: tuple[int, int] = (1360, 850)
    before: Callable[[Page], None] = lambda page: None


def main(origin: str, stream: str, token: str = "") -> None:
    """Writes every picture into this folder."""
    shots = (
        Shot("wall", "/", ".tile .picture img", size=(1360, 560)),
        Shot("stream", f"/streams/{stream}", ".plot [data-event]", size=(1360, 1130)),
        Shot("event", f"/streams/{stream}", ".plot [data-event]", "dark", (1360, 1000), before=_open_event),
        Shot("events", "/events?rule=rules", ".feed .picture img", size=(1360, 760)),
        Shot("rules", "/rules", ".card", "dark", (1360, 700)),
        Shot("narrow", f"/streams/{stream}", ".plot [data-event]", size=(390, 1500)),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for shot in shots:
            _write(FOLDER / f"{shot.name}.png", _taken(browser, origin, shot, token))
        browser.close()


def _open_event(page: Page) -> None:
    """The newest event of a user's rule that has a picture."""
    page.locator(".stream-events .event-row:has(.is-rule)").first.click()
    page.locator(".drawer .gallery img").first.wait_for()


def _taken(browser: Browser, origin: str, shot: Shot, token: str) -> bytes:
    width, height = shot.size
    context = browser.new_context(
        base_url=origin, viewport={"width": width, "height": height}, color_scheme=shot.colours, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    if token:
        context.request.post("/v1/session", data={"token": token}, headers={"Origin": origin})
    page = context.new_page()
    page.goto(shot.path)
    page.locator(shot.shows).first.wait_for()
    shot.before(page)
    page.wait_for_timeout(SETTLED_MS)
    png = page.screenshot()
    context.close()
    return png


def _write(path: Path, png: bytes) -> None:
    """The picture; with a palette where it would be too large, which the page's own colours keep to exactly."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        picture.quantize(palette=_palette(picture), dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{path.name} has {size} bytes, more than {MAX_BYTES}: take it of less")
    sys.stdout.write(f"{path.name}  {size // 1000} kB\n")


def _palette(picture: Image.Image) -> Image.Image:
    """The colours that most of the page has, and for the rest what stands for most others."""
    counted = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)
    exact = [value for _, colour in counted[:EXACT] if isinstance(colour, tuple) for value in colour]
    others = picture.quantize(256 - EXACT, method=Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((exact + others)[: 3 * 256])
    return palette


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
