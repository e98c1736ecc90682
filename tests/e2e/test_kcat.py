"""Other people's tools: FFmpeg cuts, kcat pushes with its own partitioner and reads. Results are those of our push.

The film has a scene every six seconds and a key frame every two. With the light model, on real servers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from framecue.broker.publishing import rules_messages
from framecue.schemas.annotation import Annotation
from framecue.schemas.rules import EventRule, RuleSet, SceneRule
from framecue.settings import child_environment
from tests.support.clips import Picture, make_clip
from tests.support.encoders import PALETTE
from tests.support.fleet import PARTITIONS, Fleet
from tests.support.watching import Watch

SCENES = ("red", "blue", "green", "blue", "yellow")
SCENE_S, SEGMENT_S, WINDOW_MS = 6, 2, 2_000
LAST = len(SCENES) * SCENE_S // SEGMENT_S - 1
RULES = RuleSet(
    scenes=(SceneRule(labels=("red", "green", "blue", "yellow")),),
    events=(EventRule(name="blue", picture=("blue",)), EventRule(name="green", picture=("green",))),
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("kcat") and shutil.which("ffmpeg")), reason="kcat and ffmpeg are not installed"
)


def test_ffmpeg_and_kcat_give_what_push_does(tmp_path: Path, kafka: str, redis_url: str) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(_film())
    with Fleet(tmp_path / "fleet", bootstrap=kafka, redis_url=redis_url) as fleet, Watch(fleet) as watch:
        fleet.broker.commit(rules_messages(RULES, media_partitions=PARTITIONS))
        fleet.start("ingest"), fleet.start("fusion")
        _push(fleet, film, stream="ours")
        _kcat(fleet, "-P", "-t", "segments", "-k", "theirs", "-X", "message.max.bytes=20000000", *_cut(film))
        watch.wait_for(["ours", "theirs"], LAST)
        ours, theirs = (_windows(watch, stream) for stream in ("ours", "theirs"))
        assert ours.keys() == theirs.keys()
        assert _same_scenes(ours, theirs) >= 0.9
        starts = {stream: _starts(fleet, stream) for stream in ("ours", "theirs")}
        assert [rule for rule, _ in starts["ours"]] == ["blue", "green", "blue"]
        assert [rule for rule, _ in starts["theirs"]] == ["blue", "green", "blue"]
        assert all(abs(a - b) <= WINDOW_MS for (_, a), (_, b) in zip(starts["ours"], starts["theirs"], strict=True))
        assert not watch.letters


def _film() -> bytes:
    def draw(index: int, at: Fraction) -> Picture:
        return np.full((180, 320, 3), PALETTE[SCENES[int(at) // SCENE_S]], np.uint8)

    return make_clip(
        seconds=len(SCENES) * SCENE_S, fps=25, size=(320, 180), gop=25 * SEGMENT_S, container="mp4", pattern=draw
    )


def _cut(film: Path) -> list[str]:
    """The segments that FFmpeg's own muxer makes of the film."""
    pattern = film.parent / "piece%03d.ts"
    command = (
        "ffmpeg", "-v", "error", "-i", str(film), "-c", "copy", "-f", "segment", "-segment_time", str(SEGMENT_S),
        "-segment_format", "mpegts", str(pattern),
    )  # fmt: skip
    subprocess.run(command, check=True, timeout=60)
    return [str(piece) for piece in sorted(film.parent.glob("piece*.ts"))]


def _push(fleet: Fleet, film: Path, *, stream: str) -> None:
    """As a user does it."""
    variables = {
        "FRAMECUE_KAFKA__BOOTSTRAP": fleet.connection.bootstrap,
        "FRAMECUE_KAFKA__PREFIX": fleet.connection.prefix,
    }
    command = (sys.executable, "-m", "framecue_services.cli", "push", str(film), "--stream", stream)
    subprocess.run(command, check=True, timeout=60, env=child_environment(variables))


def _kcat(fleet: Fleet, mode: str, _: str, topic: str, *more: str) -> str:
    """What kcat says."""
    command = ("kcat", mode, "-b", fleet.connection.bootstrap, "-t", fleet.connection.topic(topic), "-q", *more)
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


def _windows(watch: Watch, stream: str) -> dict[int, Annotation]:
    """The newest revision of each window, by its start."""
    return {a.start_ms: a for a in watch.annotations if a.stream == stream}


def _same_scenes(ours: dict[int, Annotation], theirs: dict[int, Annotation]) -> float:
    """In how much of the windows both show the same scene."""
    same = [
        a.scene is not None and b.scene is not None and a.scene.label == b.scene.label
        for a, b in ((ours[start], theirs[start]) for start in ours)
    ]
    return sum(same) / len(same)


def _starts(fleet: Fleet, stream: str) -> list[tuple[str, int]]:
    """When each event of the rules started, as a user reads it with kcat."""
    read = _kcat(fleet, "-C", "-t", "events", "-o", "beginning", "-e", "-X", "isolation.level=read_committed")
    events = [json.loads(line) for line in read.splitlines()]
    return sorted(
        ((e["rule"], e["start_ms"]) for e in events if e["stream"] == stream and e["phase"] == "started"
         and not e["rule"].startswith("framecue.")),
        key=lambda one: one[1],
    )  # fmt: skip
