"""What becomes of a trace's context, and of the spans of events."""

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.empty_pb2 import Empty
from opentelemetry.trace import SpanKind, StatusCode
from support.spans import above, id_of, recording

from rollcall_events import Event, LogUnavailable, NotAcknowledged, Position, Recorded, tracing

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = (f"00-{TRACE_ID}-{SPAN_ID}-{flags}" for flags in ("01", "00"))


def event(traceparent: str | None, age: timedelta = timedelta()) -> Event:
    moment = datetime.now(UTC) - age
    return Event(
        id="the-event",
        type="rollcall.users.v1.UserCreatedEvent",
        key="the-user",
        source="/services/test",
        time=moment,
        message=Empty(),
        traceparent=traceparent,
        tracestate="a=b",
        position=Position("users", 7, 42),
        recorded_at=moment,
    )


@pytest.mark.parametrize("traceparent", [None, "", UNSAMPLED, "x" * 60, SAMPLED[:-1], "00-01"])
def test_what_nobody_samples_is_looked_at_and_no_more(traceparent: str | None) -> None:
    assert not tracing.is_sampled(traceparent)


@pytest.mark.parametrize("flags", ["01", "03", "ff"])
def test_the_last_flag_samples(flags: str) -> None:
    assert tracing.is_sampled(SAMPLED[:-2] + flags)


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"{'é' * 54}1",
        f"ff{SAMPLED[2:]}",
    ],
)
def test_what_is_malformed_begins_no_trace(traceparent: str) -> None:
    with recording() as recorded:
        assert tracing.sending("users", traceparent, None) is None
    assert recorded.spans() == {}


def test_without_a_provider_there_are_no_spans() -> None:
    assert tracing.sending("users", SAMPLED, "a=b") is None
    processing = tracing.Processing("group")
    with processing.handling(event(SAMPLED)):
        assert tracing.current() is None
    processing.committed()


def test_what_is_carried_is_the_span_in_the_callers_trace() -> None:
    with recording() as recorded:
        span = tracing.child_of(SAMPLED, "a=b", "child", SpanKind.CLIENT, {"x": 1})
        assert span is not None
        carried = tracing.carried(span)
        span.end()
    child = recorded.spans()["child"]
    assert carried == (f"00-{TRACE_ID}-{id_of(child)}-01", "a=b")
    assert above(child) == f"{TRACE_ID}-{SPAN_ID}"


def test_an_event_is_sent_when_it_is_acknowledged() -> None:
    acknowledged: Future[Recorded] = Future()
    acknowledged.set_result(Recorded(Position("users", 7, 42), datetime(2026, 5, 4, tzinfo=UTC)))
    with recording() as recorded:
        span = tracing.sending("users", SAMPLED, None)
        tracing.appending(span, "the-event", lambda: acknowledged)
    sent = recorded.spans()["send users"]
    assert sent.kind is SpanKind.PRODUCER
    assert sent.attributes is not None
    assert sent.attributes["messaging.message.id"] == "the-event"
    assert sent.attributes["messaging.destination.partition.id"] == "7"
    assert sent.attributes["messaging.kafka.offset"] == 42
    assert sent.status.status_code is StatusCode.UNSET


def test_an_event_that_is_not_acknowledged_says_so_without_words() -> None:
    lost: Future[Recorded] = Future()
    lost.set_exception(NotAcknowledged("ada@example.com"))
    with recording() as recorded:
        span = tracing.sending("users", SAMPLED, None)
        tracing.appending(span, "the-event", lambda: lost)
    sent = recorded.spans()["send users"]
    assert sent.status.status_code is StatusCode.ERROR
    assert "ada@example.com" not in sent.to_json()
    assert (sent.attributes or {})["error.type"] == "NotAcknowledged"


def test_an_event_that_was_not_sent_is_an_error_too() -> None:
    def away() -> Future[Recorded]:
        raise LogUnavailable("no broker answers")

    with recording() as recorded:
        with pytest.raises(LogUnavailable):
            tracing.appending(tracing.sending("users", SAMPLED, None), "the-event", away)
        with pytest.raises(LogUnavailable):
            tracing.appending(None, "the-event", away)
    (sent,) = recorded.exporter.get_finished_spans()
    assert sent.status.status_code is StatusCode.ERROR
    assert (sent.attributes or {})["error.type"] == "LogUnavailable"


def test_a_handler_runs_in_its_events_span_which_ends_with_the_commit() -> None:
    with recording() as recorded:
        processing = tracing.Processing("group")
        with processing.handling(event(SAMPLED)):
            inside = tracing.current()
        with processing.handling(event(UNSAMPLED)):
            assert tracing.current() is None
        assert recorded.spans() == {}
        processing.committed()
    processed = recorded.spans()["process users"]
    assert inside is not None
    assert inside.traceparent.split("-")[2] == id_of(processed)
    assert processed.kind is SpanKind.CONSUMER
    assert above(processed) == f"{TRACE_ID}-{SPAN_ID}"
    assert [link.context for link in processed.links] == [processed.parent]
    assert (processed.attributes or {})["messaging.consumer.group.name"] == "group"


def test_a_log_that_is_read_again_is_not_traced_again() -> None:
    with recording() as recorded:
        processing = tracing.Processing("group")
        with processing.handling(event(SAMPLED, tracing.TRACED_FOR + timedelta(minutes=1))):
            assert tracing.current() is None
        with processing.handling(event(SAMPLED, tracing.TRACED_FOR - timedelta(minutes=1))):
            assert tracing.current() is not None
        processing.committed()
    assert len(recorded.exporter.get_finished_spans()) == 1


def test_of_a_transaction_that_is_rolled_back_only_the_failure_is_told() -> None:
    with recording() as recorded:
        processing = tracing.Processing("group")
        with processing.handling(event(SAMPLED)):
            pass
        with pytest.raises(KeyError), processing.handling(event(SAMPLED)):
            raise KeyError("ada@example.com")
    (failed,) = recorded.exporter.get_finished_spans()
    assert (failed.attributes or {})["error.type"] == "KeyError"
    assert failed.events == ()
    assert "ada@example.com" not in failed.to_json()
