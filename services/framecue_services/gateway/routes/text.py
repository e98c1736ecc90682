"""A line typed by a person, joined with what is on at that moment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from framecue.broker.protocol import Broker, Message
from framecue.schemas.segment import CUE_TEXT_MAX, SubtitleHeaders, subtitle_headers
from framecue.schemas.topics import SUBTITLES
from framecue.telemetry.traces import span
from framecue_services.gateway.access import Writer
from framecue_services.gateway.answers import Accepted
from framecue_services.gateway.problems import Problem, documented
from framecue_services.gateway.routes.streams import StreamName, check_seen
from framecue_services.gateway.words import Words
from framecue_services.gateway.writing import written

router = APIRouter(prefix="/v1/streams", tags=["text"])
PLAIN = "text/plain; charset=utf-8"


class Line(BaseModel):
    """What is said now."""

    model_config = ConfigDict(extra="forbid")

    text: Words = Field(description=f"at most {CUE_TEXT_MAX} characters", examples=["And it is a goal!"])
    language: Annotated[str | None, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$", examples=["en"])] = None


@router.post("/{id}/text", summary="Say something", status_code=202, responses=documented(404, 413, 415, 422))
async def say(request: Request, caller: Writer, stream: StreamName, line: Line) -> Accepted:
    """Counts as said when it arrives in Kafka, like a line of `framecue say`: the newest window is revised with it.

    It may come before the first picture does, and so before anybody knows of the stream: it waits for it.
    """
    check_seen(caller, stream)
    if len(line.text) > CUE_TEXT_MAX:
        raise Problem(413, f"{len(line.text)} characters are longer than a line may be, which is {CUE_TEXT_MAX}")
    if not line.text.strip():
        raise Problem(422, "there are no words in it")
    broker: Broker = request.app.state.broker
    with span("say", about={"framecue.stream": stream}) as here:
        said = SubtitleHeaders(content_type=PLAIN, language=line.language, traceparent=here.traceparent)
        message = Message(SUBTITLES.name, stream.encode(), line.text.encode(), (*subtitle_headers(said), *here.mark))
        await written(request.app.state.pools, broker.commit, [message])
    return Accepted()
