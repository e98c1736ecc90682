"""What is looked for: shown to whom it concerns, replaced by who may."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from framecue.broker.protocol import Broker
from framecue.broker.rules import InForce, RuleChange, apply_rules, rules_in_force
from framecue.errors import RulesError
from framecue.schemas.rules import RuleSet, rules_from_yaml
from framecue.schemas.segment import first_error
from framecue.timeline import rfc3339
from framecue_services.gateway.access import Admin, Reader
from framecue_services.gateway.answers import RuleChanged, RulesApplied, RulesNow
from framecue_services.gateway.etags import NOT_MODIFIED, answer
from framecue_services.gateway.principal import Principal
from framecue_services.gateway.problems import Problem, documented
from framecue_services.gateway.threads import Pools
from framecue_services.gateway.writing import written

router = APIRouter(prefix="/v1/rules", tags=["rules"])
JSON, YAML = "application/json", "application/yaml"
_log = logging.getLogger(__name__)
_EXAMPLE = """\
scenes:
  - labels: [news studio, football match, kitchen]
events:
  - name: goal
    streams: "sport-*"
    picture: ["players celebrating a goal"]
    text: ["goal", "he scores"]
    combine: both
    for: 2s
"""
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            YAML: {"schema": {"type": "string", "description": "as in a rules file"}, "example": _EXAMPLE},
            JSON: {"schema": {"$ref": "#/components/schemas/RuleSet"}},
        },
    }
}


@router.get("", summary="The rules in force", response_model=RulesNow, responses=NOT_MODIFIED | documented())
async def show(request: Request, caller: Reader) -> Response:
    """With when they came, by Kafka's time. Who does not see all streams is shown what is for `*` or for theirs."""
    broker: Broker = request.app.state.broker
    pools: Pools = request.app.state.pools
    try:
        found = await pools.kafka.run(rules_in_force, broker)
    except RulesError as e:  # which may quote rules that are none of the caller's business
        _log.warning("%s", e)
        detail = "the rules in force cannot be read; put good ones in force with `framecue rules apply FILE`"
        raise Problem(503, detail) from e
    return answer(request, _shown(caller, found or InForce(RuleSet(), None)))


@router.put("", summary="Replace the rules", openapi_extra=_BODY, responses=documented(413, 415, 422))
async def replace(request: Request, caller: Admin) -> RulesApplied:
    """All of them, from here on, on every worker alike. For an `admin` who sees all streams.

    YAML is read as a rules file, JSON (`Content-Type: application/json`) as `GET` shows it.
    """
    if not caller.sees_all:
        raise Problem(403, "rules concern all streams: the token has to be one for *")
    broker: Broker = request.app.state.broker
    body, content_type = await request.body(), request.headers.get("content-type", "")
    done = await written(request.app.state.pools, _applied, broker, body, content_type)
    return RulesApplied(
        changes=tuple(RuleChanged(kind=c.kind, what=c.what, streams=c.streams, how=c.how) for c in done)
    )


def _shown(caller: Principal, found: InForce) -> RulesNow:
    rules = found.rules
    if not caller.sees_all:
        rules = RuleSet(
            scenes=tuple(scene for scene in rules.scenes if _concerns(caller, scene.streams)),
            events=tuple(event for event in rules.events if _concerns(caller, event.streams)),
        )
    return RulesNow(since=None if found.since_ms is None else rfc3339(found.since_ms), rules=rules)


def _concerns(caller: Principal, pattern: str) -> bool:
    """Whether a rule for `pattern` says nothing of streams that the caller is not told of."""
    return pattern == "*" or caller.sees(pattern)


def _applied(broker: Broker, body: bytes, content_type: str) -> tuple[RuleChange, ...]:
    """Reads them too: a megabyte of YAML takes seconds, which nobody else is to wait for."""
    return apply_rules(broker, _rules(body, content_type))


def _rules(body: bytes, content_type: str) -> RuleSet:
    """What the body says; raises RulesError that points to the line, which becomes a problem 422."""
    try:
        text = body.decode()
    except UnicodeDecodeError as e:
        raise RulesError("is no UTF-8 text") from e
    if content_type.partition(";")[0].strip().lower() != JSON:
        return rules_from_yaml(text)
    try:
        return RuleSet.model_validate_json(text)
    except ValidationError as e:
        raise RulesError(first_error(e).replace("Value error, ", "")) from e
