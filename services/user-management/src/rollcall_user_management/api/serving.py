"""What is seen of a command or query while it is served: its span, and how long it took."""

import time
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.trace import Span, SpanKind
from prometheus_client import Histogram

from rollcall_events.metrics import BUCKETS
from rollcall_events.tracing import carried, child_of, failed, within

_DURATION = Histogram(
    "rpc_server_call_duration_seconds",
    "Of a command or query, by method and status. Commands that came in one call count one by one.",
    ["rpc_method", "rpc_response_status_code"],
    buckets=BUCKETS,
)
# Those that are the server's fault, not the caller's.
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


class Serving:
    """From its request to its answer. A command whose caller samples its trace has a span, and goes
    on below that."""

    def __init__(self, method: str, request: Any):
        """method: with its service, package.Service/Method."""
        self._method = method
        self._began = time.perf_counter()
        self._span = _span(method, request)

    def current(self) -> AbstractContextManager[object]:
        """Inside, log lines are of the span."""
        return within(self._span)

    def end(self, status: str) -> None:
        """status: the name of gRPC's code."""
        seconds = time.perf_counter() - self._began
        _DURATION.labels(self._method, status).observe(seconds)
        if self._span is not None:
            self._span.set_attribute("rpc.response.status_code", status)
            if status in _FAULTS:
                failed(self._span, status)
            self._span.end()


def _span(method: str, request: Any) -> Span | None:
    context = getattr(request, "context", None)  # queries have none
    if context is None:
        return None
    attributes = {"rpc.system.name": "grpc", "rpc.method": method}
    span = child_of(context.traceparent, context.tracestate, method, SpanKind.SERVER, attributes)
    if span is not None:
        context.traceparent, context.tracestate = carried(span)
    return span
