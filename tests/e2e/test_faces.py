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
from framecue.models.faces import Blurred, open_faces
from framecue.schemas.event import Evidence
from framecue_services.cli.analyze import AnalyzeRequest, analyze_film
from tests.support.encoders import light_model
from tests.support.faces import FACE, clip, detail, jpeg_of, man_in_a_car, opened
from tests.support.gateway import House
from tests.unit.cli.results import annotation, event

RULES = """
scenes:
  - labels: [red, green, blue]
events:
  - {name: late, text: [he scores a goal]}
"""
SRT = "1\n00:00:00,500 --> 00:00:03,500\nhe scores a goal\n"
DETAIL_LEFT = 0.05
STREAM, EVENT, KEPT = "car", "car/0/late/0", "car/0/gone/0"


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


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """A stream whose newest picture shows the man; an event with it in `media`, and one of which Redis has it alone."""
    house = House()
    monkeypatch.setattr("tests.support.films.jpeg", lambda _: jpeg_of(man_in_a_car()))
    (frame,) = house.film(STREAM, "red")
    gone = frame.model_copy(update={"offset": 999})
    house.put(
        annotation(0, stream=STREAM, id=f"{STREAM}/0/0+2000", frames=(frame,)),
        event("late", 0, stream=STREAM, id=EVENT, evidence=Evidence(frames=(frame,))),
        event("gone", 0, stream=STREAM, id=KEPT, evidence=Evidence(frames=(gone,))),
    )
    house.store.put_evidence(KEPT, jpeg_of(man_in_a_car()), sequence=1)
    return house


@pytest.mark.parametrize("width", ["", "?width=64"])
@pytest.mark.parametrize(
    "path",
    [
        f"/v1/streams/{STREAM}/thumbnail",
        f"/v1/streams/{STREAM}/pictures/{{partition}}/{{offset}}/0",
        f"/v1/events/{EVENT}/evidence/0",
        f"/v1/events/{KEPT}/evidence/0",  # Redis holds it raw
    ],
)
def test_a_face_in_pictures_of_the_gateway(house: House, path: str, width: str) -> None:
    """Every way to a picture, in front of the same store: as it is, and as it is seen by default."""
    (frame,) = house.store.latest(STREAM).annotation.frames  # type: ignore[union-attr]
    asked = path.format(partition=frame.partition, offset=frame.offset) + width
    before = picture_of(house, asked)
    house.faces = open_faces("blur")
    after = picture_of(house, asked)
    assert before.size == after.size
    scale = before.width / man_in_a_car().width
    box = (FACE[0] * scale, FACE[1] * scale, FACE[2] * scale, FACE[3] * scale)
    assert detail(after, box) < DETAIL_LEFT * detail(before, box)


@pytest.mark.parametrize("path", [f"/v1/streams/{STREAM}/thumbnail", f"/v1/events/{KEPT}/evidence/0"])
def test_the_gateway_shows_nothing_when_nobody_can_look(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the stored picture, and not a smaller one."""
    detector = load_centerface()
    monkeypatch.setattr(detector, "_session", None)
    house.faces = Blurred(detector)
    for width in ("", "?width=64"):
        response = house.client().get(path + width)
        assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")


def picture_of(house: House, path: str) -> Image.Image:
    response = house.client().get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg"), response.text
    return opened(response.content)
