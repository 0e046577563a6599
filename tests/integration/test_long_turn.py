"""A turn of several transactions tells the group between them that this member lives."""

from itertools import groupby

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Message
from integration.test_consuming import CREATED, UPDATED, consuming, names, note
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from integration.test_side_by_side import together
from sqlalchemy import Connection, Engine
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event, KafkaSettings, Publisher
from rollcall_events import consumer as consumer_module
from rollcall_events import session as session_module
from rollcall_events.ids import uuid7

EVENTS, BATCH = 200, 20
POLLED, HANDLED = "polled", "handled"


@pytest.mark.parametrize("users", [1, EVENTS], ids=["of one partition", "of many"])
@pytest.mark.parametrize(("within", "due"), [(0.0, True), (60.0, False)])
def test_it_polls_between_them_when_that_is_due(
    kafka_settings: KafkaSettings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    within: float,
    due: bool,
    users: int,
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
    monkeypatch.setattr(consumer_module, "LARGE", 2 * BATCH)  # so that there are several at a time
    people = [pb.Person(name=str(n)) for n in range(EVENTS)]
    keys = [uuid7() for _ in range(users)]
    created = zip(keys, people, strict=False)
    together(publisher, [pb.UserCreatedEvent(user_id=key, person=who) for key, who in created])
    rest = people[users:]
    together(publisher, [pb.UserUpdatedEvent(user_id=keys[0], person=person) for person in rest])
    handlers = {CREATED: handled, UPDATED: handled}
    with consuming(kafka_settings, store, topic, handlers, batch_size=BATCH):
        eventually(lambda: len(names(store)) == EVENTS)
    assert names(store, keys[0]) == ["0", *map(str, range(users, EVENTS))]
    together_handled = [len(list(same)) for what, same in groupby(done) if what == HANDLED]
    assert (max(together_handled) <= BATCH) is due
