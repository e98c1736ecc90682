"""Spans, and how they are carried from message to message: in the header `traceparent`, as W3C has it.

    push ─► segments ─► ingest ─► media ─► fold ─► results ─► project
                          ▲                 ┊
             outside: a link               embed: one span, linked to all records of its batch

A message of ours says so in `tracestate`; whatever else comes with a `traceparent` begins a trace of its own here, with
a link, so that no stranger decides what is sampled, or hangs a year of segments under one request. Until `setup` has
given it a tracer nothing is measured, and what came goes on as it came. It must not know where spans go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from framecue.telemetry.names import Attribute, Span

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer

About: TypeAlias = Mapping[Attribute, str | int | None]
"""What a span says its work was about; None says nothing."""
Headers = tuple[tuple[str, bytes], ...]
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
OURS = "framecue=1"
"""The member of `tracestate` that says who wrote the `traceparent` beside it."""
_W3C = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_tracer: Tracer | None = None


@dataclass
class Here:
    """One span under way, or none. `traceparent` is what a message made in it carries on: its own, or what came."""

    traceparent: str | None
    _span: Any = None

    def failed(self, error: BaseException) -> None:
        """Says that the work did not come to what it should; by its kind alone, for messages quote what is private."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))

    @property
    def headers(self) -> Headers:
        """For a message that goes on from here, whoever takes it up; empty where there is nothing to go on from."""
        return () if self.traceparent is None else ((TRACEPARENT, self.traceparent.encode()),)

    @property
    def mark(self) -> Headers:
        """What says that `headers` are ours; empty where they are not."""
        return () if self._span is None else ((TRACESTATE, OURS.encode()),)


def is_on() -> bool:
    """Whether spans are measured in this process."""
    return _tracer is not None


@contextmanager
def span(
    name: Span,
    came: str | None = None,
    *,
    how: Literal["child", "link"] = "child",
    links: Iterable[str | None] = (),
    about: About | None = None,
) -> Iterator[Here]:
    """Measures the block as `name`. `came` is the traceparent that came with the work: gone on from, or linked to.

    `links` are traceparents of other work that this one was done for; `about` is what the work was about. What the
    block raises goes on, and stands in the span.
    """
    if (tracer := _tracer) is None:
        yield Here(came)
        return
    from opentelemetry.trace import use_span

    here = _begun(tracer, name, came, how, links, about or {})
    with use_span(here._span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield here
        except Exception as e:
            here.failed(e)
            raise


def arrival(name: Span, headers: Iterable[tuple[str, bytes]], *, about: About) -> AbstractContextManager[Here]:
    """As `span`, for a message from outside: gone on from where a client of ours sent it, else linked to."""
    return span(name, traceparent_of(headers), how="child" if is_ours(headers) else "link", about=about)


@contextmanager
def spans(name: Span, work: Sequence[tuple[str | None, About]]) -> Iterator[None]:
    """Measures the block as work on several things at once: a span for each, with what came with it, and about it.

    What came without a trace has no span: nothing would lead to it.
    """
    if (tracer := _tracer) is None:
        yield
        return
    begun = [_begun(tracer, name, came, "child", (), about) for came, about in work if came is not None]
    try:
        yield
    except Exception as e:
        for here in begun:
            here.failed(e)
        raise
    finally:
        for here in begun:
            here._span.end()


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """What came with a message."""
    return _header(headers, TRACEPARENT)


def is_ours(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether the message was sent by a client of ours that measures; anybody could say so, and gains nothing."""
    return OURS in (_header(headers, TRACESTATE) or "").replace(" ", "").split(",")


def current_ids() -> tuple[str, str] | None:
    """The ids of the trace and the span that this thread works in; None where there are none."""
    if _tracer is None:
        return None
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return (format_trace_id(context.trace_id), format_span_id(context.span_id)) if context.is_valid else None


def start(tracer: Tracer) -> None:
    """From here on spans are measured."""
    global _tracer
    _tracer = tracer


def stop() -> None:
    """From here on none are."""
    global _tracer
    _tracer = None


def _begun(
    tracer: Tracer,
    name: Span,
    came: str | None,
    how: Literal["child", "link"],
    links: Iterable[str | None],
    about: About,
) -> Here:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, set_span_in_context

    before = _read(came)
    linked = [_read(link) for link in links] + ([before] if how == "link" else [])
    parent = Context() if before is None or how == "link" else set_span_in_context(NonRecordingSpan(before), Context())
    begun = tracer.start_span(
        name,
        parent,
        kind=SpanKind.PRODUCER if name in ("push", "say") else SpanKind.CONSUMER,
        attributes={key: value for key, value in about.items() if value is not None},
        links=[Link(context) for context in linked if context is not None],
    )
    return Here(_written(begun.get_span_context()), begun)


def _read(traceparent: str | None) -> SpanContext | None:
    """What a traceparent names; None for none, and for what follows no contract.

    As www.w3.org/TR/trace-context has it; the SDK's own reader takes ten times as long, and each record has one.
    """
    from opentelemetry.trace import SpanContext, TraceFlags

    found = _W3C.fullmatch(traceparent or "")
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    context = SpanContext(
        int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=TraceFlags(int(found["flags"], 16))
    )
    return context if context.is_valid else None


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _header(headers: Iterable[tuple[str, bytes]], wanted: str) -> str | None:
    return next((value.decode("ascii", "replace") for name, value in headers if name == wanted), None)
