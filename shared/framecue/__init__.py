"""FrameCue: watches video streams and reads their subtitles at the same time.

`from framecue import Client` is the way in for other programs. Importing this package loads no model, no decoder and no
client library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framecue.client import Client

__all__ = ["Client", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Client`, loaded when it is first asked for."""
    if name == "Client":
        from framecue.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
