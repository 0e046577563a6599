"""Users at a moment and at a version, alone and in lists, of a log that is folded by hand.

That every answer is the fold of the log is for the model to say (tests/history); here are the
rules one by one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Engine

from rollcall.users.v1 import events_pb2 as pb
from rollcall.users.v1 import queries_pb2 as queries
from rollcall_events import UnpublishedEvent
from rollcall_events.codec import RawRecord, encode
from rollcall_events.ids import uuid7
from rollcall_events.inbox import apply, connect
from rollcall_events.partitioner import partition_of
from rollcall_events.stored_offsets import load_offsets
from rollcall_events.topic import Topic
from rollcall_events.types import type_of
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.queries.users import get_user, list_users

START = datetime(2026, 1, 1, tzinfo=UTC)
ADA, BOB, EDITOR, READER = (uuid7() for _ in range(4))


class Log:
    """Folds each event as it is appended; its n-th second is that of the n-th append."""

    def __init__(self, store: Engine):
        self._store = store
        self._group = subscription("user_management_g1")
        self._next = load_offsets(store, Topic("users", "id", 50, "cluster"), range(50))
        self.seconds = 0

    def append(self, message: Message, *, at: int | None = None) -> int:
        """The second at which it was appended: `at`, or the next."""
        self.seconds = self.seconds + 1 if at is None else at
        type_ = type_of(message)
        key = getattr(message, type_.id_field)
        event = UnpublishedEvent(
            id=uuid7(), type=type_.name, key=key, source="/t", time=START, message=message
        )
        record = encode(event, "users")
        partition = partition_of(record.key, 50)
        offset, stamp = self._next[partition], int(second(self.seconds).timestamp() * 1000)
        raw = RawRecord("users", partition, offset, record.key, record.value, record.headers, stamp)
        with connect(self._store, self._group) as wire:
            apply(wire, self._group, [raw], {partition: offset}, 50)
        self._next[partition] += 1
        return self.seconds


def second(number: float) -> datetime:
    return START + timedelta(seconds=number)


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


@pytest.fixture
def log(store: Engine) -> Log:
    return Log(store)


@pytest.fixture
def ask(store: Engine) -> Any:
    def asked(id_: str, **as_of: Any) -> queries.User:
        with store.connect() as connection:
            return get_user(connection, queries.GetUserRequest(id=id_, **as_of))

    return asked


def create(id_: str, name: str, email: str | None = None) -> pb.UserCreatedEvent:
    person = pb.Person(email=email or f"{name.lower()}@x.org", name=name, locale="en")
    return pb.UserCreatedEvent(user_id=id_, person=person)


def rename(id_: str, name: str) -> pb.UserUpdatedEvent:
    return pb.UserUpdatedEvent(user_id=id_, person=pb.Person(name=name))


def assign(id_: str, role: str, name: str) -> pb.RoleAssignedToUserEvent:
    return pb.RoleAssignedToUserEvent(user_id=id_, role_id=role, role_name=name)


def test_a_user_from_before_its_creation_until_after_its_deletion(log: Log, ask: Any) -> None:
    created = log.append(create(ADA, "Ada"))
    log.append(rename(ADA, "Ada L."))
    signed_in = log.append(pb.UserLoggedInEvent(user_id=ADA))
    deleted = log.append(pb.UserDeletedEvent(user_id=ADA))
    with pytest.raises(NotFound) as before:
        ask(ADA, at=stamp(second(created - 0.001)))
    assert before.value.deleted_at is None
    assert ask(ADA, at=stamp(second(created))).name == "Ada"
    then = ask(ADA, at=stamp(second(signed_in + 0.5)))
    assert (then.name, then.version) == ("Ada L.", 2)
    assert then.last_login_at == stamp(second(signed_in))
    with pytest.raises(NotFound) as after:
        ask(ADA, at=stamp(second(deleted)))
    assert after.value.deleted_at == second(deleted)


def test_a_version_is_what_its_event_left(log: Log, ask: Any) -> None:
    log.append(create(ADA, "Ada"))
    log.append(pb.UserLoggedInEvent(user_id=ADA))
    log.append(rename(ADA, "Ada L."))
    log.append(pb.UserDeletedEvent(user_id=ADA))
    assert not ask(ADA, version=1).HasField("last_login_at")
    assert ask(ADA, version=2).name == "Ada L."
    with pytest.raises(NotFound, match="was deleted"):
        ask(ADA, version=3)
    with pytest.raises(NotFound, match="no such user"):
        ask(ADA, version=4)


def test_the_last_of_several_events_of_one_moment_counts(log: Log, ask: Any) -> None:
    log.append(create(ADA, "Ada"))
    log.append(rename(ADA, "B"), at=1)
    log.append(rename(ADA, "C"), at=1)
    assert ask(ADA, at=stamp(second(1))).name == "C"


def test_a_clock_that_is_set_back_does_not_turn_round_the_order(log: Log, ask: Any) -> None:
    log.append(create(ADA, "Ada"), at=10)
    log.append(rename(ADA, "B"), at=5)
    with pytest.raises(NotFound):
        ask(ADA, at=stamp(second(9)))
    assert ask(ADA, at=stamp(second(10))).name == "B"


def test_roles_have_the_names_of_the_moment(log: Log, ask: Any) -> None:
    log.append(create(ADA, "Ada"))
    assigned = log.append(assign(ADA, EDITOR, "as assigned"))
    created = log.append(pb.RoleCreatedEvent(role_id=EDITOR, name="editor"))
    renamed = log.append(pb.RoleUpdatedEvent(role_id=EDITOR, name="author"))
    unassigned = log.append(pb.RoleUnassignedFromUserEvent(user_id=ADA, role_id=EDITOR))
    again = log.append(assign(ADA, EDITOR, "author"))
    deleted = log.append(pb.RoleDeletedEvent(role_id=EDITOR))

    def names(at: float) -> list[str]:
        return [role.name for role in ask(ADA, at=stamp(second(at))).roles]

    assert names(assigned - 0.5) == []
    assert names(assigned) == ["as assigned"]
    assert names(created) == ["editor"]
    assert names(renamed) == ["author"]
    assert names(unassigned) == []
    assert names(again) == ["author"]
    assert names(deleted) == []
    assert [role.name for role in ask(ADA, version=2).roles] == ["as assigned"]


def test_a_role_has_no_past_as_a_user(log: Log, ask: Any) -> None:
    log.append(pb.RoleCreatedEvent(role_id=EDITOR, name="editor"))
    with pytest.raises(NotFound):
        ask(EDITOR, at=stamp(second(1)))
    with pytest.raises(NotFound):
        ask(EDITOR, version=1)


@pytest.fixture
def listed(store: Engine) -> Any:
    def asked(at: float, **filters: Any) -> list[str]:
        with store.connect() as connection:
            request = queries.ListUsersRequest(at=stamp(second(at)), **filters)
            return [user.name for user in list_users(connection, request).users]

    return asked


def test_the_list_of_a_moment(log: Log, listed: Any) -> None:
    first = log.append(create(ADA, "Ada"))
    second_ = log.append(create(BOB, "Bob"))
    renamed = log.append(rename(ADA, "Zoe"))
    deleted = log.append(pb.UserDeletedEvent(user_id=BOB))
    assert listed(first) == ["Ada"]
    assert listed(second_) == ["Ada", "Bob"]
    assert listed(renamed, order_by="name") == ["Bob", "Zoe"]
    assert listed(renamed, order_by="-updated_at") == ["Zoe", "Bob"]
    assert listed(renamed, query="ada") == ["Zoe"]  # by the e-mail, that stayed
    assert listed(second_, query="bob") == ["Bob"]
    assert listed(deleted) == ["Zoe"]


def test_an_email_is_looked_up_as_it_was(log: Log, listed: Any) -> None:
    had = log.append(create(ADA, "Ada", "One@x.org"))
    person = pb.Person(email="two@x.org")
    has = log.append(pb.UserUpdatedEvent(user_id=ADA, person=person))
    taken = log.append(create(BOB, "Bob", "one@x.org"))
    assert listed(had, email="one@X.org") == ["Ada"]
    assert listed(has, email="one@x.org") == []
    assert listed(taken, email="one@x.org") == ["Bob"]
    assert listed(taken, email="two@x.org") == ["Ada"]


def test_a_role_is_looked_up_by_its_id_and_by_the_name_of_the_moment(log: Log, listed: Any) -> None:
    log.append(create(ADA, "Ada"))
    log.append(create(BOB, "Bob"))
    assigned = log.append(assign(ADA, EDITOR, "editor"))
    created = log.append(pb.RoleCreatedEvent(role_id=EDITOR, name="author"))
    log.append(assign(BOB, READER, "editor"))
    both = log.append(pb.RoleCreatedEvent(role_id=READER, name="Editor"))
    unassigned = log.append(pb.RoleUnassignedFromUserEvent(user_id=BOB, role_id=READER))
    assert listed(assigned, role="editor") == ["Ada"]
    assert listed(created, role="editor") == []
    assert listed(created, role="author") == ["Ada"]
    assert listed(created, role=EDITOR) == ["Ada"]
    assert listed(both, role="EDITOR") == ["Bob"]
    assert listed(unassigned, role="editor") == []


def test_pages_of_a_moment(store: Engine, log: Log) -> None:
    ids = [uuid7() for _ in range(7)]
    for number, id_ in enumerate(ids):
        log.append(create(id_, f"U{number}"))
    at = stamp(second(log.seconds))
    log.append(pb.UserDeletedEvent(user_id=ids[3]))
    seen: list[str] = []
    token = b""
    with store.connect() as connection:
        while True:
            request = queries.ListUsersRequest(at=at, page_size=2, cursor=token)
            page = list_users(connection, request)
            seen += [user.name for user in page.users]
            token = page.next_cursor
            if not token:
                break
    assert seen == [f"U{number}" for number in range(7)]


def test_a_page_of_a_moment_follows_whatever_is_named_so_since(store: Engine, log: Log) -> None:
    """A role that was deleted, and another of its name, are nothing to a moment before both."""
    ids = [uuid7() for _ in range(3)]
    log.append(pb.RoleCreatedEvent(role_id=EDITOR, name="editor"))
    for number, id_ in enumerate(ids):
        log.append(create(id_, f"U{number}"))
        log.append(assign(id_, EDITOR, "editor"))
    asked = queries.ListUsersRequest(at=stamp(second(log.seconds)), role="editor", page_size=2)
    with store.connect() as connection:
        first = list_users(connection, asked)
    log.append(pb.RoleDeletedEvent(role_id=EDITOR))
    log.append(pb.RoleCreatedEvent(role_id=READER, name="editor"))
    log.append(assign(ids[0], READER, "editor"))
    asked.cursor = first.next_cursor
    with store.connect() as connection:
        second_ = list_users(connection, asked)
    assert [user.name for page in (first, second_) for user in page.users] == ["U0", "U1", "U2"]
