"""Models from a Hugging Face folder: real architectures, tiny and random, loaded like real checkpoints."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from framecue.errors import SetupError
from framecue.models.loading import load_model
from framecue.models.lock import folder_record
from framecue.models.protocols import Model
from tests.support import checkpoints
from tests.support.paths import SHARED
from tests.support.pictures import SIZES, even, noise, scenery

TEXTS = ["a dog in a street", "city traffic", "two people eat"]
PICTURES = [scenery(1), scenery(2, 120, 80), scenery(3)]

DUAL: dict[str, Callable[[Path], None]] = {
    "clip": checkpoints.save_clip,
    "siglip": checkpoints.save_siglip,
    "siglip2": checkpoints.save_siglip2,
}


@pytest.fixture(scope="module", params=list(DUAL))
def dual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    DUAL[request.param](folder)
    return folder


@pytest.fixture(scope="module")
def loaded(dual: Path) -> Model:
    return load_model(str(dual), device="cpu")


def own_logits(folder: Path) -> np.ndarray:
    """What transformers says itself, called as its documentation calls it."""
    model = transformers.AutoModel.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    padding = True if model.config.model_type == "clip" else "max_length"
    inputs = processor(
        text=TEXTS, images=[Image.fromarray(p) for p in PICTURES], return_tensors="pt",
        padding=padding, truncation=True, max_length=checkpoints.CONTEXT,
    )  # fmt: skip
    with torch.inference_mode():
        logits = model(**inputs).logits_per_image.numpy()
    return logits - (model.logit_bias.item() if hasattr(model, "logit_bias") else 0)


def our_logits(model: Model) -> np.ndarray:
    images, texts = model.images.embed(PICTURES), model.texts.embed(TEXTS)
    return model.space.picture.scale * model.space.similarity(images, texts)


def test_dual_encoder_gives_transformers_own_logits(dual: Path, loaded: Model) -> None:
    np.testing.assert_allclose(our_logits(loaded), own_logits(dual), atol=1e-4)


def test_deterministic_mode_gives_the_same_vectors_in_any_company(dual: Path) -> None:
    model = load_model(str(dual), deterministic=True, device="cpu")
    np.testing.assert_array_equal(model.images.embed(PICTURES)[:1], model.images.embed(PICTURES[:1]))
    np.testing.assert_array_equal(model.texts.embed(TEXTS)[1:2], model.texts.embed(TEXTS[1:2]))


def test_batched_equals_one_by_one(loaded: Model) -> None:
    model = loaded
    single = np.concatenate([model.images.embed([p]) for p in PICTURES])
    np.testing.assert_allclose(model.images.embed(PICTURES), single, atol=1e-4)
    np.testing.assert_allclose(
        model.texts.embed(TEXTS), np.concatenate([model.texts.embed([t]) for t in TEXTS]), atol=1e-4
    )


def test_blank_pictures_are_unknown(loaded: Model) -> None:
    model = loaded
    blank = [p for h, w in SIZES for p in (even(0, h, w), even(255, h, w), noise(1, h, w))]
    rows = model.space.distribution(model.images.embed(blank), model.texts.embed_prompts(TEXTS))
    assert (rows.argmax(axis=1) == len(TEXTS)).all()


def test_swapped_labels_swap_the_outputs(loaded: Model) -> None:
    model = loaded
    images = model.images.embed(PICTURES)
    one = model.space.distribution(images, model.texts.embed_prompts(TEXTS[:2]))
    other = model.space.distribution(images, model.texts.embed_prompts(TEXTS[1::-1]))
    np.testing.assert_allclose(one, other[:, [1, 0, 2]], atol=1e-6)


def test_space_id_changes_with_the_files(dual: Path, loaded: Model, tmp_path: Path) -> None:
    before = loaded.space
    copy = tmp_path / dual.name
    shutil.copytree(dual, copy)
    assert folder_record(copy).space_id() == before.id
    (copy / "another.json").write_text("{}")
    assert folder_record(copy).space_id() != before.id


@pytest.mark.model
def test_classifier_answers_over_its_own_classes(tmp_path: Path) -> None:
    labels = ("cat", "harbour", "lecture")
    checkpoints.save_classifier(tmp_path, labels)
    model = load_model(str(tmp_path), device="cpu")
    assert model.space.closed_labels == labels
    images = model.images.embed([*PICTURES, even(0, 90, 160)])
    rows = model.space.distribution(images, np.zeros((0, model.space.text_dims), np.float32))
    own = transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
    inputs = transformers.AutoImageProcessor.from_pretrained(tmp_path)(
        Image.fromarray(PICTURES[0]), return_tensors="pt"
    )
    with torch.inference_mode():
        expected = own(**inputs).logits.softmax(-1).numpy()[0]
    np.testing.assert_allclose(images[0], expected, atol=1e-4)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert rows[3].argmax() == len(labels)


@pytest.mark.shared
@pytest.mark.model
@pytest.mark.skipif(SHARED is None, reason="no shared folder")
def test_published_classifier_loads_from_its_folder() -> None:
    assert SHARED is not None
    model = load_model(str(SHARED / "weights" / "mobilenet_v2_1.0_224"), device="cpu")
    assert len(model.space.closed_labels or ()) == 1001
    rows = model.space.distribution(model.images.embed(PICTURES), np.zeros((0, model.space.text_dims), np.float32))
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


NOTHING, CLIP = b'{"model_type": "nothing"}', b'{"model_type": "clip"}'
REFUSED = [
    ("pickled weights", {"config.json": b"{}", "pytorch_model.bin": b"x"}, "may run code"),
    ("no weights", {"config.json": b"{}"}, "no weight file"),
    ("unknown architecture", {"config.json": NOTHING, "model.safetensors": b"x"}, "could not be loaded"),
    ("weights that are none", {"config.json": CLIP, "model.safetensors": b"x"}, "could not be loaded"),
]


@pytest.mark.parametrize(("why", "files", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_folder_is_refused_with_a_sentence(tmp_path: Path, why: str, files: dict[str, bytes], says: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SetupError, match=says):
        load_model(str(tmp_path), device="cpu")


def test_code_in_a_folder_never_runs_whatever_the_terminal_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, transformers would ask on the terminal whether a stranger's code may run."""
    (tmp_path / "config.json").write_text('{"model_type": "theirs", "auto_map": {"AutoConfig": "code.Config"}}')
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(SetupError, match="could not be loaded"):
        load_model(str(tmp_path), device="cpu")
    assert not (tmp_path / "ran").exists()
