"""Random histories: what services and strangers may publish, right and wrong, and when a broker
with a clock of its own would have stamped it."""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from google.protobuf.message import Message
from history.record import PARTITIONS, PREFIX, Unsent

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events.partitioner import partition_of

EMAILS = [
    f"{name}@example.org" for name in ("ada", "bob", "cleo", "Dora", "émile", "o_neil", "50%")
]
NAMES = ["Ada", "ada lovelace", "Bob O_Neil", "Zoë", "50% Dora", "\\Eve\\", "Ünal", "émile", ""]
ROLE_NAMES = ["reader", "Reader", "editor", "auditor", "Straße", "STRASSE", "owner"]
LOCALES = ["", "en", "de-CH", "fr"]
ATTRIBUTES: list[dict[str, Any]] = [
    {},
    {"team": "red", "level": 3},
    {"a": {"b": [1.5, None, True, "x"]}, "empty": {}},
]
STATUSES = [pb.USER_STATUS_UNSPECIFIED, pb.USER_STATUS_ACTIVE, pb.USER_STATUS_SUSPENDED]
BROKERS = 3


@dataclass
class _Life:
    """What the generator remembers, to publish what fits more often than what does not."""

    id: str
    begun: bool = False


@dataclass
class History:
    """sent: in the order of publishing."""

    users: Sequence[str]
    roles: Sequence[str]
    sent: list[Unsent] = field(default_factory=list)


def history(seed: int, users: int, events: int, began_ms: int) -> History:
    """About `events` records of so many users, the first stamped about `began_ms`.

    The records of a partition are stamped by its leader, whose clock is wrong by up to two seconds;
    leaders change, so that the stamps of a partition step back at times, and many are the same.
    """
    return _Generator(random.Random(seed), users, began_ms).run(events)


