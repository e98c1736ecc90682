"""A face in the demo's clip: nobody could tell whose it is, wherever FrameCue shows the picture."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from framecue.models.centerface import load_centerface
from framecue_services.cli.analyze import AnalyzeRequest, analyze_film
from tests.support.encoders import light_model
from tests.support.faces import clip, detail, opened

RULES = """
scenes:
  - labels: [red, green, blue]
events:
  - {name: late, text: [he scores a goal]}
"""
SRT = "1\n00:00:00,500 --> 00:00:03,500\nhe scores a goal\n"
DETAIL_LEFT = 0.05


def report(folder: Path, *, film: Path) -> tuple[str, str]:
    """The page that is made of `film`, and what was said."""
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES)
    (folder / "words.srt").write_text(SRT)
    err = io.StringIO()
    request = AnalyzeRequest(
        film=film, rules=folder / "rules.yaml", subtitles=(folder / "words.srt",), report=folder / "report.html"
    )
    analyze_film(request, load=lambda _: light_model(), out=io.BytesIO(), err=Console(file=err, width=300))
    return (folder / "report.html").read_text("utf-8"), err.getvalue()


def pictures(page: str) -> Iterator[Image.Image]:
    for uri in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page):
        yield opened(base64.b64decode(uri))


def test_a_face_in_thumbnails_and_evidence_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same film twice: where faces are shown the detector finds one in every picture, and there nothing is left."""
    film = clip()
    blurred, said = report(tmp_path / "blurred", film=film)
    monkeypatch.setenv("FRAMECUE_PRIVACY__FACES", "off")
    shown, _ = report(tmp_path / "shown", film=film)
    pairs = list(zip(pictures(shown), pictures(blurred), strict=True))
    assert {before.width for before, _ in pairs} == {160, 192}, "thumbnails, and evidence"
    detector = load_centerface()
    for before, after in pairs:
        (box,) = (b[:4] for b in detector.find(np.asarray(before), threshold=0.5))
        assert detail(after, tuple(box)) < DETAIL_LEFT * detail(before, tuple(box))
    assert "Faces are blurred where they were found" in blurred
    assert "Faces are shown as they are: privacy.faces is off." in shown
    assert "faces" not in said.lower()


def test_a_report_without_the_extra_says_so_on_the_page_and_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "framecue.models.centerface", None)
    page, said = report(tmp_path / "out", film=clip())
    assert "framecue: Faces are not blurred: install framecue[privacy]" in said
    assert "<strong>Faces are not blurred: install framecue[privacy]" in page
