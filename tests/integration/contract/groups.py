"""The same group three times: in memory, and on a real Postgres behind either broker."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, text
from support.waiting import eventually

from rollcall_events import (
    Consumer,
    Event,
    Handler,
    KafkaSettings,
    Position,
    Publisher,
    Record,
    Rejection,
    Statement,
    Subscription,
    parking,
)
from rollcall_events.memory import MemoryGroup, MemoryTopic
from rollcall_events.parking_guard import TooManyParked
from rollcall_events.postgres import Wire
from rollcall_events.topic import PARTITIONS

TYPES = [f"rollcall.users.v1.User{done}Event" for done in ("Created", "Updated", "Deleted")]


class Notes(Protocol):
    """What the handlers write."""

    def add(self, key: str, name: str) -> None: ...


class Group(Protocol):
    """What the contract is about. trouble: names that the handlers cannot handle now."""

    trouble: set[str]

    def record(self, message: Message) -> Record: ...
    def append(self, record: Record) -> Position: ...
    def settle(self) -> None: ...
    def stopped(self) -> bool: ...
    def handled(self, key: str) -> list[str]: ...
    def rejected(self) -> list[str]: ...
    def parked(self) -> dict[str, int]: ...
    def redrive(self, key: str) -> int: ...
    def discard(self, key: str, position: Position, reason: str) -> int: ...


def handlers(trouble: set[str]) -> dict[str, Handler]:
    def note(event: Event, notes: Notes) -> None:
        message: Any = event.message
        name = message.person.name if hasattr(message, "person") else "deleted"
        if name in trouble:
            raise ValueError(name)
        notes.add(event.key, name)

    return dict.fromkeys(TYPES, note)


class MemoryNotes:
    def __init__(self) -> None:
        self.handled: list[tuple[str, str]] = []
        self.rejected: list[str] = []

    def add(self, key: str, name: str) -> None:
        self.handled.append((key, name))


class InMemory:
    def __init__(self) -> None:
        self.trouble: set[str] = set()
        self._topic = MemoryTopic()
        subscription = Subscription("g", "", "users", handlers(self.trouble))
        self._group = MemoryGroup(self._topic, subscription, MemoryNotes(), self._reject)
        self._stopped = False

    @staticmethod
    def _reject(notes: MemoryNotes, rejections: Sequence[Rejection]) -> None:
        notes.rejected += [rejection.reason for rejection in rejections]

    def record(self, message: Message) -> Record:
        return self._topic.record(message)

    def append(self, record: Record) -> Position:
        return self._topic.append(record)

    def settle(self) -> None:
        try:
            self._group.run()
        except TooManyParked:
            self._stopped = True

    def stopped(self) -> bool:
        return self._stopped

    def handled(self, key: str) -> list[str]:
        return [name for of, name in self._group.state.handled if of == key]

    def rejected(self) -> list[str]:
        return self._group.state.rejected

    def parked(self) -> dict[str, int]:
        return {key: len(held.records) for key, held in self._group.parked.items()}

    def redrive(self, key: str) -> int:
        return self._group.redrive(key)

    def discard(self, key: str, position: Position, reason: str) -> int:
        return self._group.discard(key, position, reason)


class SqlNotes:
    def __init__(self, connection: Connection):
        self._connection = connection

    def add(self, key: str, name: str) -> None:
        statement = text("INSERT INTO seen (key, name) VALUES (:key, :name)")
        self._connection.execute(statement, {"key": key, "name": name})


class OnABroker:
    """Consumes from `start` until `stop`. store: with the tables of the library and the test."""

    def __init__(self, settings: KafkaSettings, store: Engine, topic: str):
        self.trouble: set[str] = set()
        self._store = store
        self._topic = topic
        self._publisher = Publisher(settings, topic, "/services/test")
        self._group = Subscription(
            group=f"group-{topic}",
            schema="public",
            topic=topic,
            handlers=handlers(self.trouble),
            begin=self._begin,
            end=self._end,
        )
        self._consumer = Consumer(self._group, settings, store)
        self._appended = 0

    def start(self) -> None:
        self._publisher.start()
        self._consumer.start()
        eventually(self._consumer.ready)

    def stop(self) -> None:
        self._consumer.stop()
        self._publisher.stop()

    def record(self, message: Message) -> Record:
        return self._publisher.record(self._publisher.event(message))

    def append(self, record: Record) -> Position:
        self._appended += 1
        return self._publisher.append(record).result(10).position

    def settle(self) -> None:
        offsets = "SELECT sum(next_offset) FROM offsets"
        eventually(lambda: self.stopped() or self._asked(offsets) == [self._appended])

    def stopped(self) -> bool:
        return self._consumer.status().state.startswith("stopped: more than")

    def handled(self, key: str) -> list[str]:
        return self._asked("SELECT name FROM seen WHERE key = cast(:key AS uuid) ORDER BY n", key)

    def rejected(self) -> list[str]:
        return self._asked("SELECT reason FROM rejected ORDER BY n")

    def parked(self) -> dict[str, int]:
        with self._store.connect() as connection:
            found = parking.sequences(connection, self._topic, 100)
        return {sequence.key: sequence.held + 1 for sequence in found}

    def redrive(self, key: str) -> int:
        return self._run(lambda: parking.redrive(self._store, self._group, key, PARTITIONS))

    def discard(self, key: str, position: Position, reason: str) -> int:
        return self._run(
            lambda: parking.discard(self._store, self._group, key, position, reason, PARTITIONS)
        )

    @staticmethod
    def _run(do: Callable[[], parking.Run]) -> int:
        try:
            return do().left
        except parking.NotParked as error:
            raise KeyError from error

    def _asked(self, statement: str, key: str | None = None) -> list[Any]:
        with self._store.connect() as connection:
            return list(connection.execute(text(statement), {"key": key} if key else {}).scalars())

    @staticmethod
    def _begin(wire: Wire, events: Sequence[Event]) -> SqlNotes:
        return SqlNotes(wire.connection)

    @staticmethod
    def _end(notes: SqlNotes, rejections: Sequence[Rejection]) -> Sequence[Statement]:
        return [
            ("INSERT INTO rejected (reason) VALUES (%s)", (rejection.reason,))
            for rejection in rejections
        ]
