"""The API is what its OpenAPI document says: whatever is asked, no fault of ours, and no answer that is not documented.

Schemathesis makes up requests from the document, good ones and bad ones, the same each time. `/v1/live` has no end, and
tests of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from framecue.schemas.event import Evidence
from tests.support.gateway import House
from tests.support.serving import serving
from tests.unit.cli.results import annotation, caption, event

EXAMPLES = 12
STREAM, EVENT = "cam1", "cam1/0/late goal/8000"
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    negative_data_rejection,
    unsupported_method,
]


METHODS = ("get", "put", "post", "delete", "patch")
OPERATIONS = [
    (path, method.upper())
    for path, item in House().app().openapi()["paths"].items()
    for method in item
    if method in METHODS and path != "/v1/live"
]


@pytest.fixture(scope="module")
def api() -> Generator[Any]:
    house = House()
    refs = house.film(STREAM, "red", "blue")
    goal = event("late goal", 8000, stream=STREAM, evidence=Evidence(frames=refs))
    house.put(
        annotation(0, stream=STREAM, frames=refs),
        goal.model_copy(update={"id": EVENT}),
        caption(0, "a room").model_copy(update={"stream": STREAM}),
    )
    with serving(house.app()) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda part: part)
def test_every_answer_is_documented_and_none_is_our_fault(
    api: Any, path: str, method: str, mode: GenerationMode
) -> None:
    @given(case=api[path][method].as_strategy(generation_mode=mode), is_there=st.booleans())
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def ask(case: Any, is_there: bool) -> None:
        if is_there:
            named = {"id": STREAM, "event": EVENT}
            case.path_parameters = {k: named.get(k, v) for k, v in (case.path_parameters or {}).items()}
        case.call_and_validate(checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is no good request"  # nor is every request to be had bad
