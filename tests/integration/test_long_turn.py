"""A turn of several transactions tells the group between them that this member lives."""

from itertools import groupby

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Message
from integration.test_consuming import CREATED, UPDATED, consuming, create, names, note
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from integration.test_side_by_side import together
from sqlalchemy import Connection, Engine
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event, KafkaSettings, Publisher
from rollcall_events import consumer as consumer_module
from rollcall_events import session as session_module

EVENTS, BATCH = 200, 20
POLLED, HANDLED = "polled", "handled"


@pytest.mark.parametrize(("within", "due"), [(0.0, True), (60.0, False)])
def test_it_polls_between_them_when_that_is_due(
    kafka_settings: KafkaSettings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    within: float,
    due: bool,
) -> None:
    done: list[str] = []

    class Noting(Client):
        def poll(self, timeout: float = -1) -> Message | None:
            done.append(POLLED)
            return super().poll(timeout)

    def handled(event: Event, connection: Connection) -> None:
        done.append(HANDLED)
        note(event, connection)

    monkeypatch.setattr(session_module, "Client", Noting)
    monkeypatch.setattr(consumer_module, "POLL_WITHIN", within)
    key = create(publisher)  # one key, one partition: transactions one after the other
    people = [pb.Person(name=str(n)) for n in range(1, EVENTS)]
    together(publisher, [pb.UserUpdatedEvent(user_id=key, person=person) for person in people])
    handlers = {CREATED: handled, UPDATED: handled}
    with consuming(kafka_settings, store, topic, handlers, batch_size=BATCH):
        eventually(lambda: len(names(store)) == EVENTS)
    assert names(store, key) == [str(n) for n in range(EVENTS)]
    together_handled = [len(list(same)) for what, same in groupby(done) if what == HANDLED]
    assert (max(together_handled) <= BATCH) is due
