"""The span of an attempt to send a delivery, in the trace that the delivery came from."""

from opentelemetry.trace import SpanKind

from rollcall_events import tracing
from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Send, Transient


def traced(call: str, send: Send) -> Send:
    """`send` with a span for each attempt, below what made the delivery, however long ago.

    call: what the provider is asked for, in words."""

    def send_in_span(delivery: Delivery) -> None:
        span = tracing.child_of(
            delivery.traceparent,
            delivery.tracestate,
            call,
            SpanKind.CLIENT,
            {
                "rollcall.delivery.id": delivery.id,
                "rollcall.delivery.kind": delivery.kind,
                "rollcall.delivery.attempt": delivery.attempts,
                "cloudevents.event_id": delivery.event_id,
            },
        )
        if span is None:
            send(delivery)
            return
        try:
            with tracing.within(span):
                send(delivery)
        except Exception as error:
            tracing.failed(span, _reason(error))
            raise
        finally:
            span.end()

    return send_in_span


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, (Permanent, Transient)) else type(error).__name__
