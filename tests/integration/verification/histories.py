"""A log with everything in it that a log can have, and the read store that was folded from it."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import Message
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import (
    Consumer,
    KafkaSettings,
    Position,
    Publisher,
    Record,
    Recorded,
    log_ends,
    parking,
)
from rollcall_events.ids import uuid7
from rollcall_events.topic import PARTITIONS, ensure_topic
from rollcall_user_management.projection.handlers import subscription

EVENTS_TESTS = Path(__file__).parents[3] / "libs/events/tests"
OLD = EVENTS_TESTS / "golden/v0/UserRegisteredEvent.json"
UNKNOWN = b"rollcall.users.v1.UserPromotedEvent"


class History:
    """A topic of its own, and the group that folds it into a store."""

    def __init__(self, settings: KafkaSettings, topic: str, store: Engine, seed: int):
        self.settings, self.topic, self.store = settings, topic, store
        self.group = replace(
            subscription("user_management_g1"), topic=topic, group=f"group-{topic}"
        )
        self.users = [uuid7() for _ in range(6)]
        self.roles = [uuid7() for _ in range(3)]
        self._random = random.Random(seed)
        self._publisher = Publisher(settings, topic, "/services/test")
        self._appended: list[Future[Recorded]] = []

    @contextmanager
    def publishing(self) -> Iterator[None]:
        ensure_topic(self.settings, self.topic)
        self._publisher.start()
        try:
            yield
        finally:
            self._publisher.stop()

    def publish(self, message: Message) -> Record:
        record = self._publisher.record(self._publisher.event(message, actor="services/test"))
        self.append(record)
        return record

    def append(self, record: Record) -> Future[Recorded]:
        eventually(lambda: self._publisher.available)  # a new topic's leaders take a moment
        appended = self._publisher.append(replace(record, topic=self.topic))
        self._appended.append(appended)
        return appended

    def at_random(self, events: int) -> None:
        """Events that are applied and rejected, copies of some, and records that are no event."""
        records = [
            self.publish(pb.UserCreatedEvent(user_id=user, person=_person(user)))
            for user in self.users
        ]
        for n in range(events):
            records.append(self.publish(self._message(n)))
            if self._random.random() < 0.1:
                self.append(self._random.choice(records))
            if self._random.random() < 0.1:
                broken = self._random.choice(records)
                self.append(replace(broken, value=b"\xff\xff"))

    def park(self, key: str) -> Position:
        """An event of a type that nobody knows yet, and one behind it."""
        record = self._publisher.record(self._publisher.event(pb.UserLoggedInEvent(user_id=key)))
        headers = [(n, UNKNOWN if n == "ce_type" else v) for n, v in record.headers]
        place = self.append(replace(record, headers=tuple(headers)))
        self.publish(pb.UserUpdatedEvent(user_id=key, person=pb.Person(name="held")))
        return place.result(30).position

    def project(self) -> None:
        """Fold all that is in the log."""
        wait(self._appended, 30)
        ends = self._ends()
        consumer = Consumer(self.group, self.settings, self.store)
        consumer.start()
        try:
            eventually(lambda: self._stored() == ends)
        finally:
            consumer.stop()

    def discard(self, key: str, place: Position) -> None:
        parking.discard(self.store, self.group, key, place, "by hand", PARTITIONS)

    def _ends(self) -> dict[int, int]:
        ends = log_ends(self.settings, ensure_topic(self.settings, self.topic))
        return {partition: end for partition, end in ends.items() if end}

    def _stored(self) -> dict[int, int]:
        asked = text("SELECT partition, next_offset FROM offsets WHERE next_offset > 0")
        with self.store.connect() as connection:
            return {row.partition: row.next_offset for row in connection.execute(asked)}

    def _message(self, n: int) -> Message:
        user, role = self._random.choice(self.users), self._random.choice(self.roles)
        attributes = pb.Person()
        attributes.attributes.update({"level": n / 2, "big": 1e300, "on": True, "of": [None, "é"]})
        name = f"role {n % 3}"
        return self._random.choice(
            [
                pb.UserCreatedEvent(user_id=uuid7(), person=_person(f"{n}")),
                pb.UserUpdatedEvent(user_id=user, person=pb.Person(email=f"E{n % 4}@x.org")),
                pb.UserUpdatedEvent(user_id=user, person=attributes),
                pb.UserUpdatedEvent(user_id=user, status=pb.USER_STATUS_SUSPENDED),
                pb.UserLoggedInEvent(user_id=user),
                pb.RoleCreatedEvent(role_id=role, name=name, permissions=["users:read", "*"]),
                pb.RoleUpdatedEvent(role_id=role, description=f'"{n}"'),
                *[pb.RoleAssignedToUserEvent(user_id=user, role_id=role, role_name=name)] * 3,
                pb.RoleUnassignedFromUserEvent(user_id=user, role_id=role, role_name=name),
                pb.UserLoggedInEvent(user_id=role),
                pb.RoleDeletedEvent(role_id=role if n % 5 == 0 else uuid7()),
                pb.UserDeletedEvent(user_id=user if n % 9 == 0 else uuid7()),
            ]
        )


def _person(name: str) -> pb.Person:
    return pb.Person(email=f"{name}@x.org", name=f"Ada {name[-3:]}", locale="en")


def old_record() -> Record:
    """The golden record of a type that is only read any more."""
    golden = json.loads(OLD.read_text())
    headers = tuple((name, value.encode()) for name, value in golden["headers"].items())
    return Record("", golden["key"].encode(), bytes.fromhex(golden["value"]), headers)
