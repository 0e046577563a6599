"""Admission on a real Postgres: of those who want the same, exactly one is admitted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, text

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import KafkaSettings, Position, Publisher, Recorded
from rollcall_events.ids import uuid7
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_user_management.admission.store import (
    Admission,
    Kept,
    lease_unappended,
    mark_appended,
    prune,
    settle,
)
from rollcall_user_management.commands.attempt import Unchanged, Wait, attempt
from rollcall_user_management.commands.validation import InvalidFields
from rollcall_user_management.domain.errors import DomainError, NotFound, Taken, VersionMismatch
from rollcall_user_management.readstore import live_schema

CLIENTS = 8


@pytest.fixture
def store(database_url: str) -> Engine:
    first = make_engine(database_url, schema="user_management", pool_size=1)
    upgrade(first, "rollcall_user_management", schema="user_management")
    schema = live_schema(first)
    first.dispose()
    return make_engine(database_url, schema=f"{schema},user_management", pool_size=CLIENTS)


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    """Only its encoding is used: nothing is sent here."""
    return Publisher(KafkaSettings("127.0.0.1:1"), "users", "/services/user-management")


def context(command_id: str | None = None) -> commands.CommandContext:
    return commands.CommandContext(command_id=command_id or uuid7(), actor="services/test")


def create(email: str, command_id: str | None = None) -> commands.CreateUserRequest:
    return commands.CreateUserRequest(
        context=context(command_id), user_id=uuid7(), email=email, name="Ada"
    )


def rename(user_id: str, name: str, version: int | None = None) -> commands.UpdateUserRequest:
    return commands.UpdateUserRequest(
        context=context(), user_id=user_id, name=name, expected_version=version
    )


def in_log(store: Engine, admission: Admission, *, settled: bool = False) -> None:
    with store.begin() as connection:
        place = [(admission.event_id, Recorded(Position("users", 1, 2), _now(store)))]
        mark_appended(connection, place)
        if settled:
            settle(connection, [(admission.key, *place[0])])


def _now(store: Engine) -> Any:
    with store.connect() as connection:
        return connection.execute(text("SELECT now()")).scalar()


def at_once(tasks: list[Callable[[], object]]) -> list[object]:
    """Run the tasks from one starting signal; a refusal counts as a result."""
    barrier = Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        barrier.wait(10)
        try:
            return task()
        except DomainError as error:
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def kinds(outcomes: list[object]) -> dict[str, int]:
    names = [type(o).__name__ for o in outcomes]
    return {name: names.count(name) for name in sorted(set(names))}


def test_one_of_those_who_want_an_email_gets_it(store: Engine, publisher: Publisher) -> None:
    for n in range(25):
        wanted = [create(f"ADA{n}@x.org" if i % 2 else f"ada{n}@x.org") for i in range(CLIENTS)]
        outcomes = at_once([lambda c=c: attempt(store, publisher, c) for c in wanted])  # type: ignore[misc]
        assert kinds(outcomes) == {"Admission": 1, "Wait": CLIENTS - 1}


def test_one_of_those_who_change_a_version_wins(store: Engine, publisher: Publisher) -> None:
    first = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(first, Admission)
    in_log(store, first)
    for version in range(1, 20):
        wanted = [rename(first.key, f"{version}-{i}", version) for i in range(CLIENTS)]
        outcomes = at_once([lambda c=c: attempt(store, publisher, c) for c in wanted])  # type: ignore[misc]
        won = [o for o in outcomes if isinstance(o, Admission)]
        assert [o.version for o in won] == [version + 1]
        assert len([o for o in outcomes if isinstance(o, Wait)]) == CLIENTS - 1
        in_log(store, won[0])


def test_one_command_id_is_admitted_once(store: Engine, publisher: Publisher) -> None:
    command = create("ada@x.org", "once")
    outcomes = at_once([lambda: attempt(store, publisher, command)] * CLIENTS)
    assert kinds(outcomes) == {"Admission": 1, "Kept": CLIENTS - 1}
    again = attempt(store, publisher, command)
    assert isinstance(again, Kept)
    assert again.recorded is None


def test_a_value_is_refused_only_when_its_holder_is_settled(
    store: Engine, publisher: Publisher
) -> None:
    holder = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(holder, Admission)
    in_log(store, holder)
    assert isinstance(attempt(store, publisher, create("Ada@x.org")), Wait)
    _project(store, holder)
    with pytest.raises(Taken):
        attempt(store, publisher, create("Ada@x.org"))


def test_what_is_decided_sees_admissions_that_the_projection_has_not(
    store: Engine, publisher: Publisher
) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    assert isinstance(attempt(store, publisher, rename(made.key, "B")), Wait)  # not in the log yet
    in_log(store, made)
    renamed = attempt(store, publisher, rename(made.key, "B", 1))
    assert isinstance(renamed, Admission)
    assert renamed.version == 2
    in_log(store, renamed)
    assert isinstance(attempt(store, publisher, rename(made.key, "B", 2)), Unchanged)


def test_a_settled_aggregate_refuses_at_once(store: Engine, publisher: Publisher) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    in_log(store, made, settled=True)
    _project(store, made)
    with pytest.raises(VersionMismatch):
        attempt(store, publisher, rename(made.key, "B", 7))
    with pytest.raises(NotFound):
        attempt(store, publisher, rename(uuid7(), "B"))


def test_an_id_is_of_one_collection(store: Engine, publisher: Publisher) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    in_log(store, made)
    role = commands.CreateRoleRequest(context=context(), role_id=made.key, name="ops")
    with pytest.raises(Taken):
        attempt(store, publisher, role)
    with pytest.raises(NotFound):
        attempt(
            store,
            publisher,
            commands.UpdateRoleRequest(context=context(), role_id=made.key, name="ops"),
        )


def test_what_cannot_be_read_back_is_not_admitted(store: Engine, publisher: Publisher) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    in_log(store, made)
    unknown = commands.UpdateUserRequest(context=context(), user_id=made.key)
    unknown.status = 99  # type: ignore[assignment]
    with pytest.raises(InvalidFields):
        attempt(store, publisher, unknown)
    assert isinstance(attempt(store, publisher, rename(made.key, "B")), Admission)


def test_nothing_to_change_on_what_is_not_in_the_log_waits(
    store: Engine, publisher: Publisher
) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    assert isinstance(attempt(store, publisher, rename(made.key, "Ada")), Wait)
    in_log(store, made)
    assert isinstance(attempt(store, publisher, rename(made.key, "Ada")), Unchanged)


def test_recovery_leases_what_is_not_in_the_log(store: Engine, publisher: Publisher) -> None:
    lost, kept = (attempt(store, publisher, create(f"{n}@x.org")) for n in "ab")
    assert isinstance(lost, Admission)
    assert isinstance(kept, Admission)
    in_log(store, kept)

    def lease() -> list[str]:
        with store.begin() as connection:
            return [event_id for event_id, _ in lease_unappended(connection, 10)]

    assert lease() == []
    with store.begin() as connection:
        connection.execute(text("UPDATE admissions SET append_again_at = now() - interval '1 s'"))
        ((event_id, record),) = lease_unappended(connection, 10)
    assert event_id == lost.event_id
    assert (record.key, record.value) == (lost.record.key, lost.record.value)
    assert dict(record.headers) == dict(lost.record.headers)
    assert lease() == []  # the lease holds


def test_answers_are_kept_for_a_day_after_settling(store: Engine, publisher: Publisher) -> None:
    made = attempt(store, publisher, create("ada@x.org"))
    assert isinstance(made, Admission)
    in_log(store, made, settled=True)
    with store.begin() as connection:
        assert prune(connection, 10) == 0
        connection.execute(text("UPDATE admissions SET settled_at = now() - interval '25 hours'"))
        assert prune(connection, 10) == 1


def _project(store: Engine, admission: Admission) -> None:
    """The row that the projection would write, and the settling that goes with it."""
    with store.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO users SELECT :key, 1, 'ada@x.org', 'ada@x.org', 'Ada', '', '{}', 1,"
                " now(), now(), NULL, NULL, now(), 1, 2, now(), 1, 2"
            ),
            {"key": admission.key},
        )
        place = Recorded(Position("users", 1, 2), _now(store))
        settle(connection, [(admission.key, admission.event_id, place)])
