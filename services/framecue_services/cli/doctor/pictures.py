"""What pictures show of people, where this machine shows pictures. It asks no server."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from framecue.settings import PrivacySettings
from framecue_services.cli.doctor.findings import Finding, fine

_BLURRED = "faces are blurred in every picture that gateway and reports show"
_INSTALL = "pip install --force-reinstall 'framecue[privacy]'"


def faces(settings: PrivacySettings) -> Iterator[Finding]:
    """Whether faces are blurred, and if not, whether somebody wanted it so."""
    if find_spec("PIL") is None:
        what = "nothing that shows pictures is installed here: neither the gateway nor reports"
        yield Finding("unknown", what, "pip install 'framecue[gateway]'")
        return
    from framecue.models.faces import open_faces

    state, _, why = open_faces(settings.faces).state.partition(": ")
    match state:
        case "blurred":
            yield fine(_BLURRED)
        case "shown":
            what = "privacy.faces is off: people can be recognised in every picture that gateway and reports show"
            yield Finding("warning", what, "unset FRAMECUE_PRIVACY__FACES, or set it to blur")
        case _:
            reason = why.rpartition(": ")[2]
            yield Finding("warning", f"faces are not blurred in the pictures shown from here: {reason}", _INSTALL)
