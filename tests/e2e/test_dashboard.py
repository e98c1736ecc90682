"""The page in a real browser, before a real fleet: what a person does with it, and what befalls it at night."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from kafka.structs import TopicPartition
from playwright.sync_api import Browser, Locator, Page, Route, expect

from framecue.broker.kafka.connection import Admin
from framecue.broker.rules import apply_rules, rules_in_force
from framecue.clock import SystemClock
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.event import SIGNAL_LOST, Event
from framecue.schemas.feedback import Feedback
from framecue.schemas.results import read_result
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.schemas.segment import CueIn, SegmentHeaders, segment_headers
from framecue.schemas.topics import EVENTS, FEEDBACK, MEDIA
from framecue_services.cli.token import create_token
from tests.support.browser import CHROMIUM, PATIENCE_MS, Colours, browsing, found_by_axe, visiting
from tests.support.clips import make_clip
from tests.support.fleet import Fleet, read_all
from tests.support.servers import HOST, free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")

SERVICES = ("ingest", "fusion", "captioner", "projector")
SEGMENT_S = 2
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "green", "blue")),),
    events=(EventRule(name="red alert", picture=("red",), combine="picture", when="early"),),
)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0)}
NEW_RULE = """\
  - name: all clear
    streams: studio
    picture: [green]
    enter: 0.6
    exit: 0.4
"""
HOSTILE = "<img src=x onerror=alert(1)> \u202egpj.exe"
SHOWN = "<img src=x onerror=alert(1)> gpj.exe"
AWAY = "status of 503|Failed to load resource: net::ERR_|ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE"
"""What a browser says by itself while nobody answers, or the gateway starts and does not reach everything yet."""


class Cameras:
    """Streams that show one colour at a time, pushed as a test asks for it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._seq: dict[str, int] = {}
        self._clips = {
            name: make_clip(seconds=SEGMENT_S, fps=5, size=(160, 90), gop=10, pattern=lambda i, at, c=rgb: _flat(c))
            for name, rgb in COLOURS.items()
        }

    def show(self, stream: str, *colours: str, said: str | None = None, end: bool = False) -> None:
        """One segment of each of `colours`; `end`: with the last of them the session is over."""
        for n, colour in enumerate(colours, 1):
            seq = self._seq.get(stream, 0)
            self._seq[stream] = seq + 1
            start_ms = 1_000 * SEGMENT_S * seq
            cues = (CueIn(start_ms=start_ms + 200, end_ms=start_ms + 1_500, text=said),) if said else ()
            headers = SegmentHeaders(
                session=f"s-{stream}",
                seq=seq,
                start=Fraction(SEGMENT_S * seq),
                cues=cues,
                end=end and n == len(colours),
            )
            self._fleet.push(stream, self._clips[colour], headers=segment_headers(headers), flush=False)
        self._fleet.flush()


def _flat(colour: tuple[int, int, int]):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.full((90, 160, 3), colour, np.uint8)


@dataclass(frozen=True)
class House:
    """The fleet, whom it serves, and two doors: one open, one that asks for a token."""

    fleet: Fleet
    cameras: Cameras
    browser: Browser
    open: str
    locked: str

    def until_shown(self, locator: Locator, *, count: int = 1) -> None:
        """Returns when the page shows it. Workers that a busy machine had thrown out come back meanwhile."""
        self.fleet.until(lambda: locator.count() == count, what=f"{count} of {locator}")

    def published(self, topic: str) -> list[bytes]:
        return [record.value or b"" for record in read_all(self.fleet.broker, topic)]

    @property
    def rules(self) -> RuleSet | None:
        """What is in force, as the topic has it."""
        found = rules_in_force(self.fleet.broker)
        return found and found.rules

    def feedback(self, stream: str) -> list[Feedback]:
        """What was said of that stream, as the topic has it."""
        said = [Feedback.model_validate_json(value) for value in self.published(FEEDBACK.name)]
        return [one for one in said if one.stream == stream]

    def until_annotated(self, stream: str, *, windows: int) -> Sequence[Annotation]:
        """So many windows of the stream, as Redis has them."""
        self.fleet.until(lambda: len(self.fleet.store.timeline(stream)) >= windows, what=f"{windows} of {stream}")
        return self.fleet.store.timeline(stream)

    def event_ids(self, stream: str, rule: str) -> set[str]:
        """The events of that rule that are in the topic."""
        events = [read_result(EVENTS.name, value) for value in self.published(EVENTS.name)]
        return {one.id for one in events if isinstance(one, Event) and (one.stream, one.rule) == (stream, rule)}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str) -> Iterator[House]:
    """One fleet for all of these tests, which use streams of their own."""
    folder: Path = tmp_path_factory.mktemp("dashboard")
    ports = {"off": free_port(), "on": free_port()}
    settings = {
        "FRAMECUE_PRIVACY__FACES": "off",
        "FRAMECUE_ANALYSIS__CAPTION_EVERY_MS": "1000",
        "FRAMECUE_GATEWAY__REQUESTS_PER_SECOND": "10000",
        "FRAMECUE_GATEWAY__REQUEST_BURST": "10000",
    }
    with Fleet(folder, bootstrap=kafka, redis_url=redis_url, settings=settings) as fleet, browsing() as browser:
        apply_rules(fleet.broker, RULES)
        for name in SERVICES:
            fleet.start(name)
        for slot, (auth, port) in enumerate(ports.items()):
            own = {"FRAMECUE_GATEWAY__AUTH": auth, "FRAMECUE_GATEWAY__PORT": str(port)}
            fleet.start("gateway", str(slot), settings=own)
        fleet.until(fleet.ready, what="all services ready", within_s=120)
        yield House(
            fleet, Cameras(fleet), browser, open=f"http://{HOST}:{ports['off']}", locked=f"http://{HOST}:{ports['on']}"
        )


