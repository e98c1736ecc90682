"""Where tests find the checkout and the folder of real clips beside it. It must not know what is in them."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_BESIDE = REPO.parent / "shared"

SHARED: Path | None = _BESIDE if _BESIDE.is_dir() else None
"""Real clips, pictures and weights; None where the checkout stands alone. Tests that use it are marked `shared`."""