class _Generator:
    def __init__(self, chance: random.Random, users: int, began_ms: int):
        self._chance = chance
        self._users = [_Life(self._uuid()) for _ in range(users)]
        self._roles = [_Life(self._uuid()) for _ in range(max(3, users // 20))]
        self._now = began_ms
        self._skews = [chance.randint(-2_000, 2_000) for _ in range(BROKERS)]
        self._leaders = [chance.randrange(BROKERS) for _ in range(PARTITIONS)]
        self._history = History([u.id for u in self._users], [r.id for r in self._roles])

    def run(self, events: int) -> History:
        for _ in range(events):
            self._tick()
            role = self._chance.random() < 0.12
            life = self._chance.choice(self._roles if role else self._users)
            self._send((self._role_event if role else self._user_event)(life), life.id)
        return self._history

    def _tick(self) -> None:
        self._now += self._chance.choice((0, 0, 0, 1, 1, 2, 7, 40))
        if self._chance.random() < 0.1:
            self._leaders[self._chance.randrange(PARTITIONS)] = self._chance.randrange(BROKERS)

    def _send(self, message: Message, key: str) -> None:
        if self._chance.random() < 0.02 and self._history.sent:  # a copy, of anything
            copy = self._chance.choice(self._history.sent)
            self._history.sent.append(replace(copy, recorded_ms=self._stamp(copy.key)))
        headers = self._headers(message, key)
        value = message.SerializeToString()
        record = Unsent(key.encode(), value, headers, self._stamp(key.encode()))
        if self._chance.random() < 0.03:
            record = self._chance.choice(_WRONG)(record)
        self._history.sent.append(record)

    def _stamp(self, key: bytes) -> int:
        return self._now + self._skews[self._leaders[partition_of(key, PARTITIONS)]]

    def _headers(self, message: Message, key: str) -> tuple[tuple[str, bytes], ...]:
        collection = "users" if hasattr(message, "user_id") else "roles"
        texts = {
            "content-type": "application/protobuf",
            "ce_specversion": "1.0",
            "ce_id": self._uuid(),
            "ce_type": PREFIX + type(message).__name__,
            "ce_source": "/services/stranger",
            "ce_subject": f"{collection}/{key}",
            "ce_time": self._any_time(),
        }
        if self._chance.random() < 0.6:
            texts["ce_actor"] = self._chance.choice(
                (f"users/{self._chance.choice(self._users).id}", "services/hr", "tokens/t1")
            )
        for name in ("ce_correlationid", "ce_causationid"):
            if self._chance.random() < 0.5:
                texts[name] = self._uuid()
        return tuple((name, text.encode()) for name, text in texts.items())

    def _any_time(self) -> str:
        """Publishers' clocks, which nothing may depend on."""
        zone = timezone(timedelta(minutes=self._chance.randint(-720, 720)))
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
            days=self._chance.randint(-40_000, 40_000),
            microseconds=self._chance.randrange(10**10),
        )
        return moment.astimezone(zone).isoformat()

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    # -- users ------------------------------------------------------------------------------

    def _user_event(self, user: _Life) -> Message:
        draw = self._chance.random()
        if draw < 0.03:  # what is not of a user, under a user's id
            return pb.RoleUpdatedEvent(role_id=user.id, name="wrong")
        if (not user.begun and draw < 0.9) or draw < 0.05:
            user.begun = True
            return pb.UserCreatedEvent(user_id=user.id, person=self._person(0.9), status=self._of())
        if draw < 0.07:
            return pb.UserDeletedEvent(user_id=user.id)
        if draw < 0.25:
            return pb.UserLoggedInEvent(user_id=user.id)
        if draw < 0.6:
            return self._assignment(user)
        return pb.UserUpdatedEvent(user_id=user.id, person=self._person(0.4), status=self._of())

    def _of(self) -> "pb.UserStatus.ValueType":
        return self._chance.choice(STATUSES)

    def _person(self, share: float) -> pb.Person:
        person = pb.Person()
        if self._chance.random() < share:
            email = self._chance.choice(EMAILS)
            person.email = self._chance.choice((email, email.upper(), f"{self._uuid()[:4]}@x.org"))
        if self._chance.random() < share:
            person.name = self._chance.choice(NAMES)
        if self._chance.random() < share / 2:
            person.locale = self._chance.choice(LOCALES)
        if self._chance.random() < share / 2:
            person.attributes.update(self._chance.choice(ATTRIBUTES))
        return person

    def _assignment(self, user: _Life) -> Message:
        no_role = self._chance.random() < 0.02  # but a user
        role = self._chance.choice(self._users if no_role else self._roles).id
        name = self._chance.choice(ROLE_NAMES)
        event = self._chance.choice(
            (
                pb.RoleAssignedToUserEvent,
                pb.RoleAssignedToUserEvent,
                pb.RoleUnassignedFromUserEvent,
            )
        )
        return event(user_id=user.id, role_id=role, role_name=name)

    # -- roles ------------------------------------------------------------------------------

    def _role_event(self, role: _Life) -> Message:
        draw, name = self._chance.random(), self._chance.choice(ROLE_NAMES)
        if (not role.begun and draw < 0.3) or draw < 0.03:
            role.begun = True
            return pb.RoleCreatedEvent(role_id=role.id, name=name, permissions=["users:read"])
        if draw > 0.97:
            return pb.RoleDeletedEvent(role_id=role.id)
        event = pb.RoleUpdatedEvent(role_id=role.id)
        if self._chance.random() < 0.8:
            event.name = name
        if self._chance.random() < 0.3:
            event.description = f"{self._uuid()[:4]}"
        if self._chance.random() < 0.3:
            event.permissions.values.extend(self._chance.sample(["a:read", "b:write", "c:*"], 2))
        return event


# -- what is wrong with a record -----------------------------------------------------------------


def _with(**headers: str | None) -> Callable[[Unsent], Unsent]:
    """Other values of headers; None: without it."""

    def changed(record: Unsent) -> Unsent:
        kept = tuple((n, v) for n, v in record.headers if n not in headers)
        more = tuple((n, v.encode()) for n, v in headers.items() if v is not None)
        return replace(record, headers=kept + more)

    return changed


def _elsewhere(record: Unsent) -> Unsent:
    right = partition_of(record.key, PARTITIONS)
    return replace(record, partition=(right + 1) % PARTITIONS)


def _of_another(record: Unsent) -> Unsent:
    """The message and the subject are of one aggregate, and the key is of another."""
    return replace(record, key=b"00000000-0000-4000-8000-000000000000")


_OTHER: Mapping[str, str] = {"ce_subject": "users/00000000-0000-4000-8000-000000000000"}

_WRONG: Sequence[Callable[[Unsent], Unsent]] = (
    _elsewhere,
    _of_another,
    _with(ce_specversion=None),
    _with(ce_id="1"),
    _with(ce_time="yesterday"),
    _with(**_OTHER),
    lambda record: replace(record, value=b"\xff\xff"),
    lambda record: replace(record, key=b"ada"),
)
