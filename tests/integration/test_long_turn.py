"""A turn of slow handlers is told to the group between its transactions."""

import time
from itertools import pairwise

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Message
from integration.test_consuming import CREATED, UPDATED, create, names, note
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from sqlalchemy import Connection, Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Consumer, Event, KafkaSettings, Publisher, Subscription
from rollcall_events import consumer as consumer_module
from rollcall_events import session as session_module

EVENTS, BATCH = 200, 20
SLOW = 0.02  # seconds, of each: a transaction takes 0.4, and a turn of all of them 4
POLL_WITHIN = 0.5


def slowly(event: Event, connection: Connection) -> None:
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": SLOW})
    note(event, connection)


def test_it_polls_between_them(
    kafka_settings: KafkaSettings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polled: list[float] = []

    class Noting(Client):
        def poll(self, timeout: float = -1) -> Message | None:
            polled.append(time.monotonic())
            return super().poll(timeout)

    monkeypatch.setattr(session_module, "Client", Noting)
    monkeypatch.setattr(consumer_module, "POLL_WITHIN", POLL_WITHIN)
    key = create(publisher)  # one key, one partition: transactions one after the other
    changes = [
        pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=str(n))) for n in range(1, EVENTS)
    ]
    for future in [publisher.publish(change) for change in changes]:
        future.result(20)
    handlers = {CREATED: slowly, UPDATED: slowly}
    subscription = Subscription(f"group-{topic}", "public", topic, handlers)
    consumer = Consumer(subscription, kafka_settings, store, batch_size=BATCH)
    consumer.start()
    try:
        eventually(lambda: len(names(store)) == EVENTS)
    finally:
        consumer.stop()
    assert names(store, key) == [str(n) for n in range(EVENTS)]
    assert max(later - earlier for earlier, later in pairwise(polled)) < 4 * POLL_WITHIN
