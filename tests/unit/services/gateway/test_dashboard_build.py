"""The built dashboard belongs to its sources, holds nothing that a browser would refuse, and can be built again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from framecue_services.gateway.pages import MEDIA_TYPES
from tests.support.gateway import House
from tests.support.paths import REPO

GATEWAY = REPO / "services" / "framecue_services" / "gateway"
SOURCES, BUILT = GATEWAY / "dashboard", GATEWAY / "static"
MANIFEST = json.loads((BUILT / "manifest.json").read_text())
NAMESPACES = {"www.w3.org"}
"""Names of SVG and XHTML, which nobody fetches."""
MAX_BYTES = 1_500_000


def test_built_files_belong_to_these_sources() -> None:
    """Whoever changes a source runs `npm run build` in dashboard/ and commits both."""
    assert _digests(SOURCES, MANIFEST["sources"]) == MANIFEST["sources"]
    present = {f"src/{path.name}" for path in (SOURCES / "src").iterdir()}
    assert present <= set(MANIFEST["sources"]), "a source was added, and nothing built"
    assert _digests(BUILT, MANIFEST["files"]) == MANIFEST["files"]
    assert set(MANIFEST["files"]) == set(MEDIA_TYPES), "what is built is what is served"


@pytest.mark.parametrize("name", sorted(MEDIA_TYPES))
def test_built_files_name_no_other_place_and_are_small(name: str) -> None:
    text = (BUILT / name).read_text()
    assert len(text.encode()) < MAX_BYTES
    named = {urlsplit(url).netloc for url in re.findall(r"(?:https?:)?//[A-Za-z0-9.-]+\.[a-z]{2,}[^\s\"'`)]*", text)}
    assert named <= NAMESPACES


def test_the_page_has_no_inline_script_or_style() -> None:
    """The policy of the gateway would not run them."""
    html = (BUILT / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:", html) == []
    assert re.findall(r"\beval\(|new Function\(|\.innerHTML\s*=|dangerouslySetInnerHTML", _own_script()) == []


def test_the_page_is_served_at_its_addresses_and_kept_by_its_tag() -> None:
    client = House(auth="on").client()  # nobody needs a token to see that there is a page
    for path in ("/", "/streams/cam1", "/events", "/events/cam1/0/late goal/8000", "/rules"):
        found = client.get(path)
        assert (found.status_code, found.headers["content-type"]) == (200, MEDIA_TYPES["index.html"]), path
    for name in set(MEDIA_TYPES) - {"index.html"}:
        found = client.get(f"/static/{name}")
        assert (found.status_code, found.headers["content-type"]) == (200, MEDIA_TYPES[name])
        again = client.get(f"/static/{name}", headers={"if-none-match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for name in ("manifest.json", "nothing.js", "..%2Fpages.py"):
        assert client.get(f"/static/{name}").status_code == 404, name


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (SOURCES / "package-lock.json").read_text()


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm here: apt-get install npm")
def test_sources_are_sound_and_give_the_same_files(tmp_path: Path) -> None:
    """In a copy: types hold, unit tests pass, and the build is what is checked in, byte for byte."""
    copy = tmp_path / "dashboard"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    _run(copy, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
    _run(copy, "npm", "run", "--silent", "check")
    _run(copy, "npm", "test", "--silent")
    _run(copy, "npm", "run", "--silent", "build")
    assert _digests(tmp_path / "static", MANIFEST["files"]) == MANIFEST["files"]


def _own_script() -> str:
    """Our sources; Preact's own code knows innerHTML, and does not use it for us."""
    return "\n".join(path.read_text() for path in (SOURCES / "src").glob("*.ts*"))


def _digests(folder: Path, names: dict[str, str]) -> dict[str, str]:
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
