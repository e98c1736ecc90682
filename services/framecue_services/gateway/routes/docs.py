"""The API's own pages, for people: Swagger UI over `/openapi.json`, out of an ordinary package, asking nobody else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from framecue_services.gateway.etags import REVALIDATE, etag_of, tagged
from framecue_services.gateway.headers import CONTENT_SECURITY_POLICY
from framecue_services.gateway.problems import Problem

PACKAGE = "fastapi_offline"
MEDIA_TYPES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
POLICY = CONTENT_SECURITY_POLICY.replace("img-src 'self' blob:", "img-src 'self' data: blob:")
"""Its style sheet has its icons in itself."""
_PAGE = b"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FrameCue API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
"""
_START = b"""\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page(request: Request) -> Response:
    """The page."""
    answer = tagged(request, _PAGE, media_type="text/html; charset=utf-8", etag=etag_of(_PAGE), cache=REVALIDATE)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


@router.get("/docs/{name}")
async def file(request: Request, name: str) -> Response:
    """A part of it."""
    if name not in MEDIA_TYPES:
        raise Problem(404, "there is no such file")
    body, etag = _read(name)
    return tagged(request, body, media_type=MEDIA_TYPES[name], etag=etag, cache=REVALIDATE)


@cache
def _read(name: str) -> tuple[bytes, str]:
    body = _START if name == "start.js" else files(PACKAGE).joinpath("static", name).read_bytes()
    return body, etag_of(body)
