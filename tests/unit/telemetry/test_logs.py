"""Log lines for machines: one object a line, with what a person would have read, and the trace it belongs to."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

from framecue.telemetry.logs import JsonFormatter
from framecue.telemetry.setup import Reporting, reporting
from framecue.telemetry.traces import span
from tests.support.collector import collecting


def logged(say: Any) -> list[dict[str, Any]]:
    """What `say` logs through a handler of its own."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter("ingest", slot="2"))
    logger = logging.Logger("framecue.somewhere")
    logger.addHandler(handler)
    say(logger)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_says_when_what_and_who() -> None:
    (line,) = logged(lambda log: log.warning("%d records\nof %s", 3, "cäm\x1b[31m"))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "framecue.somewhere",
        "message": "3 records\nof cäm\x1b[31m",
        "service": "ingest",
        "slot": "2",
    }


def test_an_exception_stays_on_its_line() -> None:
    def say(log: logging.Logger) -> None:
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("failed")

    (line,) = logged(say)
    assert line["message"] == "failed"
    assert line["exception"].endswith("ValueError: bad")


def test_a_line_inside_a_span_names_its_trace() -> None:
    with collecting() as collector, reporting(Reporting("ingest", otlp_endpoint=collector.endpoint)):
        with span("ingest"):
            (inside,) = logged(lambda log: log.info("inside"))
        (outside,) = logged(lambda log: log.info("outside"))
    (found,) = collector.spans
    assert (inside["trace_id"], inside["span_id"]) == (found.trace, found.id)
    assert "trace_id" not in outside


def test_what_hangs_on_a_record_stays_there() -> None:
    """Libraries put requests and headers on theirs."""
    (line,) = logged(lambda log: log.info("sent", extra={"headers": "Bearer secret"}))
    assert "secret" not in json.dumps(line)
