"""This machine, as far as it takes no server: settings, packages, decoders, disk. Each function is one check."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from framecue.errors import MediaError
from framecue.settings import FILE, Settings, unknown_variables
from framecue_services.cli.doctor.findings import Finding, fine
from framecue_services.cli.wording import in_bytes

GIB = 1 << 30
DISK_TIGHT, DISK_FULL = 5 * GIB, GIB // 2
"""A broker that cannot write stops altogether, so the warning comes early."""
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?(?P<bounds>[^;]*)(?P<marker>;.*)?")
_CHECKED = ("kafka-python", "redis", "pydantic", "msgpack", "numpy", "av", "torch", "transformers")
"""Those whose releases change what we rest on."""


def variables() -> Iterator[Finding]:
    """Variables that set nothing."""
    found = unknown_variables()
    for sentence in found:
        what, _, cure = sentence.partition("; ")
        name = what.rpartition(" ")[2]
        yield Finding("error", f"{what}: it sets nothing", f"rename or unset {name}; {cure}")
    if not found:
        yield fine("every FRAMECUE_* variable is a setting")


def settings_file() -> Iterator[Finding]:
    """Where the settings came from; that they can be read was seen before."""
    yield fine(f"settings from {FILE} and variables" if FILE.exists() else "settings from variables and defaults")


def checksums() -> Iterator[Finding]:
    """Whether Kafka's checksums are computed in C."""
    if find_spec("crc32c") is None:
        yield Finding("error", "the package crc32c is missing: Kafka would be 30 times slower", "pip install crc32c")
    else:
        yield fine("crc32c is there")


def packages() -> Iterator[Finding]:
    """Whether what is installed is what this version was made for."""
    seen = []
    for line in requires("framecue") or ():
        match = _REQUIREMENT.match(line)
        if match is None or match["name"] not in _CHECKED or (name := match["name"]) in seen:
            continue
        bounds = match["bounds"].strip()
        try:
            got = version(name)
        except PackageNotFoundError:
            if not match["marker"]:
                yield Finding("error", f"the package {name} is missing", f"pip install '{name}{bounds}'")
            continue
        seen.append(name)
        if not within(got, bounds):
            yield Finding("error", f"{name} is {got}, which is not {bounds}", f"pip install '{name}{bounds}'")
        else:
            yield fine(f"{name} {got}")


def within(got: str, bounds: str) -> bool:
    """Whether a version keeps bounds such as `>=3.0.12,<4`; releases only, which is all that we ask for."""
    for bound in filter(None, bounds.replace(" ", "").split(",")):
        sign = bound.rstrip("0123456789.*abcrpostdev+")
        have, want = _release(got), _release(bound.removeprefix(sign))
        width = max(len(have), len(want))
        have, want = (*have, *(0,) * (width - len(have))), (*want, *(0,) * (width - len(want)))
        kept = {">=": have >= want, "<": have < want, "==": have == want, ">": have > want, "<=": have <= want}
        if not kept.get(sign, True):
            return False
    return True


def decoders(settings: Settings) -> Iterator[Finding]:
    """Whether all codecs are there, and a child that decodes can start."""
    if find_spec("av") is None:
        yield Finding(
            "unknown",
            "no decoder is installed here: ingest cannot run on this machine",
            "pip install 'framecue[ingest]'",
        )
        return
    from framecue.media.codecs import missing_decoders
    from framecue.media.pool import DecoderPool

    if missing := missing_decoders():
        what = f"this build of PyAV cannot decode with {', '.join(missing)}"
        yield Finding("error", what, "pip install --force-reinstall --only-binary av av")
    else:
        yield fine("H.264, HEVC, VP8, VP9, AV1 and MPEG-2 can be decoded")
    with DecoderPool(1, limits=settings.ingest.limits(), sampling=settings.sampling.plan()) as pool:
        try:
            pool.decode(b"a doctor's knock")
        except MediaError as e:
            if type(e).__name__ == "DecoderFailedError":
                raise
    yield fine("decoder processes start and answer")


def disk(settings: Settings) -> Iterator[Finding]:
    """Whether the folder of the local servers has room."""
    folder = settings.local.folder.resolve()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    yield room(folder, shutil.disk_usage(folder).free)


def room(folder: Path, free: int) -> Finding:
    """What `free` bytes mean for a folder that servers write to."""
    what = f"{in_bytes(free)} free at {folder}"
    if free < DISK_TIGHT:
        return Finding(
            "error" if free < DISK_FULL else "warning",
            f"only {what}",
            "free some, or set FRAMECUE_LOCAL__FOLDER to a larger disk",
        )
    return fine(what)


def local_servers(settings: Settings) -> Iterator[Finding]:
    """Whether `framecue up` finds what it starts; asked only where it is used."""
    from framecue_services.cli.local.java import find_java

    if not settings.local.folder.exists():
        return
    yield fine(f"Java for the local Kafka: {find_java()}")


def _release(text: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
