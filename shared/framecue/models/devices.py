"""Where a model runs."""

from __future__ import annotations

import torch

from framecue.errors import SetupError


def pick_device(wanted: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`; raises SetupError where it is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SetupError(f"device {wanted} was asked for, but torch sees no such device; choose cpu or auto")
    return device
