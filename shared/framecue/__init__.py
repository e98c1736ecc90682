"""FrameCue: watches video streams and reads their subtitles at the same time.

Importing this package loads no model, no decoder and no client library.
"""

__version__ = "0.1.0"
