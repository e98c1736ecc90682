"""How traces are carried from message to message."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from framecue.telemetry import traces
from framecue.telemetry.setup import Reporting, reporting
from framecue.telemetry.traces import arrival, current_ids, is_ours, span, spans, traceparent_of
from tests.support.collector import Collector, Span, collecting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OUTSIDE = f"00-{TRACE}-{SPAN}-01"
OURS = (("traceparent", OUTSIDE.encode()), ("tracestate", b"framecue=1"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def measured(collector: Collector) -> Reporting:
    return Reporting("test", otlp_endpoint=collector.endpoint)


def one(collector: Collector) -> Span:
    (found,) = collector.spans
    return found


def test_what_came_goes_on_as_it_came_where_nothing_is_measured() -> None:
    with span("ingest", "whatever") as here:
        assert here.headers == (("traceparent", b"whatever"),)
        assert (here.mark, current_ids(), traces.is_on()) == ((), None, False)
    with span("ingest") as here:
        assert here.headers == ()


def test_a_child_goes_on_in_the_trace_that_came(collector: Collector, measured: Reporting) -> None:
    with reporting(measured), span("fold", OUTSIDE, about={"framecue.offset": 7, "framecue.rule": None}) as here:
        assert here.traceparent is not None
        version, trace, own, _ = here.traceparent.split("-")
        assert (version, trace, here.mark) == ("00", TRACE, (("tracestate", b"framecue=1"),))
        assert current_ids() == (trace, own)
    found = one(collector)
    assert (found.trace, found.parent, found.id, found.links) == (TRACE, SPAN, own, ())
    assert found.about == {"framecue.offset": 7}


@pytest.mark.parametrize(
    ("headers", "parent", "links", "reason"),
    [
        (OURS, SPAN, (), "a client of ours goes on"),
        (OURS[:1], "", ((TRACE, SPAN),), "a stranger's is a link"),
        ((*OURS[:1], ("tracestate", b"vendor=x, framecue=1")), SPAN, (), "others may have added theirs"),
        ((*OURS[:1], ("tracestate", b"framecue=2")), "", ((TRACE, SPAN),), "only the mark counts"),
        (OURS[1:], "", (), "a mark without a trace"),
        ((("traceparent", b"00-zz-01"),), "", (), "what follows no contract is no trace"),
        ((("traceparent", b"\xff"),), "", (), "nor is what is no text"),
        ((("traceparent", f"00-{TRACE.upper()}-{SPAN}-01".encode()),), "", (), "nor are capitals"),
        ((("traceparent", f"00-{'0' * 32}-{SPAN}-01".encode()),), "", (), "nor is a trace of zeros"),
        ((("traceparent", f"ff-{TRACE}-{SPAN}-01".encode()),), "", (), "nor is a version that never is"),
        ((("traceparent", f"{OUTSIDE}-more".encode()),), "", (), "nor is more than this version has"),
        ((("traceparent", f"01{OUTSIDE[2:]}-more".encode()),), "", ((TRACE, SPAN),), "a later version may have more"),
        ((), "", (), "nothing came"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_arrival(
    collector: Collector,
    measured: Reporting,
    headers: traces.Headers,
    parent: str,
    links: tuple[tuple[str, str], ...],
    reason: str,
) -> None:
    with reporting(measured), arrival("ingest", headers, about={}):
        pass
    found = one(collector)
    assert (found.parent, found.links) == (parent, links), reason
    assert (found.trace == TRACE) == bool(parent)


def test_what_is_raised_goes_on_and_is_told_by_its_kind_alone(collector: Collector, measured: Reporting) -> None:
    """The message of an error quotes what it is about, which is private."""
    with reporting(measured), pytest.raises(ValueError, match="secret"), span("caption"):
        raise ValueError("secret")
    assert one(collector).failed == "ValueError"


def test_work_on_several_things_has_a_span_for_each(collector: Collector, measured: Reporting) -> None:
    other = f"00-{'a' * 32}-{'b' * 16}-01"
    work = [(OUTSIDE, {"framecue.offset": 1}), (other, {"framecue.offset": 2}), (None, {"framecue.offset": 3})]
    with reporting(measured), spans("project", work):  # type: ignore[arg-type]
        pass
    assert {(s.trace, s.about["framecue.offset"]) for s in collector.spans} == {(TRACE, 1), ("a" * 32, 2)}


def test_a_trace_that_is_not_kept_is_carried_all_the_same(collector: Collector, measured: Reporting) -> None:
    """Else whoever comes next would begin one of its own."""
    unkept = f"00-{TRACE}-{SPAN}-00"
    with reporting(measured), span("fold", unkept) as here:
        assert here.traceparent is not None
        assert here.traceparent.startswith(f"00-{TRACE}-")
        assert here.traceparent.endswith("-00")
    assert collector.spans == []


def test_the_first_traceparent_of_a_message_counts() -> None:
    assert traceparent_of((("a", b"b"), *OURS, ("traceparent", b"x"))) == OUTSIDE
    assert is_ours(OURS)
    assert not is_ours(OURS[:1])
