"""The preset `default` on drawn pictures and on the demo clips: what it names, what it leaves alone, what it equals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from framecue.analysis.scores import margin, probability, upper_half_mean
from framecue.analysis.spaces import Array, ConseSpace, from_wire, to_wire
from framecue.models.default import SIDE, ConseImages, load
from framecue.models.effnet import prepare
from framecue.models.loading import load_model
from framecue.models.lock import preset
from framecue.models.protocols import Model, Picture
from tests.support.footage import footage
from tests.support.pictures import SIZES, even, noise, scenery
from tests.support.prompts import GIBBERISH, LABELS

pytestmark = pytest.mark.model

CLIPS = {"bikes": "city traffic", "bigbuckbunny": "an animal outdoors", "carphone_pristine": "a man in a suit"}
PROMPTS = {
    "bikes": ("trams and bicycles in a town", "bicycles and cars on a city street"),
    "bigbuckbunny": ("a furry animal outdoors", "a cartoon animal in a green meadow"),
    "carphone_pristine": ("a man wearing a bow tie",),
}
"""Phrases that fire in their own clip and in no other."""
ENTER = 0.6
WINDOW_SECONDS = 2


@pytest.fixture(scope="module")
def model(default_model: Model) -> Model:
    return default_model


@pytest.fixture(scope="module")
def clips(model: Model) -> dict[str, list[Array]]:
    """The frame vectors of each clip, as the log holds them, window by window."""
    return {name: [logged(model.images.embed(w)) for w in windows(footage(f"{name}.mp4"))] for name in CLIPS}


def windows(path: Path) -> Iterator[list[Picture]]:
    """Two frames per second, two seconds a window."""
    found: dict[int, dict[int, Picture]] = {}
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            cell = int(frame.time * 2)
            window = found.setdefault(cell // (2 * WINDOW_SECONDS), {})
            if cell not in window:
                window[cell] = frame.to_ndarray(format="rgb24")
    return iter([list(w.values()) for w in found.values()])


def logged(vectors: Array) -> Array:
    return np.stack([from_wire(to_wire(v)) for v in vectors])


def score(model: Model, images: Array, *phrases: str) -> float:
    """The published picture score of one window."""
    space = model.space
    prompts = logged(model.texts.embed_prompts(phrases))
    margins = margin(
        space.picture.scale * space.similarity(images, prompts).astype(float),
        space.picture.scale * space.similarity(images, space.picture.background).astype(float),
    )
    return float(upper_half_mean(probability(margins, space.picture.calibration)[:, None])[0])


def scenes(model: Model, images: Array, labels: tuple[str, ...]) -> np.ndarray:
    return model.space.distribution(images, logged(model.texts.embed_prompts(labels))).mean(axis=0)


@pytest.mark.parametrize("name", CLIPS)
def test_fitting_label_leads_and_is_named_and_nothing_is_named_wrong(model: Model, clips, name: str) -> None:
    fitting = LABELS.index(CLIPS[name])
    rows = [scenes(model, images, LABELS) for images in clips[name]]
    assert [int(row[:-1].argmax()) for row in rows] == [fitting] * len(rows)
    named = [int(row.argmax()) for row in rows if row.argmax() < len(LABELS)]
    assert named
    assert set(named) == {fitting}


def test_swapped_labels_swap_the_outputs(model: Model, clips) -> None:
    images = clips["bikes"][1]
    one, other = scenes(model, images, LABELS[:2]), scenes(model, images, LABELS[1::-1])
    np.testing.assert_allclose(one, other[[1, 0, 2]], atol=1e-6)


@pytest.mark.parametrize("name", CLIPS)
def test_picture_phrases_fire_in_their_own_clip_alone(model: Model, clips, name: str) -> None:
    for phrase in PROMPTS[name]:
        best = {other: max(score(model, images, phrase) for images in clips[other]) for other in CLIPS}
        assert best.pop(name) >= 0.7, phrase
        assert max(best.values()) < ENTER, phrase


@pytest.mark.parametrize("name", CLIPS)
def test_gibberish_is_never_named_and_fires_no_event(model: Model, clips, name: str) -> None:
    for images in clips[name]:
        assert scenes(model, images, GIBBERISH).argmax() == len(GIBBERISH)
        assert max(score(model, images, phrase) for phrase in GIBBERISH) < ENTER


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_blank_pictures_are_unknown_and_fire_no_event(model: Model, height: int, width: int) -> None:
    blank = [even(0, height, width), even(255, height, width), noise(1, height, width), noise(2, height, width)]
    for picture in blank:
        images = logged(model.images.embed([picture]))
        assert scenes(model, images, LABELS)[-1] == pytest.approx(1)
        assert max(score(model, images, p) for p in (*LABELS, *GIBBERISH)) < ENTER
        assert model.space.explain(images[0]) == []


def test_batched_equals_one_by_one() -> None:
    """With batches, which a CPU has none of for pictures, nor the deterministic mode for texts."""
    model = load(preset("default"), deterministic=False, threads=1, device="cpu")
    assert isinstance(model.images, ConseImages)
    frames = [scenery(seed) for seed in range(5)]
    single = np.concatenate([model.images.embed([f]) for f in frames])
    np.testing.assert_allclose(replace(model.images, batch=3).embed(frames), single, atol=1e-4)
    for embed in (model.texts.embed, model.texts.embed_prompts):
        single = np.concatenate([embed([t]) for t in LABELS])
        np.testing.assert_allclose(embed(LABELS), single, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_scores_of_a_cpu(model: Model) -> None:
    on_gpu = load(preset("default"), deterministic=False, threads=1, device="cuda")
    frames = [scenery(seed) for seed in range(5)]
    here, there = (logged(m.images.embed(frames)) for m in (model, on_gpu))
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_classifier_equals_its_own_package(model: Model) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    own = EfficientNet.from_name("efficientnet-lite2")
    own.load_state_dict(torch.load(preset("default").packaged()[0].locate(), weights_only=True))
    own.eval()
    assert isinstance(model.images, ConseImages)
    for frame in (scenery(1), scenery(2, 300, 200)):
        with torch.inference_mode():
            expected = own(prepare(frame, SIDE)[None]).numpy()
        np.testing.assert_allclose(model.images.logits([frame]), expected, atol=1e-4)


def test_loaded_again_gives_equal_vectors_in_deterministic_mode() -> None:
    frames, one, other = [scenery(1), scenery(2)], *(load_model("default", deterministic=True) for _ in range(2))
    assert one.space.id == other.space.id
    np.testing.assert_array_equal(one.images.embed(frames), other.images.embed(frames[::-1])[::-1])
    np.testing.assert_array_equal(one.texts.embed(LABELS), other.texts.embed(LABELS[::-1])[::-1])


def test_space_id_changes_with_what_changes_a_score(model: Model) -> None:
    record = preset("default")
    assert record.space_id() == model.space.id
    assert record.unknown is not None
    moved = record.unknown.model_copy(update={"value": record.unknown.value + 0.01})
    assert record.model_copy(update={"unknown": moved}).space_id() != model.space.id


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not an archive"], ids=["empty", "not an archive"])
def test_damaged_cache_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Model, damage: bytes
) -> None:
    """Made of few texts: what is tested is the cache, not the encoder."""
    monkeypatch.setattr("framecue.models.default._class_texts", lambda _: [[f"thing {i}"] for i in range(1000)])
    first = load(preset("default"), deterministic=False, threads=1, cache=tmp_path).space
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    again = load(preset("default"), deterministic=False, threads=1, cache=tmp_path).space
    assert isinstance(first, ConseSpace)
    assert isinstance(again, ConseSpace)
    np.testing.assert_array_equal(first.classes, again.classes)
    assert path.read_bytes() != damage


def test_explains_what_a_picture_was_recognised_through(model: Model, clips) -> None:
    found = model.space.explain(clips["carphone_pristine"][0].mean(axis=0))
    assert found
    assert {name for name, _ in found} & {"bow tie", "suit", "Windsor tie"}


def test_unknown_moves_with_its_cosine(model: Model, clips) -> None:
    assert isinstance(model.space, ConseSpace)
    labels = logged(model.texts.embed_prompts(LABELS))
    shares = [
        replace(model.space, unknown_cosine=cosine).distribution(clips["bikes"][1], labels)[:, -1].mean()
        for cosine in (0.1, 0.2, 0.4)
    ]
    assert shares == sorted(shares)
