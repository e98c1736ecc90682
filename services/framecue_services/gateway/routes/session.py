"""A browser's session: EventSource and pictures send no headers of ours, so a cookie stands for the token."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from framecue.schemas.token import Scope
from framecue_services.gateway.access import SESSION_PATH, Access, Caller, Credential
from framecue_services.gateway.problems import documented
from framecue_services.gateway.sessions import COOKIE

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """The token that a person was given."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[SecretStr, Field(min_length=1, max_length=200, examples=["fc_k3v9…"])]


class Session(BaseModel):
    """Who asks, and what this gateway lets them do and see."""

    name: str = Field(description="of the token; `everybody` where none is needed", examples=["night desk"])
    scope: Scope = Field(description="each includes those before it")
    streams: tuple[str, ...] = Field(description="patterns of the streams that are seen", examples=[["lab-*"]])
    auth: Literal["on", "off"] = Field(description="off: whoever reaches this machine may everything")
    faces: str = Field(
        description="blurred; shown, as the settings ask; or `unblurred: ` and why that is so", examples=["blurred"]
    )


@router.post(SESSION_PATH, summary="Log in", responses=documented(400, 401, 409, 415, 422))
async def log_in(login: Login, request: Request, response: Response) -> Session:
    """Shows a token once and gives a cookie that stands for it, which scripts cannot read."""
    access: Access = request.app.state.access
    cookie, credential = await access.open_session(login.token.get_secret_value().strip(), request)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=access.seconds_left(credential),
        path="/",
        secure=access.settings.secure_cookie,
        httponly=True,
        samesite="strict",
    )
    return _session(credential, request)


@router.get(SESSION_PATH, summary="Who am I?", responses=documented(400))
async def who(caller: Caller, request: Request) -> Session:
    """Says who asks, what they may do and see, and whether faces are blurred."""
    return _session(caller, request)


@router.delete(SESSION_PATH, summary="Log out", status_code=204, responses=documented(400))
async def log_out(_: Caller, request: Request, response: Response) -> None:
    """Takes the cookie back. A copy of it counts until its time is over, or until the token is revoked."""
    access: Access = request.app.state.access
    response.delete_cookie(COOKIE, path="/", secure=access.settings.secure_cookie, httponly=True, samesite="strict")


def _session(credential: Credential, request: Request) -> Session:
    access: Access = request.app.state.access
    principal = credential.principal
    return Session(
        name=principal.name,
        scope=principal.scope,
        streams=principal.streams,
        auth=access.settings.auth,
        faces=request.app.state.faces,
    )