def test_a_person_sees_streams_appear_opens_one_judges_an_event_and_types_a_line(house: House) -> None:
    """The whole way of a first visit, without one reload."""
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.goto("/")
        expect(page.get_by_role("status")).to_have_text("live", timeout=PATIENCE_MS)
        house.cameras.show("lobby", "green", "green", "green", said="quiet so far")
        tile = page.locator('.tile[data-stream="lobby"]')
        house.until_shown(tile.filter(has_text="green").filter(has_text="quiet so far"))
        _assert_decoded(page, '.tile[data-stream="lobby"] img')

        page.get_by_role("link", name="lobby").click()
        expect(page).to_have_url(f"{house.open}/streams/lobby")
        house.cameras.show("lobby", "red", "red", "green", "green", said=HOSTILE)
        row = page.locator(".stream-events .event-row", has_text="red alert")
        house.until_shown(row)
        expect(page.locator(".subtitles")).to_contain_text(SHOWN)

        row.click()
        drawer = page.get_by_role("complementary", name="Event red alert")
        _assert_decoded(page, ".drawer .gallery img")
        expect(drawer).to_contain_text("by picture alone: picture")
        drawer.get_by_placeholder("A note, if you like").fill("it was a red door")
        drawer.get_by_role("button", name="Right").click()
        expect(drawer).to_contain_text("Stored, thank you.", timeout=PATIENCE_MS)
        expect(drawer.locator(".feedback")).to_contain_text("it was a red door")
        (feedback,) = house.feedback("lobby")
        assert (feedback.verdict, feedback.note, feedback.by) == ("right", "it was a red door", "everybody")
        assert {feedback.event} == house.event_ids("lobby", "red alert")

        page.keyboard.press("Escape")
        expect(drawer).to_have_count(0)
        page.locator(".plot [data-event]").first.click()  # the same event, by the timeline
        expect(drawer).to_be_visible()
        assert f"event={_escaped(feedback.event or '')}" in page.url
        page.keyboard.press("Escape")

        page.get_by_placeholder("Type a line as it is said now").fill("a typed line")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".say")).to_contain_text("Sent", timeout=PATIENCE_MS)
        house.cameras.show("lobby", "green", "green")
        house.until_shown(page.locator(".say", has_text="Joined to the window at"))
        expect(page.locator(".subtitles ol")).to_contain_text("a typed line")
        visit.assert_clean(but="status of 404.*/v1/events/")  # asked for before Redis had it, and then again


def test_a_person_marks_what_was_missed_by_dragging_over_the_timeline(house: House) -> None:
    house.cameras.show("gate", "green", "green", "green", "green")
    epoch = house.until_annotated("gate", windows=4)[-1].epoch
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.goto("/streams/gate")
        page.locator(".plot .ribbon").first.wait_for()
        page.get_by_role("button", name="Mark what was missed").click()
        form = page.locator(".missed-form")
        begin, end = form.get_by_label("From"), form.get_by_label("To")
        expect(begin).to_have_value("0:06")  # the newest window, until something is marked
        _drag_over(page, page.locator(".plot"), 0.45, 0.7)
        expect(begin).not_to_have_value("0:06")
        expect(page.locator(".plot .mark")).to_be_visible()
        begin.fill("0:02.5")
        end.fill("0:04")
        end.press("Tab")
        form.get_by_label("Rule").select_option("red alert")
        form.get_by_label("Note").fill("somebody in red climbed over")
        form.get_by_role("button", name="Store as missed").click()
        expect(form).to_contain_text("Stored, thank you.", timeout=PATIENCE_MS)
        (feedback,) = house.feedback("gate")
        assert (feedback.verdict, feedback.event, feedback.rule, feedback.epoch) == ("missed", None, "red alert", epoch)
        assert (feedback.start_ms, feedback.end_ms) == (2_500, 4_000)
        assert (feedback.note, feedback.by) == ("somebody in red climbed over", "everybody")
        form.get_by_role("button", name="Done").click()
        expect(form).to_have_count(0)
        visit.assert_clean()


