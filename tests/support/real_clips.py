"""What of the shared folder is no film, and the word by which a refusal names it."""

from __future__ import annotations

NO_MEDIA = [
    ("subs/exo_dash_standalone-ttml_sample.xml", "TTML"),
    ("subs/exo_dash_standalone-webvtt_sample.vtt", "WebVTT"),
    ("subs/popcorn_data.ssa", "ASS"),
    ("subs/popcorn_data.ttml", "TTML"),
    ("subs/popcorn_unit.srt", "SRT"),
    ("subs/popcorn_unit.vtt", "WebVTT"),
    ("subs/popeye_p1.eng.srt", "SRT"),
    ("subs/popeye_p2.eng.srt", "SRT"),
    ("subs/tsduck_012_expected.srt", "SRT"),
    ("subs/shaka_hls_text/subtitle.vtt", "WebVTT"),
    ("subs/shaka_hls_text/index.m3u8", "HLS playlist"),
    ("subs/shaka_hls_text/av.m3u8", "HLS playlist"),
    ("subs/shaka_hls_text/text.m3u8", "HLS playlist"),
]

TELETEXT = "subs/tsduck_012_french_teletext.ts"
"""A broadcast whose picture never begins."""
