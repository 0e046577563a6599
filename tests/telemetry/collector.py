"""An OpenTelemetry collector that keeps, or only counts, what it is sent."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class Span:
    """One that was exported. Ids are hexadecimal, times nanoseconds since 1970."""

    service: str
    replica: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent: str
    links: list[str]
    attributes: dict[str, Any]
    events: list[str]
    failed: bool
    began: int
    ended: int


class Collector(pb_grpc.TraceServiceServicer):
    """endpoint: for OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self, *, keep: bool):
        self.endpoint = ""
        self.count = 0
        self._keep = keep
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def Export(  # noqa: N802
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        spans = list(_spans(request)) if self._keep else []
        sizes = (len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        with self._lock:
            self.count += sum(sizes)
            self._spans += spans
        return pb.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Span]:
        """What has come of a trace so far, in the order of its beginning."""
        with self._lock:
            found = [span for span in self._spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.began)

    def all(self) -> list[Span]:
        with self._lock:
            return list(self._spans)


@contextmanager
def collecting(*, keep: bool = True) -> Iterator[Collector]:
    """A collector that listens, until the end."""
    collector = Collector(keep=keep)
    server = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(1).wait(5)


def _spans(request: pb.ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        process = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for message in scope.spans:
                yield _span(message, process)


def _span(message: SpanMessage, process: dict[str, Any]) -> Span:
    return Span(
        service=process["service.name"],
        replica=process["service.instance.id"],
        name=message.name,
        kind=SpanMessage.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_"),
        trace_id=message.trace_id.hex(),
        id=message.span_id.hex(),
        parent=message.parent_span_id.hex(),
        links=[link.span_id.hex() for link in message.links],
        attributes=_attributes(message.attributes),
        events=[event.name for event in message.events],
        failed=message.status.code == message.status.STATUS_CODE_ERROR,
        began=message.start_time_unix_nano,
        ended=message.end_time_unix_nano,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in pairs}