def test_a_stream_that_ended_says_so_and_is_not_late(house: House) -> None:
    """However long ago it was, and also for who opens the page only then."""
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.clock.install()
        page.goto("/?q=finale")
        expect(page.get_by_role("status")).to_have_text("live", timeout=PATIENCE_MS)
        house.cameras.show("finale", "green", "green")
        tile = page.locator('.tile[data-stream="finale"]')
        badge = tile.locator(".badge")
        house.until_shown(badge)
        expect(badge).to_have_text("fresh")
        house.cameras.show("finale", "green", said="that was all", end=True)
        last = house.until_annotated("finale", windows=3)[-1]
        assert last.settled_until_ms == last.end_ms, "the run is over"
        house.until_shown(tile.filter(has_text="that was all"))
        page.clock.fast_forward(30_000)
        expect(badge).to_have_text(re.compile(r"^ended \d+ s ago$"), timeout=PATIENCE_MS)
        expect(page.locator(".tally")).to_contain_text("1 ended")
        page.reload()
        tile.wait_for()
        page.clock.fast_forward(30_000)
        expect(badge).to_have_text(re.compile(r"^ended \d+ s ago$"), timeout=PATIENCE_MS)
        page.get_by_role("link", name="finale").click()
        expect(page.locator(".facts .badge")).to_have_text("ended")
        visit.assert_clean()


def test_a_stream_that_fell_idle_is_quiet_and_did_not_end(house: House) -> None:
    """Nothing said that it would end: its last window is final as well, and only an event tells the two apart."""
    house.cameras.show("silent", "green", "green")
    last = house.until_annotated("silent", windows=2)[-1]
    final = last.model_copy(update={"revision": last.revision + 1, "settled_until_ms": last.end_ms})
    lost = Event(
        id=f"silent/{last.epoch}/{SIGNAL_LOST}/{last.end_ms}",
        sequence=2,
        phase="ended",
        stream="silent",
        epoch=last.epoch,
        rule=SIGNAL_LOST,
        start_ms=last.end_ms,
        end_ms=last.end_ms,
        reason="idle",
        published_at=last.published_at,
        model=last.model,
        space=last.space,
    )
    assert house.fleet.store.put((final, lost)) == (True, True)  # what minutes of silence would have put there
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.clock.install()
        page.goto("/?q=silent")
        tile = page.locator('.tile[data-stream="silent"]')
        tile.wait_for()
        page.clock.fast_forward(30_000)
        minutes = re.compile(r"^quiet for [56] min$")  # five of them until it was told
        expect(tile.locator(".badge")).to_have_text(minutes, timeout=PATIENCE_MS)
        visit.assert_clean()


def test_a_picture_that_expired_says_why_it_is_not_there(house: House) -> None:
    house.cameras.show("worn", "green", "green")
    (frame, *_) = house.until_annotated("worn", windows=2)[-1].frames
    _expire(house.fleet, frame)
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.goto("/?q=worn")
        tile = page.locator('.tile[data-stream="worn"] .picture')
        expect(tile).to_contain_text("picture expired", timeout=PATIENCE_MS)
        page.get_by_role("link", name="worn").click()
        why = "this picture has expired: the topic media keeps pictures for a day"
        expect(page.locator(".big-picture")).to_contain_text(why, timeout=PATIENCE_MS)
        page.locator(".plot .ribbon").first.wait_for()
        page.keyboard.press("t")
        page.keyboard.press("ArrowLeft")
        shown = page.locator(".drawer .gallery > .picture")
        expect(shown).to_contain_text(why)
        expect(page.locator(".picture img")).to_have_count(0)  # none that is broken
        visit.assert_clean(but="status of 410.*/pictures/")


