"""The report: bounded pictures, everything in its place, nothing from outside, nothing that text could do."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from framecue.errors import ModelError
from framecue.models.faces import Blurred, Faces, Unblurred
from framecue.schemas.annotation import FrameRef
from framecue.schemas.event import Evidence
from framecue.schemas.rules import RuleSet, rules_from_yaml
from framecue_services.cli.report.layout import lay_out
from framecue_services.cli.report.page import About, render
from framecue_services.cli.report.recording import Recorded, Recording
from tests.unit.cli.results import annotation, caption, cue, event, frame, jpeg, rule_score

RULES = rules_from_yaml("""
scenes: [{labels: [a street, a field]}]
events:
  - {name: goal, picture: [a goal], text: [he scores], combine: both, enter: 0.7, exit: 0.3}
""")
AS_THEY_ARE = Unblurred("shown")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' {{ 7 * 7 }}\x1b[2J\u202e"


def picture(ref: FrameRef) -> bytes:
    return jpeg(color=(ref.offset % 250, 100, 100))


def recorded(*results: object, faces: Faces = AS_THEY_ARE, **limits: int) -> Recorded:
    recording = Recording(picture, faces=faces, **limits)
    for result in results:
        recording.add(result)  # type: ignore[arg-type]
    return recording.recorded()


def page(*results: object, rules: RuleSet = RULES, faces: Faces = AS_THEY_ARE) -> str:
    return render(recorded(*results, faces=faces), rules, about=About(title="film.mkv", stream="film", version="1"))


class Failing:
    """A detector that never gives an answer."""

    def find(self, picture: object, *, threshold: float) -> list[tuple[float, ...]]:
        raise ModelError("the face detector failed")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skip = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._skip = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skip = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._skip else data


# Recording


def test_recording_keeps_the_newest_revision_and_media_order() -> None:
    kept = recorded(annotation(1), annotation(0), annotation(1, revision=2))
    assert [(a.start_ms, a.revision) for a in kept.annotations] == [(0, 1), (2000, 2)]


def test_recording_thins_thumbnails_evenly_when_a_film_is_long() -> None:
    kept = recorded(*(annotation(i) for i in range(37)), thumbnails_max=10)
    shown = [a.start_ms // 2000 for a in kept.annotations if a.id in kept.thumbnails]
    assert shown == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert kept.thumbnail_every == 4


def test_recording_makes_pictures_small() -> None:
    kept = recorded(annotation(0), event("goal", 0, evidence=Evidence(frames=(frame(0),))))
    sizes = [Image.open(io.BytesIO(j)).size for j in (*kept.thumbnails.values(), kept.evidence["film/0/goal/0"][0][1])]
    assert sizes == [(160, 90), (320, 180)]


def test_recording_shows_the_pictures_of_the_last_peak_only() -> None:
    first, second = Evidence(frames=(frame(0), frame(2000))), Evidence(frames=(frame(4000),))
    kept = recorded(event("goal", 0, evidence=first), event("goal", 0, sequence=2, phase="updated", evidence=second))
    assert [ref.at_ms for ref, _ in kept.evidence["film/0/goal/0"]] == [4000]
    assert [len(history) for history in kept.events] == [2]


def test_recording_counts_evidence_beyond_its_bound() -> None:
    three = Evidence(frames=(frame(0), frame(2000), frame(4000)))
    kept = recorded(event("a", 0, evidence=three), event("b", 0, evidence=three), evidence_max=4)
    assert sum(map(len, kept.evidence.values())) == 4
    assert kept.evidence_left_out == 2


def test_recording_goes_on_when_a_picture_is_gone() -> None:
    recording = Recording(lambda _: None, faces=AS_THEY_ARE)
    recording.add(annotation(0))
    recording.add(event("goal", 0, evidence=Evidence(frames=(frame(0),))))
    assert recording.recorded().thumbnails == {}


def test_recording_withholds_what_could_not_be_looked_at_for_faces() -> None:
    """Failing open would show a face whenever the detector has a bad day; failing hard would cost the whole run."""
    results = annotation(0), event("goal", 0, evidence=Evidence(frames=(frame(0),)))
    kept = recorded(*results, faces=Blurred(Failing()))
    assert (kept.thumbnails, kept.evidence, kept.withheld) == ({}, {}, 2)
    assert "2 pictures are left out: the face detector failed on them." in page(*results, faces=Blurred(Failing()))


# Layout


def test_neighbours_of_one_scene_share_a_band_and_unknown_has_a_colour_of_its_own() -> None:
    results = [annotation(i, label) for i, label in enumerate(["a street", "a street", "unknown", None, "a field"])]
    (timeline,) = lay_out(recorded(*results), RULES).timelines
    assert [(s.text, s.left, s.width, s.kind) for s in timeline.scenes] == [
        ("a street", 0, 40, "c1"),
        ("unknown", 40, 20, "c0"),
        ("a field", 80, 20, "c2"),
    ]


def test_a_score_line_breaks_where_a_window_holds_or_is_missing() -> None:
    scores = [rule_score("goal", 0.5, 0.5, 0.5), rule_score("goal", None, 0.2, None), rule_score("goal", 1, 0.25, 0.25)]
    results = [annotation(i, rules=(score,)) for i, score in zip((0, 1, 3), scores, strict=True)]
    (timeline,) = lay_out(recorded(*results), RULES).timelines
    (chart,) = timeline.charts
    assert chart.score == "M0.0 50.0L250.0 50.0M750.0 75.0L1000.0 75.0"
    assert (chart.picture_peak, chart.text_peak, chart.peak) == (1, 0.5, 0.5)
    assert chart.picture.count("Z") == 2
    assert chart.text.count("Z") == 3


def test_a_late_cue_stands_where_it_was_joined_and_where_it_appeared() -> None:
    late = cue(2000, 4000, "hello", lag_ms=2000)
    (timeline,) = lay_out(
        recorded(annotation(0), annotation(1, cues=(late,)), annotation(2, cues=(late,))), RULES
    ).timelines
    assert [(s.kind, s.left) for s in timeline.cues] == [("joined", 33.33), ("appeared", 66.67)]


def test_each_epoch_has_a_timeline() -> None:
    again = annotation(0, id="film/1/0+2000", epoch=1)
    assert [t.title for t in lay_out(recorded(annotation(0), again), RULES).timelines] == ["run 0", "run 1"]


def test_a_retracted_event_is_told_and_not_drawn() -> None:
    gone = event("goal", 0, sequence=2, phase="retracted")
    laid_out = lay_out(recorded(annotation(0, rules=(rule_score("goal", 1, 1, 1),)), event("goal", 0), gone), RULES)
    assert laid_out.events[0].retracted
    assert laid_out.timelines[0].charts[0].spans == ()


def test_a_run_without_anything_is_still_a_page() -> None:
    assert "No rule fired" in page()


# Page


def full_page() -> str:
    said = cue(0, 1500, HOSTILE)
    evidence = Evidence(frames=(frame(0),), cues=(said,), picture=0.9, text=0.8)
    return page(
        annotation(0, HOSTILE, rules=(rule_score("goal", 0.9, 0.8, 0.8),), cues=(said,), degraded="damaged"),
        annotation(1, "unknown"),
        event("goal", 0, 2000, evidence=evidence),
        event("framecue.warning", 0, 0, message=HOSTILE),
        caption(0, HOSTILE),
    )


def test_hostile_text_stays_text() -> None:
    elements = Elements(full_page())
    assert [tag for tag, _ in elements.found].count("script") == 1
    assert not [a for _, attributes in elements.found for a in attributes if a.startswith("on")]
    assert "{{ 7 * 7 }}" in elements.text
    assert "\x1b" not in elements.text
    assert "\u202e" not in elements.text


def test_the_page_needs_nothing_from_outside() -> None:
    html = full_page()
    addresses = [a[name] for _, a in Elements(html).found for name in ("src", "href") if name in a]
    assert addresses
    assert all((address or "").startswith("data:") for address in addresses)
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html


def test_the_page_shows_what_decided() -> None:
    text = " ".join(Elements(full_page()).text.split())
    for said in (
        "enter 0.70",
        "exit 0.30",
        "picture 0.90 and words 0.80, both needed",
        "the score fell below 0.30",
        "part of the media is damaged",
    ):
        assert said in text


def test_the_page_is_a_function_of_the_run() -> None:
    assert full_page() == full_page()


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_page_says_when_scores_are_not_calibrated(calibrated: bool) -> None:
    assert ("Scores are not calibrated" in page(annotation(0, calibrated=calibrated))) is not calibrated


@pytest.mark.parametrize(
    ("state", "said", "loudly"),
    [
        ("blurred", "Faces are blurred where they were found", False),
        ("shown", "Faces are shown as they are: privacy.faces is off.", False),  # somebody wanted it so
        ("unblurred: install framecue[privacy]", "Faces are not blurred: install framecue[privacy].", True),
    ],
)
def test_the_page_says_whether_faces_are_blurred(state: str, said: str, loudly: bool) -> None:
    html = page(annotation(0), faces=Unblurred(state))
    assert (f"<strong>{said}" in html) is loudly
    assert said in html
