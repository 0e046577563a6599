"""The read store is the fold of the log, in whatever order partitions, copies and batches come."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Position, UnpublishedEvent, parking
from rollcall_events.codec import RawRecord, encode
from rollcall_events.folding import Failure
from rollcall_events.ids import uuid7
from rollcall_events.inbox import NO_FAILURES, apply, connect
from rollcall_events.partitioner import partition_of
from rollcall_events.types import type_of
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.readstore import live_schema

START = datetime(2026, 1, 1, tzinfo=UTC)
GROUP = subscription("user_management_g1")
TABLES = (
    "users",
    "user_roles",
    "roles",
    "assignments",
    "history",
    "offsets",
    "inbox",
    "aggregates",
    "parked",
    "held",
)
USERS = [uuid7() for _ in range(3)]
ROLES = [uuid7() for _ in range(2)]


@pytest.fixture
def store(database_url: str) -> Iterator[Engine]:
    first = make_engine(database_url, schema="user_management", pool_size=1)
    upgrade(first, "rollcall_user_management", schema="user_management")
    schema = live_schema(first)
    first.dispose()
    engine = make_engine(database_url, schema=f"{schema},user_management", pool_size=2)
    yield engine
    engine.dispose()


def messages(user: str, role: str, email: str) -> list[Message]:
    return [
        pb.UserCreatedEvent(user_id=user, person=pb.Person(email=email, name="N")),
        pb.UserUpdatedEvent(user_id=user, person=pb.Person(email=email)),
        pb.UserUpdatedEvent(user_id=user, status=pb.USER_STATUS_SUSPENDED),
        pb.UserDeletedEvent(user_id=user),
        pb.UserLoggedInEvent(user_id=user),
        pb.RoleAssignedToUserEvent(user_id=user, role_id=role, role_name="r"),
        pb.RoleAssignedToUserEvent(user_id=user, role_id=role, role_name="renamed"),
        pb.RoleUnassignedFromUserEvent(user_id=user, role_id=role, role_name="r"),
        pb.RoleCreatedEvent(role_id=role, name=email),
        pb.RoleUpdatedEvent(role_id=role, name="other"),
        pb.RoleDeletedEvent(role_id=role),
    ]


EVENTS = st.tuples(
    st.sampled_from(USERS), st.sampled_from(ROLES), st.sampled_from(["a@x", "b@x"])
).flatmap(lambda t: st.sampled_from(messages(*t)))


SIZES = st.integers(1, 6)


def log_of(published: list[tuple[Message, bool]]) -> dict[int, list[RawRecord]]:
    """The partitions of a log; True publishes a second copy of some earlier event after it."""
    log: dict[int, list[RawRecord]] = {}
    sent: list[UnpublishedEvent] = []
    for n, (message, copy) in enumerate(published):
        type_ = type_of(message)
        sent.append(
            UnpublishedEvent(
                id=uuid7(),
                type=type_.name,
                key=getattr(message, type_.id_field),
                source="/services/test",
                time=START,
                message=message,
            )
        )
        for event in [sent[-1], *([sent[n // 2]] if copy else [])]:
            _append(log, event, START + timedelta(seconds=n // 2))  # ties happen
    return log


def _append(log: dict[int, list[RawRecord]], event: UnpublishedEvent, at: datetime) -> None:
    record = encode(event, "users")
    partition = partition_of(record.key, 50)
    lane = log.setdefault(partition, [])
    stamp = int(at.timestamp() * 1000)
    lane.append(
        RawRecord("users", partition, len(lane), record.key, record.value, record.headers, stamp)
    )


def fold(
    store: Engine,
    log: dict[int, list[RawRecord]],
    draw: Any,
    failing: Mapping[Position, Failure] = NO_FAILURES,
) -> dict[str, list[Any]]:
    """The read store after the log, partitions interleaved and cut into batches at will.

    failing: records that cannot be handled when they are first met, but later, at any moment."""
    with store.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
        connection.execute(
            text("INSERT INTO offsets SELECT 'users', p, 0, 'id' FROM generate_series(0, 49) p")
        )
    lanes = {p: list(lane) for p, lane in log.items()}
    next_: dict[int, int] = dict.fromkeys(lanes, 0)
    with connect(store, GROUP) as wire:
        while any(lanes.values()):
            batch = []
            for _ in range(draw(SIZES)):
                waiting = [p for p, lane in lanes.items() if lane]
                if waiting:
                    lane = waiting[0] if len(waiting) == 1 else draw(st.sampled_from(waiting))
                    batch.append(lanes[lane].pop(0))
            starts = {r.partition: next_[r.partition] for r in batch}
            apply(wire, GROUP, batch, starts, 50, failing)
            next_ |= {r.partition: r.offset + 1 for r in batch}
            if failing and draw(st.booleans()):
                redrive_all(store, draw(st.integers(1, 3)))
    redrive_all(store, len(USERS) + len(ROLES))
    return contents(store)


def redrive_all(store: Engine, most: int) -> None:
    with store.connect() as connection:
        parked = parking.sequences(connection, "users", most)
    for sequence in parked:
        assert parking.redrive(store, GROUP, sequence.key, 50).left == 0


def contents(store: Engine) -> dict[str, list[Any]]:
    with store.connect() as connection:
        return {
            table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))
            for table in TABLES
        }


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(published=st.lists(st.tuples(EVENTS, st.booleans()), max_size=25), data=st.data())
def test_any_interleaving_any_copies_any_batches_give_the_same_read_store(
    store: Engine, published: list[tuple[Message, bool]], data: st.DataObject
) -> None:
    log = log_of(published)
    assert fold(store, log, data.draw) == fold(store, log, data.draw)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(published=st.lists(st.tuples(EVENTS, st.booleans()), max_size=25), data=st.data())
def test_running_what_was_parked_gives_the_store_that_no_parking_would_have_given(
    store: Engine, published: list[tuple[Message, bool]], data: st.DataObject
) -> None:
    log = log_of(published)
    places = [record.position for lane in log.values() for record in lane]
    failing = data.draw(st.sets(st.sampled_from(places))) if places else set()
    failures = dict.fromkeys(failing, Failure("drawn"))
    assert fold(store, log, data.draw, failures) == fold(store, log, data.draw)


def test_a_discarded_event_is_in_the_history_as_a_rejection(store: Engine) -> None:
    created, updated, suspended, *_ = messages(USERS[0], ROLES[0], "a@x")
    log = log_of([(created, False), (updated, False), (suspended, False)])
    [lane] = log.values()
    place = lane[1].position
    fold(store, {}, first_of)
    with connect(store, GROUP) as wire:
        apply(wire, GROUP, lane, {place.partition: 0}, 50, {place: Failure("drawn")})
    parking.discard(store, GROUP, USERS[0], place, "by hand", 50)
    with store.connect() as connection:
        rows = connection.execute(
            text('SELECT version, rejected FROM history ORDER BY "offset"')
        ).all()
        assert [tuple(row) for row in rows] == [(1, None), (None, "discarded: by hand"), (2, None)]
        assert connection.execute(text("SELECT count(*) FROM parked")).scalar() == 0


def first_of(strategy: Any) -> Any:
    """One record a batch: a single partition leaves nothing else to draw."""
    assert strategy is SIZES
    return 1


def test_an_id_is_of_one_collection(store: Engine) -> None:
    user = USERS[0]
    mixed = [
        messages(user, user, "a@x")[0],
        pb.RoleUpdatedEvent(role_id=user, name="r"),
        pb.RoleDeletedEvent(role_id=user),
        pb.UserDeletedEvent(user_id=user),
    ]
    fold(store, log_of([(message, False) for message in mixed]), first_of)
    with store.connect() as connection:
        rejected = connection.execute(
            text('SELECT rejected FROM history ORDER BY "offset"')
        ).scalars()
    assert list(rejected) == [None, "the id is not of a role", "the id is not of a role", None]


def test_a_long_email_does_not_stop_the_partition(store: Engine) -> None:
    """A unique key may be longer than the text, and than an entry of a B-tree can be."""
    email = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789ΐ", k=1_800))
    fold(store, log_of([(messages(USERS[0], ROLES[0], email)[0], False)]), first_of)
    with store.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar() == 1


def test_versions_have_no_gap_and_rejections_take_none(store: Engine) -> None:
    user, role = USERS[0], ROLES[0]
    created, _, suspended, deleted, signed_in, *_ = messages(user, role, "a@x")
    order = [suspended, created, created, signed_in, suspended, deleted, suspended]
    log = log_of([(message, False) for message in order])
    fold(store, log, first_of)
    with store.connect() as connection:
        rows = connection.execute(
            text('SELECT version, rejected FROM history ORDER BY partition, "offset"')
        ).all()
    assert [row.version for row in rows] == [None, 1, None, None, 2, 3, None]
    assert [row.rejected for row in rows] == [
        "no such user",
        None,
        "the user exists already, or did",
        None,
        None,
        None,
        "the user was deleted",
    ]


def test_a_role_that_is_assigned_anew_has_the_newer_name_whatever_the_batches(
    store: Engine,
) -> None:
    user, role = USERS[0], ROLES[0]
    created, assigned, renamed = (messages(user, role, "a@x")[n] for n in (0, 5, 6))
    unassigned = messages(user, role, "a@x")[7]
    for order in ([created, assigned, renamed], [created, assigned, unassigned, renamed]):
        log = log_of([(message, False) for message in order])
        first, *others = (fold(store, log, lambda _, n=n: n)["user_roles"] for n in (1, 2, 3, 4))
        assert "renamed" in first[0]
        assert others == [first] * 3
