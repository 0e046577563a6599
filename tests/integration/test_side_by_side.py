"""A large batch is applied in several transactions, two at once, with all that holds of one."""

from collections import Counter
from collections.abc import Sequence

import pytest
from google.protobuf.message import Message
from integration.test_consuming import CREATED, UPDATED, consuming, names
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from sqlalchemy import Connection, Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event, KafkaSettings, Publisher
from rollcall_events.ids import uuid7
from rollcall_events.writer import side_by_side

USERS, CHANGES = 400, 4  # of each


def publish(publisher: Publisher) -> list[str]:
    """The users, whose names count upwards. Nobody consumes yet: the batches will be large."""
    keys = [uuid7() for _ in range(USERS)]
    person = pb.Person(name="0")
    together(publisher, [pb.UserCreatedEvent(user_id=key, person=person) for key in keys])
    for n in range(1, CHANGES):
        person = pb.Person(name=str(n))
        together(publisher, [pb.UserUpdatedEvent(user_id=key, person=person) for key in keys])
    return keys


def together(publisher: Publisher, messages: Sequence[Message]) -> None:
    eventually(lambda: publisher.available)  # a machine that is busy lets acknowledgements wait
    for future in [publisher.publish(message) for message in messages]:
        future.result(20)


def note_session(event: Event, connection: Connection) -> None:
    name = event.message.person.name  # type: ignore[attr-defined]
    connection.execute(
        text("INSERT INTO seen (key, name) VALUES (:key, :name || ' ' || pg_backend_pid())"),
        {"key": event.key, "name": name},
    )


def test_two_sessions_apply_it_each_user_in_order(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    keys = publish(publisher)
    handlers = {CREATED: note_session, UPDATED: note_session}
    with consuming(kafka_settings, store, topic, handlers) as consumer:
        eventually(lambda: consumer.status().events.get("applied") == USERS * CHANGES)
    (one, other) = Counter(name.split()[1] for name in names(store)).values()
    assert min(one, other) > USERS * CHANGES / 10
    for key in keys[::20]:
        assert [name.split()[0] for name in names(store, key)] == ["0", "1", "2", "3"]


def test_what_fails_in_it_is_parked_and_nothing_else(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    keys = publish(publisher)
    poison = {keys[7], keys[70]}

    def fails(event: Event, connection: Connection) -> None:
        note_session(event, connection)
        if event.key in poison and event.message.person.name == "2":  # type: ignore[attr-defined]
            raise ValueError

    with consuming(kafka_settings, store, topic, {CREATED: fails, UPDATED: fails}) as consumer:
        eventually(lambda: sum(consumer.status().events.values()) == USERS * CHANGES)
        events = consumer.status().events
        assert (events["parked"], events["held"]) == (2, 2)
    assert len(names(store)) == USERS * CHANGES - 4
    for key in poison:
        assert [name.split()[0] for name in names(store, key)] == ["0", "1"]


def test_one_that_is_overtaken_changes_nothing_of_its_part(
    kafka_settings: KafkaSettings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else has moved an offset: its part is begun anew, what another has applied stays."""
    publish(publisher)
    moved: list[int] = []

    def overtaken(*parameters):  # type: ignore[no-untyped-def]
        if not moved:
            with store.begin() as connection:
                advanced = (
                    "UPDATE offsets SET next_offset = next_offset + 1 WHERE partition ="
                    " (SELECT max(partition) FROM offsets"
                    "  WHERE next_offset = 0)"  # its first is passed over
                    " RETURNING partition"
                )
                moved.append(connection.execute(text(advanced)).scalar_one())
        return side_by_side(*parameters)

    monkeypatch.setattr("rollcall_events.consumer.side_by_side", overtaken)
    handlers = {CREATED: note_session, UPDATED: note_session}
    with consuming(kafka_settings, store, topic, handlers) as consumer:
        # But for the record that was passed over, and what only a user may do who was created.
        eventually(lambda: consumer.status().events.get("applied", 0) >= USERS * CHANGES - CHANGES)
        eventually(consumer.ready)
        assert consumer.status().events["applied"] == len(names(store)) < USERS * CHANGES
    assert moved
