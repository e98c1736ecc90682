"""Pictures: whose they are, what becomes of old ones, and that nobody sees what was not looked at for faces."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from framecue.errors import DamagedMediaError, ModelError
from framecue.schemas.annotation import FrameRef
from framecue.schemas.event import Event, Evidence
from framecue_services.gateway.pictures import Shelf, Shown
from tests.support.gateway import House
from tests.unit.cli.results import annotation, event

PATIENCE_S = 60


class CountedFaces:
    """Marks what it has seen, and how often; `hold` makes it wait, `fail` raise."""

    state = "blurred"

    def __init__(self) -> None:
        self.seen_pictures = 0
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Semaphore(0)
        self.fail = False

    def seen(self, jpeg: bytes, *, width: int | None = None) -> bytes:
        self.seen_pictures += 1
        self.entered.release()
        assert self.hold.wait(PATIENCE_S)
        if self.fail:
            raise ModelError("the detector failed")
        out = io.BytesIO()
        Image.open(io.BytesIO(jpeg)).convert("L").convert("RGB").save(out, "JPEG")  # grey: it was seen
        return out.getvalue()


@pytest.fixture
def faces() -> CountedFaces:
    return CountedFaces()


@pytest.fixture
def house(faces: CountedFaces) -> House:
    return House(faces=faces)


def path_of(ref: FrameRef, stream: str = "cam1") -> str:
    return f"/v1/streams/{stream}/pictures/{ref.partition}/{ref.offset}/{ref.index}"


def size(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def is_grey(jpeg: bytes) -> bool:
    red, green, blue = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return max(red, green, blue) - min(red, green, blue) < 12


def goal(refs: tuple[FrameRef, ...]) -> Event:
    made = event("late goal", 0, stream="cam1", evidence=Evidence(frames=refs))
    return made.model_copy(update={"id": "cam1/0/late goal/0"})


def expire(house: House) -> None:
    """What the topic does after a day."""
    for at, log in house.memory._logs.items():
        if at.topic == "media":
            log.trim(0, log.end)


def test_a_thumbnail_is_the_middle_frame_of_the_newest_window(house: House) -> None:
    refs = house.film("cam1", "red", "green", "blue")
    house.put(annotation(0, stream="cam1", frames=refs[:1]), annotation(1, stream="cam1", frames=refs))
    client = house.client()
    shown = client.get("/v1/streams/cam1/thumbnail")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert shown.content == client.get(path_of(refs[1])).content
    assert shown.headers["cache-control"] == "private, no-cache", "another one comes soon"
    assert client.get(path_of(refs[1])).headers["cache-control"] == "private, max-age=3600"
    assert client.get("/v1/streams/cam1/thumbnail", headers={"If-None-Match": shown.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(("width", "expected"), [(None, (64, 36)), (32, (32, 18)), (64, (64, 36)), (4096, (64, 36))])
def test_a_picture_is_scaled_down_and_never_up(house: House, width: int | None, expected: tuple[int, int]) -> None:
    (ref,) = house.film("cam1", "red")
    shown = house.client().get(path_of(ref), params={} if width is None else {"width": width})
    assert (size(shown.content), is_grey(shown.content)) == (expected, True)


def test_a_picture_is_looked_at_for_faces_once_whatever_sizes_are_asked_for(house: House, faces: CountedFaces) -> None:
    (ref,) = house.film("cam1", "red")
    with house.client() as client:
        for width in (64, 32, 16, 32):
            assert client.get(path_of(ref), params={"width": width}).status_code == 200
    assert faces.seen_pictures == 1


def test_many_who_ask_for_one_picture_at_a_time_cost_as_much_as_one(house: House, faces: CountedFaces) -> None:
    (ref,) = house.film("cam1", "red")
    faces.hold.clear()
    with house.client() as client, ThreadPoolExecutor(8) as people:
        asked = [people.submit(client.get, path_of(ref)) for _ in range(8)]
        assert faces.entered.acquire(timeout=PATIENCE_S)
        faces.hold.set()
        shown = [one.result(PATIENCE_S) for one in asked]
    assert {one.status_code for one in shown} == {200}
    assert len({one.content for one in shown}) == 1
    assert faces.seen_pictures == 1


def test_what_cannot_be_looked_at_is_not_shown_and_not_kept(house: House, faces: CountedFaces) -> None:
    (ref,) = house.film("cam1", "red")
    faces.fail = True
    client = house.client()
    assert (client.get(path_of(ref)).status_code, client.get(path_of(ref)).status_code) == (503, 503)
    faces.fail = False
    assert is_grey(client.get(path_of(ref)).content)


def _other_stream(house: House, ref: FrameRef) -> str:
    house.put(annotation(0, stream="cam2"))
    return path_of(ref, "cam2")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (lambda house, ref: path_of(ref.model_copy(update={"index": 9})), 404),
        (lambda house, ref: path_of(ref.model_copy(update={"partition": 9})), 404),
        (lambda house, ref: path_of(ref.model_copy(update={"offset": 9_999})), 404),  # it does not reach so far yet
        (lambda house, ref: path_of(ref.model_copy(update={"offset": 2**63})), 422),
        (_other_stream, 404),
        (lambda house, ref: "/v1/streams/nobody/thumbnail", 404),
        (lambda house, ref: f"{path_of(ref)}?width=15", 422),
    ],
    ids=["index", "partition", "offset", "no offset", "other stream", "no stream", "too small"],
)
def test_a_picture_that_is_not_there_is_a_problem(
    house: House, path: Callable[[House, FrameRef], str], status: int
) -> None:
    (ref,) = house.film("cam1", "red")
    answer = house.client().get(path(house, ref))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_of_another_stream_it_is_not_there_also_where_it_is_kept(house: House) -> None:
    """Byte for byte as one that never was: who asks learns nothing of the other stream."""
    (ref,) = house.film("cam1", "red")
    client = house.client()
    assert client.get(path_of(ref)).status_code == 200
    never = client.get(path_of(ref.model_copy(update={"offset": 9_999}), "cam2"))
    assert client.get(path_of(ref, "cam2")).content == never.content


def test_an_expired_picture_says_so(house: House) -> None:
    (ref,) = house.film("cam1", "red")
    house.put(annotation(0, stream="cam1", frames=(ref,)))
    expire(house)
    for path in (path_of(ref), "/v1/streams/cam1/thumbnail"):
        answer = house.client().get(path)
        assert (answer.status_code, "expired" in answer.json()["detail"]) == (410, True)


def test_a_stream_without_a_picture_yet_has_none(house: House) -> None:
    house.put(annotation(0, stream="cam1", frames=()))
    answer = house.client().get("/v1/streams/cam1/thumbnail")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no picture of this stream yet")


def test_evidence_that_expired_is_what_redis_keeps_of_the_peak(house: House, faces: CountedFaces) -> None:
    refs = house.film("cam1", "red", "green")
    (shown,) = house.put(goal(refs))
    client, paths = house.client(), [f"/v1/events/cam1/0/late%20goal/0/evidence/{n}" for n in range(3)]
    assert client.get("/v1/events/cam1/0/late%20goal/0").json()["pictures"] == paths[:2]
    assert [client.get(path).status_code for path in paths] == [200, 200, 404]
    house.store.put_evidence("cam1/0/late goal/0", _red(), sequence=1)
    expire(house)
    client = house.client()  # another gateway, with nothing kept
    assert [client.get(path).status_code for path in paths] == [200, 410, 404]
    assert is_grey(client.get(paths[0]).content), "this one is looked at for faces as well"
    house.store.forget(shown.stream)
    assert client.get(paths[0]).status_code == 404


def _red() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 36), "red").save(out, "JPEG")
    return out.getvalue()


def test_a_picture_that_is_none_is_not_shown() -> None:
    class Broken(CountedFaces):
        """Meets what a decoder cannot read."""

        def seen(self, jpeg: bytes, *, width: int | None = None) -> bytes:
            raise DamagedMediaError("no picture")

    house = House(faces=Broken())
    (ref,) = house.film("cam1", "red")
    assert house.client().get(path_of(ref)).status_code == 410


@pytest.mark.parametrize("asked_again", [True, False])
def test_the_shelf_throws_away_what_was_not_seen_for_longest(asked_again: bool) -> None:
    shelf = Shelf(10)
    for name in "abc":
        shelf.put(name, Shown("cam1", b"123"))
    if asked_again:
        shelf.get("a")
    shelf.put("d", Shown("cam1", b"123"))
    assert [shelf.get(name) is not None for name in "abcd"] == ([True, False] if asked_again else [False, True]) + [
        True,
        True,
    ]
    shelf.put("large", Shown("cam1", b"1" * 11))
    assert all(shelf.get(name) is None for name in ("large", *"abcd"))
    shelf.put("a", Shown("cam1", b"1" * 10))
    assert shelf.get("a") is not None, "it still counts right"


def test_too_many_at_once_are_asked_to_come_again(faces: CountedFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framecue_services.gateway.pictures.WORKED_ON", 2)
    house = House(faces=faces)
    refs = house.film("cam1", "red", "green", "blue")
    faces.hold.clear()
    with house.client() as client, ThreadPoolExecutor(2) as people:
        asked = [people.submit(client.get, path_of(ref)) for ref in refs[:2]]
        assert all(faces.entered.acquire(timeout=PATIENCE_S) for _ in asked)
        turned_away = client.get(path_of(refs[2]))
        faces.hold.set()
        assert [one.result(PATIENCE_S).status_code for one in asked] == [200, 200]
    assert (turned_away.status_code, turned_away.headers["retry-after"]) == (503, "1")
