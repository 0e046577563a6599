"""A delivery belongs to the trace that it came from, and so do the attempts to send it."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import SpanKind
from sqlalchemy import Engine
from support.sending import cause, ledger_at, store
from support.spans import above, id_of, recording

from rollcall_events import tracing
from rollcall_events.postgres import Wire
from rollcall_local.postgres import Server
from rollcall_service import leasing
from rollcall_service.ledger import Delivery, Message, Owed
from rollcall_service.logs import JsonFormatter
from rollcall_service.sender import Permanent, Send, Transient
from rollcall_service.traced_send import traced

SCHEMA = "traced_test"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def engine(postgres: Server) -> Iterator[Engine]:
    with ledger_at(postgres.url(), SCHEMA) as engine:
        yield engine


def owe(engine: Engine, recipient: str, **trace: str | None) -> None:
    event = cause()
    vars(event).update(trace)
    owed = Owed()
    owed.add(event, [Message("test", [recipient], {})])
    store(engine, owed)


def test_a_row_keeps_the_trace_that_it_belongs_to(engine: Engine) -> None:
    """That of the span in which its event is handled, or of the event itself."""
    owe(engine, "ada", traceparent=TRACEPARENT, tracestate="a=b")
    with recording():
        span = tracing.sending("users", TRACEPARENT, "a=b")
        assert span is not None
        with tracing.within(span):
            owe(engine, "bob", traceparent=TRACEPARENT)
    owe(engine, "eve", traceparent=TRACEPARENT[:-1] + "0")
    owe(engine, "old")
    with Wire(engine, leasing.PREPARE) as wire:
        taken = leasing.take(wire.connection, "one", limit=10, lease=30)
    assert {d.recipient: (d.traceparent, d.tracestate) for d in taken} == {
        "ada": (TRACEPARENT, "a=b"),
        "bob": tracing.carried(span),
        "eve": (None, None),
        "old": (None, None),
    }


def delivery(traceparent: str | None) -> Delivery:
    return Delivery(7, "key", "event", "welcome", "ada@example.com", {}, 2, 0.0, traceparent, "")


def failing(error: Exception) -> Send:
    def send(delivery: Delivery) -> None:
        raise error

    return send


def test_a_delivery_is_sent_in_the_trace_that_it_came_from() -> None:
    sent: list[Delivery] = []
    with recording() as recorded:
        traced("SMTP send", sent.append)(delivery(TRACEPARENT))
        traced("SMTP send", sent.append)(delivery(None))
    assert len(sent) == 2
    (span,) = recorded.exporter.get_finished_spans()
    assert (span.name, span.kind) == ("SMTP send", SpanKind.CLIENT)
    assert above(span) in TRACEPARENT
    assert span.attributes == {
        "rollcall.delivery.id": 7,
        "rollcall.delivery.kind": "welcome",
        "rollcall.delivery.attempt": 2,
        "cloudevents.event_id": "event",
    }


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Permanent("recipient refused 550"), "recipient refused 550"),
        (Transient("ratelimited"), "ratelimited"),
        (ValueError("ada@example.com"), "ValueError"),
    ],
)
def test_a_failed_attempt_says_why_and_names_nobody(error: Exception, told: str) -> None:
    with recording() as recorded, pytest.raises(type(error)):
        traced("SMTP send", failing(error))(delivery(TRACEPARENT))
    span = recorded.spans()["SMTP send"]
    assert (span.attributes or {})["error.type"] == told
    assert "ada@example.com" not in span.to_json()


def line() -> dict[str, Any]:
    record = logging.makeLogRecord({"msg": "done", "levelname": "INFO"})
    document: dict[str, Any] = json.loads(JsonFormatter("test", "test-1").format(record))
    return document


def test_a_log_line_inside_a_span_has_its_ids() -> None:
    logged: list[dict[str, Any]] = []
    with recording() as recorded:
        traced("SMTP send", lambda _: logged.append(line()))(delivery(TRACEPARENT))
        traced("SMTP send", lambda _: logged.append(line()))(delivery(None))
    assert logged[0]["trace_id"] == TRACEPARENT.split("-")[1]
    assert logged[0]["span_id"] == id_of(recorded.spans()["SMTP send"])
    assert not {"trace_id", "span_id"} & logged[1].keys()
