"""What the tests of parking need: a group whose handlers can be made to fail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import (
    Consumer,
    Event,
    Handler,
    KafkaSettings,
    Publisher,
    Rejection,
    Statement,
    Subscription,
    parking,
)
from rollcall_events.ids import uuid7
from rollcall_events.partitioner import partition_of

CREATED = "rollcall.users.v1.UserCreatedEvent"
UPDATED = "rollcall.users.v1.UserUpdatedEvent"
PARTITIONS = 50

# Of a name → what its handler raises, the SQL that it runs, or what it calls.
Trouble = dict[str, Exception | str | Callable[[], object]]


def name_of(event: Event) -> str:
    name: str = event.message.person.name  # type: ignore[attr-defined]
    return name


def handlers_with(trouble: Trouble) -> Mapping[str, Handler]:
    def note(event: Event, connection: Connection) -> None:
        """Keep every handled event, in the order of handling."""
        match trouble.get(name_of(event)):
            case Exception() as error:
                raise error
            case str(statement):
                connection.execute(text(statement))
            case None:
                pass
            case do:
                do()
        connection.execute(
            text("INSERT INTO seen (key, name) VALUES (:key, :name)"),
            {"key": event.key, "name": name_of(event)},
        )

    return {CREATED: note, UPDATED: note}


def keep_rejections(connection: Connection, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    return [
        ("INSERT INTO rejected (reason) VALUES (%s)", (rejection.reason,))
        for rejection in rejections
    ]


@contextmanager
def consuming(settings: KafkaSettings, store: Engine, group: Subscription) -> Iterator[Consumer]:
    consumer = Consumer(group, settings, store)
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


def names(store: Engine, key: str) -> list[str]:
    with store.connect() as connection:
        statement = text("SELECT name FROM seen WHERE key = cast(:key AS uuid) ORDER BY n")
        return list(connection.execute(statement, {"key": key}).scalars())


def create(publisher: Publisher, name: str = "0", key: str | None = None) -> str:
    key = key or uuid7()
    publisher.publish(pb.UserCreatedEvent(user_id=key, person=pb.Person(name=name))).result(10)
    return key


def update(publisher: Publisher, key: str, *names_: str) -> None:
    for name in names_:
        event = pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=name))
        publisher.publish(event).result(10)


def neighbour(key: str) -> str:
    """Another key of the same partition."""
    partition = partition_of(key.encode(), PARTITIONS)
    while partition_of((found := uuid7()).encode(), PARTITIONS) != partition:
        pass
    return found


def counted(store: Engine) -> tuple[int, int]:
    with store.connect() as connection:
        return parking.counts(connection)


def only(store: Engine, topic: str) -> parking.ParkedSequence:
    with store.connect() as connection:
        [found] = parking.sequences(connection, topic, 10)
    return found


class Case:
    """What the tests need of everything."""

    def __init__(self, store: Engine, topic: str, publisher: Publisher, trouble: Trouble):
        self.store, self.topic, self.publisher, self.trouble = store, topic, publisher, trouble

    def parked(self, *records: str, cause: Exception | str | Callable[[], object]) -> str:
        """A key with a first record that can be handled, and more of which the first cannot."""
        self.trouble[records[0]] = cause
        key = create(self.publisher)
        update(self.publisher, key, *records)
        eventually(lambda: counted(self.store) == (1, len(records)))
        return key
