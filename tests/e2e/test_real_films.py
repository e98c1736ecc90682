"""`framecue analyze` on every clip of the shared folder: analysed, or refused with the reason that says what it is.

Only the model is light. Clips are sampled by their key frames, so that the whole table stays quick; a window that holds
no key frame has no picture then.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from framecue.errors import MediaError
from framecue.media.pool import DecoderPool
from framecue.media.sampling import Sampling
from framecue_services.cli import running
from framecue_services.cli.analyze import AnalyzeRequest, analyze_film
from tests.support.encoders import light_model
from tests.support.paths import SHARED
from tests.support.real_clips import NO_MEDIA, TELETEXT

pytestmark = pytest.mark.shared
MEDIA = SHARED / "media" if SHARED is not None else Path()
RULES = "scenes:\n  - labels: [red, green]\n"

CLOSED = "closed captions (CEA-608 or 708) in the picture are not read; supply text subtitles"
PGS = "the PGS (bitmap) subtitle track 'eng' is not read; supply text subtitles"
VOBSUB = "the VobSub (bitmap) subtitle track 'eng' is not read; supply text subtitles"
ANALYSED = [
    # file, windows, of which with pictures, lines of text that were joined, what is said not to be read
    ("subs/exo_mkv_sample_with_ass_subtitles.mkv", 1, 1, 1, None),
    ("subs/exo_mkv_sample_with_null_terminated_srt.mkv", 1, 1, 1, None),
    ("subs/exo_mkv_sample_with_overlapping_srt.mkv", 1, 1, 3, None),
    ("subs/exo_mkv_sample_with_pgs_subtitles.mkv", 1, 1, 0, PGS),
    ("subs/exo_mkv_sample_with_srt.mkv", 1, 1, 1, None),
    ("subs/exo_mkv_sample_with_vtt_subtitles.mkv", 1, 1, 1, None),
    ("subs/exo_mp4_fragmented_captions.mp4", 2, 1, 0, CLOSED),
    ("subs/nasa_13013.mp4", 7, 2, 4, "video track 3 is ignored: only one picture track is read"),
    ("subs/popeye_p1_hevc_pgs.mkv", 30, 8, 0, PGS),
    ("subs/popeye_p1_sd_vobsub.mkv", 31, 9, 0, VOBSUB),
    ("subs/popeye_p2_sd_vobsub.mkv", 31, 7, 0, VOBSUB),
    ("subs/shaka_captions-test.ts", 10, 3, 0, CLOSED),
    ("subs/shaka_hls_text/0.ts", 3, 3, 0, None),
    ("subs/shaka_hls_text/1.ts", 3, 3, 0, None),
    ("video/asl_again.mkv", 2, 1, 0, None),
    ("video/asl_book.mkv", 2, 1, 0, None),
    ("video/asl_eat.mkv", 1, 1, 0, None),
    ("video/exo_flv_sample-with-key-frame-index.flv", 2, 2, 0, None),
    ("video/exo_mkv_bbb_960x540_60fps_vp8.webm", 1, 1, 0, None),
    ("video/exo_mp4_bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4", 2, 2, 0, None),
    ("video/exo_mp4_edit_list_positive_shift.mp4", 5, 2, 0, None),
    ("video/exo_mp4_long_180p_av1.mp4", 182, 68, 0, None),
    ("video/exo_mp4_sample_fragmented.mp4", 1, 1, 0, None),
    ("video/exo_mp4_sample_rotate_and_reflect.mp4", 1, 1, 0, None),
    ("video/exo_mp4_sample_sef_slow_motion.mp4", 2, 1, 0, None),
    ("video/exo_mp4_sample_with_increasing_timestamps_320w_240h.mp4", 8, 4, 0, None),
    ("video/exo_mp4_silent-black-10s.mp4", 5, 2, 0, None),
    ("video/exo_ts_bbb_2500ms.ts", 2, 2, 0, None),
    ("video/exo_ts_sample_h264.ts", 1, 1, 0, None),
    ("video/exo_ts_sample_h265.ts", 1, 1, 0, None),
    ("video/one-by-one-person-detection.mp4", 70, 70, 0, None),
    ("video/tc_h265_video.mp4", 1, 1, 0, None),
    ("video/tc_non_zero_start.mp4", 1, 1, 0, None),
    ("video/tears_of_steel_battle.webm", 36, 19, 0, None),
]
REFUSED = [*NO_MEDIA, (TELETEXT, "no picture to begin with; the teletext subtitle track 'fra' is not read")]


@pytest.fixture(scope="module", autouse=True)
def one_pool() -> Iterator[None]:
    """The same decoders for all clips: starting them is most of what a short one costs."""
    with DecoderPool(1, sampling=Sampling(mode="keyframes")) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "DecoderPool", lambda *_, **__: nullcontext(pool))
        yield


def analyze(name: str, folder: Path) -> list[dict[str, Any]]:
    """The results, as JSON values."""
    rules, out, err = folder / "rules.yaml", io.BytesIO(), io.StringIO()
    rules.write_text(RULES)
    request = AnalyzeRequest(film=MEDIA / name, rules=rules, sampling="keyframes", subtitles=())
    analyze_film(request, load=lambda _: light_model(), out=out, err=Console(file=err, width=300))
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(("name", "windows", "pictured", "lines", "unread"), ANALYSED)
def test_a_clip_is_analysed_to_its_end(name, windows, pictured, lines, unread, tmp_path: Path) -> None:
    results = analyze(name, tmp_path)
    last = [{r["start_ms"]: r for r in results if r["type"] == "annotation"}[2000 * i] for i in range(windows)]
    assert max(r["start_ms"] for r in results if r["type"] == "annotation") == 2000 * (windows - 1)
    assert last[-1]["settled_until_ms"] == last[-1]["end_ms"]
    assert sum(bool(r["frames"]) for r in last) == pictured
    assert all((r["scene"] is not None) == bool(r["frames"]) for r in last)
    assert {r["degraded"] for r in last if r["frames"]} == {None}
    assert len({(c["start_ms"], c["text"]) for r in last for c in r["text"]["cues"]}) == lines
    warnings = [r["message"] for r in results if r["type"] == "event" and r["rule"] == "framecue.warning"]
    assert warnings == ([] if unread is None else [unread]), "once, and nothing else"


@pytest.mark.parametrize(("name", "says"), REFUSED)
def test_what_is_no_film_is_refused_by_its_name(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as refused:
        analyze(name, tmp_path)
    assert says in str(refused.value)


def test_every_clip_is_in_a_table() -> None:
    listed = {name for name, *_ in (*ANALYSED, *REFUSED)}
    found = [path for folder in ("video", "subs") for path in (MEDIA / folder).rglob("*") if path.is_file()]
    assert {str(path.relative_to(MEDIA)) for path in found} == listed
