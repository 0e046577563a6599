"""The log that is consumed: mixed events of many users, the same for every case."""

import random
from collections.abc import Iterator
from concurrent.futures import Future

from google.protobuf.message import Message

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, Publisher
from rollcall_events.ids import uuid7
from rollcall_events.topic import ensure_topic

TOPIC = "users"
SEED = 1
_WITHIN = 60.0  # seconds, for the last acknowledgement
_IN_FLIGHT = 2_000
_ROLES = [uuid7() for _ in range(8)]


def fill(settings: KafkaSettings, users: int, for_each: int) -> int:
    """Append a creation and further events of each user, interleaved; how many in all."""
    ensure_topic(settings, TOPIC)
    publisher = Publisher(settings, TOPIC, "/services/bench")
    publisher.start()
    waiting: list[Future[object]] = []
    count = 0
    try:
        for message in _messages(users, for_each):
            waiting.append(publisher.publish(message))  # type: ignore[arg-type]
            count += 1
            if len(waiting) == _IN_FLIGHT:
                for future in waiting:
                    future.result(_WITHIN)
                waiting.clear()
        for future in waiting:
            future.result(_WITHIN)
    finally:
        publisher.stop()
    return count


def _messages(users: int, for_each: int) -> Iterator[Message]:
    chance = random.Random(SEED)
    ids = [uuid7() for _ in range(users)]
    turns = [number for number in range(users) for _ in range(for_each)]
    chance.shuffle(turns)
    made = [0] * users
    for number in turns:
        yield _message(ids[number], number, made[number])
        made[number] += 1


def _message(user: str, number: int, nth: int) -> Message:
    match nth % 3:
        case 0 if nth == 0:
            person = pb.Person(email=f"user{number}@example.com", name=f"User {number}")
            person.locale = "en"
            person.attributes.update({"team": f"team {number % 40}"})
            return pb.UserCreatedEvent(user_id=user, person=person)
        case 1:
            role = _ROLES[number % len(_ROLES)]
            return pb.RoleAssignedToUserEvent(user_id=user, role_id=role, role_name="reader")
        case _:
            return pb.UserUpdatedEvent(user_id=user, person=pb.Person(name=f"User {number} {nth}"))
