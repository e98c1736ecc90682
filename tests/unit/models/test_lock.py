"""`models.lock`: what is recorded, what is noticed, what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from framecue.errors import SetupError
from framecue.models.loading import find_record
from framecue.models.lock import PairRecord, check, preset, pull, read_lock, write_lock
from framecue.models.packaged import PackagedFile
from framecue.schemas.rules import Calibration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "remote.py").write_text("raise SystemExit")
    return made


def test_pulled_folder_is_recorded_without_its_code(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    pull(str(folder), lock)
    record = read_lock(lock).models[str(folder)]
    assert record.kind == "folder"
    assert sorted(record.files) == ["config.json", "model.safetensors"]
    assert check(lock) == []


def test_check_names_what_changed_and_what_is_gone(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    pull(str(folder), lock)
    model = read_lock(lock).models[str(folder)]
    write_lock(lock, read_lock(lock).model_copy(update={"models": {str(folder): model.model_copy(
        update={"files": {**model.files, "config.json": "0" * 64, "gone.json": "0" * 64}})}}))  # fmt: skip
    changed, gone = check(lock)
    assert "config.json has changed" in changed
    assert "gone.json is missing" in gone
    with pytest.raises(SetupError, match="has changed"):
        find_record(str(folder), lock=lock)


def test_pulling_again_keeps_the_calibration_of_the_same_files(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    model = pull(str(folder), lock)
    fitted = model.model_copy(update={"text": PairRecord(scale=9, calibration=Calibration(a=2, b=-1))})
    write_lock(lock, read_lock(lock).model_copy(update={"models": {str(folder): fitted}}))
    assert pull(str(folder), lock) == fitted
    assert find_record(str(folder), lock=lock) == fitted
    assert fitted.space_id() != model.space_id()


@pytest.mark.model
def test_preset_says_how_it_was_fitted_and_its_files_are_in_place(tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    pull("default", lock)
    assert check(lock) == []
    record = preset("default")
    for pair in (record.picture, record.text):
        assert pair.calibration is not None
        assert pair.fit is not None
        assert pair.fit.calibration_error <= 0.10
        assert pair.fit.brier < 0.25
    assert record.unknown is not None
    assert record.unknown.criterion


def test_hub_id_that_cannot_be_fetched_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="name the folder"):
        pull("someone/some-model", tmp_path / "models.lock")
    assert not (tmp_path / "models.lock").exists()


UNKNOWN = [
    ("a name that is nothing", "nosuch", "models pull nosuch"),
    ("an id that was never pulled", "someone/some-model", "models pull someone/some-model"),
]


@pytest.mark.parametrize(("why", "name", "says"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_unresolved_name_says_what_to_run(tmp_path: Path, why: str, name: str, says: str) -> None:
    with pytest.raises(SetupError, match=says):
        find_record(name, lock=tmp_path / "models.lock")


def test_damaged_lock_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    lock.write_text("{")
    with pytest.raises(SetupError, match="is no models"):
        read_lock(lock)


def test_lock_in_an_impossible_place_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: is a directory"):
        read_lock(tmp_path)
    with pytest.raises(SetupError, match="cannot be written: no such file"):
        pull(str(folder), tmp_path / "nowhere" / "models.lock")


PACKAGES = [
    (
        "a package that is not installed",
        PackagedFile("no-such-package-here", "x", ""),
        "no-such-package-here is missing",
    ),
    ("a file that the package lacks", PackagedFile("numpy", "no-such-file.bin", ""), "lacks no-such-file.bin"),
    ("another file than was measured", PackagedFile("numpy", "numpy/__init__.py", "0" * 64), "not the file"),
]


@pytest.mark.parametrize(("why", "file", "says"), PACKAGES, ids=[row[0] for row in PACKAGES])
def test_packaged_file_is_refused_with_a_sentence(why: str, file: PackagedFile, says: str) -> None:
    with pytest.raises(SetupError, match=says):
        file.locate()
