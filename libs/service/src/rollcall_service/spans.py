"""What makes the spans of a replica that are exported, and which of them."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from rollcall_service.settings import SettingsError

RATIO = 0.02  # of the traces that begin here: sampling one costs about as much as its request


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
