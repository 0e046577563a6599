"""Spans of traces that go from service to service in commands, events and deliveries.

The trace's context travels as text, W3C's traceparent and tracestate. Whoever traces nothing passes
it on as it came. A trace that nobody samples costs a look at one character of it.

An event's `send` span begins when the event is made, because its context goes into the event. Every
group that handles it adds a `process` span below that one, and links to it as OpenTelemetry's
messaging conventions want: there is one for each event, none for the transaction that they share.
Nothing of what an event says is in a span, nor an error's message, which may quote it.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rollcall_events.envelope import Event, Recorded

Attributes = Mapping[str, str | int]

TRACER = trace.get_tracer("rollcall")
TRACED_FOR = timedelta(hours=24)  # since an event was appended

_PROPAGATOR = TraceContextTextMapPropagator()
_FLAG = 54  # the last digit of the flags in traceparent
_SAMPLED = frozenset("13579bdf")
_UNTRACED = nullcontext()


class Carried(NamedTuple):
    """A span's context, as commands, events and deliveries carry it."""

    traceparent: str
    tracestate: str


def is_sampled(traceparent: str | None) -> bool:
    """Whether spans of the trace are wanted, as far as its text says; it may be malformed."""
    return traceparent is not None and traceparent[_FLAG : _FLAG + 1] in _SAMPLED


def begin(
    above: tuple[str, str] | None, name: str, kind: SpanKind, attributes: Attributes
) -> Span | None:
    """A span below the carried one, or of a new trace where there is none, to be ended by the
    caller; None where the sampler does not want it."""
    parent = Context() if above is None else _context(*above)
    span = TRACER.start_span(name, parent, kind, attributes)
    return span if span.is_recording() else None


def child_of(
    traceparent: str | None,
    tracestate: str | None,
    name: str,
    kind: SpanKind,
    attributes: Attributes,
    *,
    linked: bool = False,
) -> Span | None:
    """A span below the carried one, to be ended by the caller; None where nobody samples that.

    linked: it links to the carried one as well."""
    if traceparent is None or not is_sampled(traceparent):
        return None
    parent = _context(traceparent, tracestate or "")
    above = trace.get_current_span(parent).get_span_context()
    if not above.is_valid:
        return None
    links = [Link(above)] if linked else None
    span = TRACER.start_span(name, parent, kind, attributes, links)
    return span if span.is_recording() else None


def _context(traceparent: str, tracestate: str) -> Context:
    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    return _PROPAGATOR.extract(carrier, Context())


def carried(span: Span) -> Carried:
    context = span.get_span_context()
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return Carried(traceparent, context.trace_state.to_header() if context.trace_state else "")


def current() -> Carried | None:
    """The context of the span that is current in this thread or task, if it is recorded."""
    span = trace.get_current_span()
    return carried(span) if span.is_recording() else None


def within(span: Span | None) -> AbstractContextManager[object]:
    """The span is current inside; where there is none, nothing changes."""
    if span is None:
        return _UNTRACED
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def failed(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


def sending(topic: str, traceparent: str | None, tracestate: str | None) -> Span | None:
    """Of an event that is to be made and appended below the carried span."""
    return child_of(
        traceparent, tracestate, f"send {topic}", SpanKind.PRODUCER, _operation("send", topic)
    )


def appending(
    span: Span | None, event_id: str, append: Callable[[], Future[Recorded]]
) -> Future[Recorded]:
    """Append, and end the `send` span, if there is one, with what came of it: also where nothing
    was sent, and `append` raises."""
    if span is None:
        return append()
    span.set_attribute("messaging.message.id", event_id)
    try:
        future = append()
    except Exception as error:
        failed(span, type(error).__name__)
        span.end()
        raise
    future.add_done_callback(partial(_sent, span))
    return future


def _sent(span: Span, future: Future[Recorded]) -> None:
    error = future.exception()
    if error is None:
        position = future.result().position
        span.set_attributes(
            {
                "messaging.destination.partition.id": str(position.partition),
                "messaging.kafka.offset": position.offset,
            }
        )
    else:
        failed(span, type(error).__name__)
    span.end()


class Processing:
    """The spans of a group's transaction: of each traced event, from its handler to the commit.

    Without a commit there are none but that of the handler which failed: the events are handled
    again."""

    def __init__(self, group: str):
        self._group = group
        self._spans: list[Span] = []

    def handling(self, event: Event) -> AbstractContextManager[object]:
        """Entered around the event's handler. What is older than TRACED_FOR is handled late, or
        again where a log is read from its beginning: its trace is over."""
        if not is_sampled(event.traceparent) or datetime.now(UTC) - event.recorded_at > TRACED_FOR:
            return _UNTRACED
        return self._handling(event)

    @contextmanager
    def _handling(self, event: Event) -> Iterator[None]:
        position = event.position
        span = child_of(
            event.traceparent,
            event.tracestate,
            f"process {position.topic}",
            SpanKind.CONSUMER,
            _operation("process", position.topic)
            | {
                "messaging.consumer.group.name": self._group,
                "messaging.destination.partition.id": str(position.partition),
                "messaging.kafka.offset": position.offset,
                "messaging.message.id": event.id,
                "cloudevents.event_type": event.type,
            },
            linked=True,
        )
        try:
            with within(span):
                yield
        except BaseException as error:
            if span is not None:
                failed(span, type(error).__name__)
                span.end()
            raise
        if span is not None:
            self._spans.append(span)

    def committed(self) -> None:
        for span in self._spans:
            span.end()


def _operation(name: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": topic,
    }