def test_an_admin_changes_the_rules_and_sees_them_in_force(house: House) -> None:
    now_ms = SystemClock().now_ms()
    _, secret = create_token(house.fleet.broker, "head", scope="admin", streams=("*",), now_ms=now_ms)
    with visiting(house.browser, house.locked) as visit:
        page = visit.page
        page.goto("/rules")
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Log in").click()
        text = page.get_by_label("Rules as YAML")
        expect(text).to_have_value(re.compile("red alert"), timeout=PATIENCE_MS)
        before, said = text.input_value(), page.locator(".apply")
        button = page.get_by_role("button", name="Put in force")
        expect(button).to_be_disabled()
        text.fill(before + NEW_RULE.replace("enter: 0.6", "enter: 6"))
        button.click()
        expect(said).to_contain_text("enter", timeout=PATIENCE_MS)
        expect(text).to_have_attribute("aria-invalid", "true")
        assert house.rules == RULES, "bad rules change nothing"
        text.fill(before + NEW_RULE)
        button.click()
        expect(said).to_contain_text("In force. added event all clear", timeout=PATIENCE_MS)
        expect(page.locator(".card", has_text="all clear")).to_contain_text("studio")
        house.cameras.show("studio", "red", "green", "green")
        house.fleet.until(lambda: house.event_ids("studio", "all clear"), what="an event of the new rule")
        text.fill(before)
        button.click()
        expect(said).to_contain_text("In force. removed event all clear", timeout=PATIENCE_MS)
        expect(page.locator(".card", has_text="all clear")).to_have_count(0)
        assert house.rules == RULES, "as the page wrote them they are the same"
        visit.assert_clean(but="status of 4(01.*/session|22.*/rules)")


def test_the_page_says_that_the_gateway_is_away_and_loses_no_event_when_it_is_back(house: House) -> None:
    """What is published while nobody hands it on is there afterwards, without a reload and without doing anything."""
    gateway = house.fleet.worker("gateway", "0")
    house.cameras.show("night", "green", "red", "green", "green")
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.goto("/events?stream=night&rule=%3Dred+alert")
        rows = page.locator(".feed .event-row")
        house.until_shown(rows)
        page.evaluate("window.isTheSame = true")
        gateway.kill()
        expect(page.locator(".live")).to_contain_text("reconnecting since", timeout=PATIENCE_MS)
        expect(page.get_by_role("alert")).to_contain_text("The gateway does not answer.", timeout=PATIENCE_MS)
        house.cameras.show("night", "red", "green", "green", "red", "green", "green")
        house.fleet.until(lambda: len(house.event_ids("night", "red alert")) == 3, what="three events")
        house.fleet.until(lambda: gateway.ready, what="the gateway's return")
        expect(page.get_by_role("status").first).to_have_text("live", timeout=PATIENCE_MS)
        expect(page.get_by_role("alert")).to_have_count(0, timeout=PATIENCE_MS)
        expect(rows).to_have_count(3, timeout=PATIENCE_MS)
        shown = {row.get_attribute("data-event-id") for row in rows.all()}
        assert shown == house.event_ids("night", "red alert")
        assert page.evaluate("window.isTheSame"), "the page was loaded again"
        visit.assert_clean(but=AWAY)


