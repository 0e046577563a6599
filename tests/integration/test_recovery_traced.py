"""An event that another replica appends again stays in its trace."""

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, cast

from integration.desks import Desk, create
from sqlalchemy import Engine, text
from support.spans import above, recording

from rollcall_events import Position, Publisher, Record, Recorded
from rollcall_user_management.admission.recovery import Recovery

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Acknowledging:
    """Stands for a publisher whose broker acknowledges at once."""

    available = True

    def append(self, record: Record) -> Future[Recorded]:
        future: Future[Recorded] = Future()
        future.set_result(Recorded(Position(record.topic, 7, 42), datetime.now(UTC)))
        return future


def test_it_is_sent_below_the_span_that_did_not_end(store: Engine, desk: Desk) -> None:
    traced, other = create("ada@x.org"), create("eve@x.org")
    traced.context.traceparent = TRACEPARENT
    lost = desk.admitted(traced)
    desk.admitted(other)
    with store.begin() as connection:
        connection.execute(text("UPDATE admissions SET append_again_at = now() - interval '1 s'"))
    marked: list[Any] = []
    publisher = cast(Publisher, Acknowledging())
    with recording() as recorded:
        assert Recovery(store, publisher, lambda *mark: marked.append(mark)).once() == 2
    (span,) = recorded.exporter.get_finished_spans()
    assert span.name == "send users"
    assert above(span) in TRACEPARENT
    assert (span.attributes or {})["messaging.message.id"] == lost.event_id
    assert len(marked) == 2
