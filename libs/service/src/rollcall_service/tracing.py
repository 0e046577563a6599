"""Traces to a collector, for every service.

Nothing is traced unless a collector is named. Spans are exported by a thread of its own from a
bounded queue, so that a collector which is slow or away costs spans and nothing else. Everything is
set by OpenTelemetry's own variables, which its SDK reads from the process's environment.
"""

import os
import threading
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from rollcall_service.settings import SettingsError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
RATIO = 0.02  # of the traces that begin here: sampling one costs about as much as its request
STOP_WITHIN = 1.0  # seconds, for spans that wait to be exported


class Tracing:
    """Component: the process's spans go to the collector that is named, until it stops."""

    def __init__(self, service: str, replica_id: str):
        """Raises SettingsError."""
        self._exporter: SpanExporter | None = None
        self._provider: TracerProvider | None = None
        if any(os.environ.get(name) for name in ENDPOINTS):
            self._exporter = OTLPSpanExporter()
            self._provider = provider(service, replica_id, self._exporter, os.environ)

    def start(self) -> None:
        if self._provider is not None:
            trace.set_tracer_provider(self._provider)

    def stop(self) -> None:
        """Export what waits; what is not taken within STOP_WITHIN is lost."""
        if self._provider is None or self._exporter is None:
            return
        ending = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(STOP_WITHIN)
        if ending.is_alive():
            self._exporter.shutdown()


def provider(
    service: str, replica_id: str, exporter: SpanExporter, variables: Mapping[str, str]
) -> TracerProvider:
    """Makes spans of this replica, and exports them out of the way of the work."""
    attributes = {"service.namespace": "rollcall", "service.instance.id": replica_id}
    if not variables.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = service
    made = TracerProvider(
        sampler=_sampler(variables),
        resource=Resource.create(attributes),
        shutdown_on_exit=False,
    )
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def _sampler(variables: Mapping[str, str]) -> Sampler | None:
    """Ours, where none is asked for: one in fifty that begin here, and what the caller samples."""
    if variables.get("OTEL_TRACES_SAMPLER"):
        return None  # the SDK makes it
    ratio = variables.get("OTEL_TRACES_SAMPLER_ARG") or str(RATIO)
    try:
        return ParentBased(TraceIdRatioBased(float(ratio)))
    except ValueError:
        reason = f"must be a number from 0 to 1, not {ratio!r}"
        raise SettingsError(f"OTEL_TRACES_SAMPLER_ARG {reason}") from None
