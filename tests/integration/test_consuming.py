"""The one way of consuming, on a real log and a real store."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import Connection, Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import (
    Consumer,
    Event,
    Handler,
    KafkaSettings,
    Publisher,
    Subscription,
    Topic,
    committed_offsets,
    log_ends,
)
from rollcall_events.codec import RawRecord
from rollcall_events.consumer import BATCH_SIZE
from rollcall_events.ids import uuid7
from rollcall_events.inbox import StaleOwner, apply, connect
from rollcall_events.schema import CREATE_DISCARDS_V1, CREATE_V1, CREATE_V2
from rollcall_events.session import Session
from rollcall_events.topic import ensure_topic
from rollcall_events.unfetched import Unfetched

CREATED = "rollcall.users.v1.UserCreatedEvent"
UPDATED = "rollcall.users.v1.UserUpdatedEvent"


def note(event: Event, connection: Connection) -> None:
    """Keep every handled event, in the order of handling."""
    name = event.message.person.name  # type: ignore[attr-defined]
    connection.execute(
        text("INSERT INTO seen (key, name) VALUES (:key, :name)"), {"key": event.key, "name": name}
    )


HANDLERS: dict[str, Handler] = {CREATED: note, UPDATED: note}


@pytest.fixture
def store(engine: Engine) -> Engine:
    with engine.begin() as connection:
        for statement in (
            *(*CREATE_V1, *CREATE_V2, *CREATE_DISCARDS_V1),
            "CREATE TABLE seen (n serial PRIMARY KEY, key uuid, name text)",
        ):
            connection.execute(text(statement))
    return engine


@contextmanager
def publishing(settings: KafkaSettings, topic: str) -> Iterator[Publisher]:
    ensure_topic(settings, topic, deadline=20)
    publisher = Publisher(settings, topic, "/services/test")
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()


@pytest.fixture
def publisher(kafka_settings: KafkaSettings, topic: str) -> Iterator[Publisher]:
    with publishing(kafka_settings, topic) as publisher:
        yield publisher


@contextmanager
def consuming(
    settings: KafkaSettings,
    store: Engine,
    topic: str,
    handlers: Mapping[str, Handler] = HANDLERS,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Consumer]:
    subscription = Subscription(
        group=f"group-{topic}", schema="public", topic=topic, handlers=handlers
    )
    consumer = Consumer(subscription, settings, store, batch_size=batch_size)
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


def names(store: Engine, key: str | None = None) -> list[str]:
    with store.connect() as connection:
        where = "" if key is None else "WHERE key = cast(:key AS uuid)"
        statement = text(f"SELECT name FROM seen {where} ORDER BY n")
        return list(connection.execute(statement, {"key": key} if key else {}).scalars())


def create(publisher: Publisher, name: str = "0") -> str:
    key = uuid7()
    publisher.publish(pb.UserCreatedEvent(user_id=key, person=pb.Person(name=name))).result(10)
    return key


def update(publisher: Publisher, key: str, name: str) -> None:
    publisher.publish(pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=name))).result(10)


def test_every_event_once_and_in_order(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    key = create(publisher)
    records = []
    for n in range(1, 40):
        message = pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=str(n)))
        records.append(publisher.record(publisher.event(message)))
        publisher.append(records[-1]).result(10)
        publisher.append(records[n // 2]).result(10)  # a second copy of an earlier one
    with consuming(kafka_settings, store, topic) as consumer:
        eventually(lambda: consumer.status().events.get("duplicates") == 39)
    assert names(store, key) == [str(n) for n in range(40)]


@pytest.mark.usefixtures("apache_kafka")
def test_two_consumers_divide_the_partitions_and_hand_over(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(consuming(kafka_settings, store, topic))
        eventually(lambda: len(first.status().partitions) == 50)
        with consuming(kafka_settings, store, topic) as second:
            eventually(lambda: len(second.status().partitions) == 25)
            eventually(lambda: len(first.status().partitions) == 25)
            keys = [create(publisher) for _ in range(100)]
            eventually(lambda: len(names(store)) == 100)
        for key in keys:
            update(publisher, key, "1")
        eventually(lambda: len(first.status().partitions) == 50, within=2)
        eventually(lambda: len(names(store)) == 200)
    assert all(names(store, key) == ["0", "1"] for key in keys)


@pytest.mark.usefixtures("apache_kafka")
def test_postgres_connections_that_break_are_waited_for(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    with consuming(kafka_settings, store, topic) as consumer:
        eventually(lambda: consumer.ready())
        with store.connect() as connection:
            connection.execute(text("LOCK TABLE seen IN ACCESS EXCLUSIVE MODE"))
            keys = [create(publisher) for _ in range(20)]
            # The consumer's transaction waits for the lock; end it from outside.
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            # Elsewhere: a transaction sees one moment of the activity, however often it looks.
            with store.execution_options(isolation_level="AUTOCOMMIT").connect() as other:
                eventually(lambda: other.execute(text(waiting)).all())
                other.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) w"))
            eventually(lambda: consumer.status().state == "waiting: Postgres is away")
        eventually(lambda: len(names(store)) == len(keys))
        eventually(lambda: consumer.ready())
    assert all(names(store, key) == ["0"] for key in keys)


@pytest.mark.usefixtures("apache_kafka")
def test_kafka_is_told_of_what_it_never_heard_or_has_forgotten(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    """Though nothing more is appended: its committed offsets are what lag is measured by."""
    for _ in range(20):
        create(publisher)
    made = ensure_topic(kafka_settings, topic)
    ends = {place: end for place, end in log_ends(kafka_settings, made).items() if end}

    def told() -> bool:
        return committed_offsets(kafka_settings, f"group-{topic}", made) == ends

    with consuming(kafka_settings, store, topic):
        eventually(told)
    admin = AdminClient(kafka_settings.common())
    (forgotten,) = admin.delete_consumer_groups([f"group-{topic}"]).values()
    forgotten.result(10)
    assert not told()
    with consuming(kafka_settings, store, topic):
        eventually(told)


@pytest.mark.usefixtures("apache_kafka")
def test_a_commit_that_arrives_late_is_put_right(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    """A client may repeat one that failed, as the coordinator was away, after a later one."""
    create(publisher)
    made = ensure_topic(kafka_settings, topic)
    with joined(kafka_settings, store, made) as session:
        eventually(lambda: fetched(session))
        (record,) = session.in_hand
        session.applied([record])

        def known() -> int:
            offsets = committed_offsets(kafka_settings, f"group-{topic}", made)
            return offsets.get(record.partition, 0)

        def told() -> int:
            session.fetch(1, 0.1)  # and the answers to commits
            session.commit_if_due()
            return known()

        eventually(lambda: told() == record.offset + 1)
        late = TopicPartition(topic, record.partition, record.offset)
        session._client.commit(offsets=[late], asynchronous=True)
        eventually(lambda: known() == record.offset)
        eventually(lambda: told() == record.offset + 1)


def test_a_commit_that_kafka_did_not_hear_is_told_again(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    """A coordinator that is away for longer than a commit is waited for answers with an error."""
    create(publisher)
    with joined(kafka_settings, store, ensure_topic(kafka_settings, topic)) as session:
        eventually(lambda: fetched(session))
        (record,) = session.in_hand
        session.applied([record])
        session.commit()
        place = TopicPartition(topic, record.partition, record.offset + 1)
        session._on_commit(KafkaError(KafkaError._TIMED_OUT), [place])
        due = session._commits.due(session.positions, time.monotonic())
        assert due == {record.partition: record.offset + 1}


@contextmanager
def joined(settings: KafkaSettings, store: Engine, topic: Topic) -> Iterator[Session]:
    group = f"group-{topic.name}"
    session = Session(settings, group, topic, store, lambda topic: None, Unfetched())
    try:
        yield session
    finally:
        session.close()


def fetched(session: Session) -> bool:
    session.fetch(10, 0.1)
    return bool(session.in_hand)


def test_a_stale_owner_changes_nothing(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO offsets (topic, partition, next_offset, topic_id)"
                " VALUES ('t', 3, 8, '')"
            )
        )
    subscription = Subscription(group="g", schema="public", topic="t", handlers=HANDLERS)
    record = RawRecord("t", 3, 7, b"", b"", (), 0)

    def attempt(start: int) -> None:
        with connect(store, subscription) as wire:
            apply(wire, subscription, [record._replace(offset=start)], {3: start}, 50)

    with pytest.raises(StaleOwner):
        attempt(7)
    attempt(8)
    with store.connect() as connection:
        assert connection.execute(text("SELECT next_offset FROM offsets")).scalar() == 9


@pytest.mark.usefixtures("apache_kafka")
@pytest.mark.parametrize("beyond", [-5, 7])
def test_offsets_that_are_not_in_the_log_are_refused(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher, beyond: int
) -> None:
    """It was cut, or records of it were deleted before they were consumed."""
    key = create(publisher)
    for n in range(9):
        update(publisher, key, str(n))
    with consuming(kafka_settings, store, topic):
        eventually(lambda: len(names(store)) == 10)
    with store.begin() as connection:
        moved = "UPDATE offsets SET next_offset = 10 + :beyond WHERE next_offset > 0"
        connection.execute(text(moved), {"beyond": beyond})
    admin = AdminClient(kafka_settings.common())
    ends = log_ends(kafka_settings, ensure_topic(kafka_settings, topic))
    (partition,) = (place for place, end in ends.items() if end)
    (deleted,) = admin.delete_records([TopicPartition(topic, partition, 8)]).values()
    assert deleted.result(10).low_watermark == 8
    with consuming(kafka_settings, store, topic) as consumer:
        eventually(lambda: consumer.status().state.startswith("stopped: a stored offset"))
        assert f"is 8 to 10, and the stored offset is {10 + beyond}." in consumer.status().state
        assert not consumer.ready()
    assert len(names(store)) == 10


def test_offsets_of_another_topic_are_refused(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    create(publisher)
    with consuming(kafka_settings, store, topic):
        eventually(lambda: names(store))
    with store.begin() as connection:
        connection.execute(text("UPDATE offsets SET topic_id = 'another'"))
    with consuming(kafka_settings, store, topic) as consumer:
        eventually(lambda: consumer.status().state.startswith("stopped: the stored offsets"))
        assert consumer.healthy()
        assert not consumer.ready()
