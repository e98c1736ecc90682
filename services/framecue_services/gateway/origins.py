"""Whether a browser asks for our own page or for somebody else's: what cookies and loopback cannot tell.

A browser sends what it holds for us with every request, whichever page made it; and any page may point a name of its
own at 127.0.0.1. Programs send none of these headers, and need not.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Those that change nothing."""
_OWN = frozenset({"same-origin", "none"})
"""`none`: a person typed the address or followed a bookmark."""
_FORM_TYPES = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
"""What any page may send anywhere; all else a browser asks us about first, and is never allowed."""


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty where there is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def is_foreign(method: str, headers: Headers, *, https_only: bool) -> bool:
    """Whether a page of somebody else's makes the browser ask; `https_only` where ours is never served otherwise."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in _OWN:
        return True
    origin = headers.get("origin")
    if origin is None or method in SAFE_METHODS:  # of a GET it is told only where it matters to CORS, which is off
        return False
    return not _is_own(origin, headers.get("host", ""), https_only=https_only)


def says_origin(headers: Headers) -> bool:
    """Whether the request says where it is from, as every browser does of one that changes something."""
    return "origin" in headers or "sec-fetch-site" in headers


def is_of_form(headers: Headers) -> bool:
    """Whether a form, or a script without asking, could have sent a body of this type."""
    return headers.get("content-type", "").split(";")[0].strip().lower() in _FORM_TYPES


def _is_own(origin: str, host: str, *, https_only: bool) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    schemes = ("https",) if https_only else ("http", "https")
    return parts.scheme in schemes and parts.netloc.lower() == host.lower()