def test_a_token_opens_the_page_and_shows_its_streams_alone(house: House) -> None:
    now_ms = SystemClock().now_ms()
    _, secret = create_token(house.fleet.broker, "lab", scope="read", streams=("lab-*",), now_ms=now_ms)
    house.cameras.show("lab-1", "green", "green")
    house.cameras.show("attic", "green", "green")
    house.fleet.until(lambda: {"lab-1", "attic"} <= set(house.fleet.store.streams()), what="both streams")
    with visiting(house.browser, house.locked) as visit:
        page = visit.page
        page.goto("/streams/lab-1")
        token = page.get_by_label("Token")
        token.fill("fc_wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("This token is not known")
        token.fill(secret)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="lab-1")).to_be_visible(timeout=PATIENCE_MS)
        assert secret not in page.url
        assert page.evaluate("document.cookie") == "", "a script can read the session"
        expect(page.get_by_placeholder("Type a line as it is said now")).to_have_count(0)  # it may read only
        page.get_by_role("link", name="All streams").click()
        expect(page.locator(".tile[data-stream]")).to_have_count(1, timeout=PATIENCE_MS)
        page.goto("/streams/attic")
        expect(page.get_by_role("heading", name="No such stream")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Log out").click()
        expect(token).to_be_visible()
        visit.assert_clean(but=r"status of 40[14]")  # 401 before the login, and 404 in the attic


def test_a_scene_has_the_colour_of_its_label_also_where_the_rules_come_late(house: House) -> None:
    house.cameras.show("hue", "green", "green")
    house.until_annotated("hue", windows=2)
    held: list[Route] = []
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.route("**/v1/rules", lambda route: held.append(route))
        with page.expect_request("**/v1/rules"):
            page.goto("/?q=hue")
        swatch = page.locator('.tile[data-stream="hue"] .swatch')
        swatch.wait_for()
        place = 1 + RULES.scenes[0].labels.index("green")
        expect(swatch).not_to_have_class(f"swatch scene-{place}")
        for route in held:
            route.continue_()
        expect(swatch).to_have_class(f"swatch scene-{place}")
        visit.assert_clean()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(house: House, colours: Colours) -> None:
    house.cameras.show(f"axe-{colours}", "green", "red", "green", "green", said="hello")
    event = house.fleet.until(lambda: next(iter(house.event_ids(f"axe-{colours}", "red alert")), None), what="event")
    found: dict[str, list[str]] = {}
    with visiting(house.browser, house.open, colours=colours, with_axe=True) as visit:
        page = visit.page
        for path, shows in (
            ("/", f'.tile[data-stream="axe-{colours}"] img'),
            (f"/streams/axe-{colours}", ".plot [data-event]"),
            (f"/streams/axe-{colours}?event={_escaped(event)}", ".drawer .gallery img"),
            ("/events", ".feed .event-row img"),
            (f"/events/{event.replace(' ', '%20')}", ".drawer .gallery img"),
            ("/rules", ".card"),
            ("/streams/nobody", ".empty"),
        ):
            page.goto(path)
            page.locator(shows).first.wait_for()
            found[path] = found_by_axe(page)
        page.keyboard.press("?")
        page.locator("dialog[open]").wait_for()
        found["help"] = found_by_axe(page)
    with visiting(house.browser, house.locked, colours=colours, with_axe=True) as visit:
        visit.page.goto("/")
        visit.page.get_by_label("Token").wait_for()
        found["login"] = found_by_axe(visit.page)
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize("path", ["/", "/streams/thin", "/events", "/rules"])
def test_nothing_is_wider_than_a_narrow_screen(house: House, path: str) -> None:
    """A page that scrolls sideways hides what stands at its right."""
    house.cameras.show("thin", "green", "red", "green", said="averylongwordwithoutanyblankinit" * 6)
    with visiting(house.browser, house.open, size=(360, 740)) as visit:
        visit.page.goto(path)
        visit.page.locator("main h1").wait_for()
        expect(visit.page.get_by_role("status").first).to_have_text("live", timeout=PATIENCE_MS)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
        visit.assert_clean()


def test_keys_lead_through_the_page(house: House) -> None:
    """Nothing needs a mouse: a tile, its stream, a window of its timeline, and back."""
    house.cameras.show("keys", "green", "green", "green")
    with visiting(house.browser, house.open) as visit:
        page = visit.page
        page.goto("/?q=keys")
        house.until_shown(page.locator('.tile[data-stream="keys"] .tile-link'))
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{house.open}/streams/keys")
        page.locator(".plot .ribbon").first.wait_for()  # there are windows to choose
        page.keyboard.press("t")
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("complementary")).to_contain_text("Window")
        page.keyboard.press("Escape")
        expect(page.get_by_role("complementary")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(page).to_have_url(f"{house.open}/")
        page.keyboard.press("e")
        expect(page).to_have_url(f"{house.open}/events")
        visit.assert_clean()


def _escaped(event: str) -> str:
    """An event's id as a parameter of the page's address."""
    return event.replace("/", "%2F").replace(" ", "+")


def _drag_over(page: Page, locator: Locator, begin: float, end: float) -> None:
    """Drags sideways over part of it: 0 is its left edge, 1 its right one."""
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    page.mouse.up()


def _expire(fleet: Fleet, frame: FrameRef) -> None:
    """Kafka deletes the record of that frame, and what stands before it, as it does when they are too old."""
    place = TopicPartition(fleet.connection.topic(MEDIA.name), frame.partition)
    admin = Admin(fleet.connection)
    admin.ask("expiring", lambda client: client.delete_records({place: frame.offset + 1}))
    admin.close()


def _assert_decoded(page: Page, selector: str) -> None:
    """There is a picture, and the browser could read it."""
    page.locator(selector).first.wait_for()
    page.wait_for_function("s => document.querySelector(s).naturalWidth > 0", arg=selector)
    assert page.evaluate("s => document.querySelector(s).naturalWidth", selector) > 0
