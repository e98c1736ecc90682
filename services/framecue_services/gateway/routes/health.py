"""Whether the gateway lives, whether it can do its work, and what it counts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from framecue.telemetry.setup import prometheus_text
from framecue_services.gateway.access import Reader
from framecue_services.gateway.health import Health
from framecue_services.gateway.problems import Problem, documented

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter(tags=["operating"])


class Well(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="Does the process live?")
async def lives() -> Well:
    """Answers as long as the process does, whatever else is away. Needs no token."""
    return Well()


@router.get("/readyz", summary="Do Kafka and Redis answer?", responses=documented(503, only=True))
async def is_ready(request: Request) -> Well:
    """Answers `503` with the names of the servers that do not. Needs no token."""
    health: Health = request.app.state.health
    if away := await health.away():
        raise Problem(503, f"{' and '.join(away)} {'do' if away[1:] else 'does'} not answer")
    return Well()


@router.get(
    "/metrics",
    summary="Metrics of this gateway, for Prometheus",
    responses={200: {"content": {PROMETHEUS: {"schema": {"type": "string"}}}}, **documented()},
    response_class=Response,
)
async def metrics(caller: Reader) -> Response:
    """For who sees all streams: what is counted here concerns all of them."""
    if not caller.sees_all:
        raise Problem(403, "metrics concern all streams: the token has to be one for *")
    return Response(prometheus_text(), media_type=PROMETHEUS)
