"""A provider of spans for one test, in this process, where everything else traces nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rollcall_events import tracing


class Recorded:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self) -> dict[str, ReadableSpan]:
        """Those that have ended, by their names."""
        return {span.name: span for span in self.exporter.get_finished_spans()}


@contextmanager
def recording() -> Iterator[Recorded]:
    """What is made by rollcall_events.tracing. A process's own provider can be set only once."""
    recorded, provider = Recorded(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(recorded.exporter))
    before, tracing.TRACER = tracing.TRACER, provider.get_tracer("test")
    try:
        yield recorded
    finally:
        tracing.TRACER = before
        provider.shutdown()


def id_of(span: ReadableSpan) -> str:
    """As traceparent has it."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


def above(span: ReadableSpan) -> str:
    """The ids of the trace and of the span that it is below, as traceparent has them."""
    assert span.parent is not None
    return f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}"
