"""Traces to a collector, for every service.

Nothing is traced unless a collector is named. Spans are exported by a thread of its own from a
bounded queue, so that a collector which is slow or away costs spans and nothing else. Everything is
set by OpenTelemetry's own variables, which its SDK reads from the process's environment.
"""

import os
import threading
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
STOP_WITHIN = 1.0  # seconds, for spans that wait to be exported


class Tracing:
    """Component: the process's spans go to the collector that is named, until it stops."""

    def __init__(self, service: str, replica_id: str):
        """Raises SettingsError."""
        self._exporter: SpanExporter | None = None
        self._provider: TracerProvider | None = None
        if any(os.environ.get(name) for name in ENDPOINTS):
            # Only here: a tenth of what a replica imports at its start.
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            from rollcall_service.spans import provider

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
