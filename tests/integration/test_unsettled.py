"""What becomes of admissions that nobody settles, and of those that are settled for long."""

from datetime import UTC, datetime

import pytest
from integration.desks import Desk, create, in_log, project, rename
from sqlalchemy import Engine, text

from rollcall_events import Position, Recorded
from rollcall_events.ids import uuid7
from rollcall_events.postgres import Wire
from rollcall_user_management.admission.store import (
    PREPARE_MARK,
    PREPARE_SETTLE,
    lease_unappended,
    mark_appended,
    prune,
    settling,
)
from rollcall_user_management.admission.transaction import Admission, Answered, read
from rollcall_user_management.commands.judging import Wait, question_of
from rollcall_user_management.domain.errors import SequenceParked, Taken


def test_who_stalls_with_locks_is_not_waited_for_long(desks: list[Desk]) -> None:
    stalled, other = desks[:2]
    read(stalled.wire, [question_of(create("ada@x.org"))])
    with pytest.raises(Exception, match="lock timeout"):
        other.admit(create("ada@x.org"))
    other.wire.send("ROLLBACK")
    assert isinstance(other.one(create("eve@x.org")), Admission)


def test_recovery_leases_what_is_not_in_the_log(store: Engine, desk: Desk) -> None:
    lost, kept = (desk.admitted(create(f"{n}@x.org")) for n in "ab")
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


def test_nobody_waits_for_what_is_parked(store: Engine, desk: Desk) -> None:
    """Its values stay taken, and commands on it are refused, for as long as it may take."""
    held = desk.admitted(create("ada@x.org"))
    in_log(store, held)
    assert isinstance(desk.one(create("ada@x.org")), Wait)
    with store.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO parked (key, partition, "offset", reason, stack)'
                " VALUES (:key, 1, 1, 'a test', '')"
            ),
            {"key": held.key},
        )
    assert isinstance(desk.one(create("ada@x.org")), Taken)
    assert isinstance(desk.one(rename(held.key, "Ada")), SequenceParked)
    assert isinstance(desk.one(create("eve@x.org")), Admission)


def test_an_admission_that_cannot_be_folded_is_the_trouble_of_its_own_commands(
    store: Engine, desk: Desk
) -> None:
    """As after going back to a version that does not know its type."""
    strange = desk.admitted(create("ada@x.org"))
    with store.begin() as connection:
        connection.execute(
            text(
                "UPDATE admissions SET appended_at = now(),"
                " headers = jsonb_set(headers, '{ce_type}', '\"rollcall.users.v1.Later\"')"
            )
        )
    refused, well = desk.admit(rename(strange.key, "Ada"), create("eve@x.org"))
    assert isinstance(refused, KeyError)
    assert isinstance(well, Admission)


def test_answers_are_kept_for_a_day(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    assert isinstance(desk.one(rename(made.key, "Ada")), Answered)
    project(store, made)
    with store.begin() as connection:
        assert prune(connection, 10) == 0
        connection.execute(text("UPDATE admissions SET settled_at = now() - interval '25 hours'"))
        connection.execute(text("UPDATE answers SET kept_at = now() - interval '25 hours'"))
        assert prune(connection, 10) == 1
        assert prune(connection, 10) == 0
        left = connection.execute(text("SELECT count(*) FROM answers")).scalar_one()
    assert left == 0


_SCANS = "SELECT pg_stat_get_xact_numscans('admissions'::regclass) AS n"  # of this transaction
_MANY = text(
    "INSERT INTO admissions (event_id, key, version, command_id, topic, value, headers, answer,"
    " append_again_at, settled_at) SELECT gen_random_uuid(), gen_random_uuid(), 1, n, 'users', '',"
    " '{}', '', now() - interval '1 h', now() FROM generate_series(1, 10000) AS n"
)


def test_settled_admissions_are_never_scanned(store: Engine, desk: Desk) -> None:
    """Whatever the planner knew when it first saw a statement, and of a table not yet analysed."""
    place = Recorded(Position("users", 1, 2), datetime.now(UTC))

    with Wire(store, PREPARE_MARK + PREPARE_SETTLE) as wire:

        def pass_by() -> int:
            wire.send("BEGIN")
            mark_appended(wire, [(uuid7(), place)])
            wire.send(*settling([(uuid7(), uuid7(), place)]))
            return _scans_until_rollback(wire)

        def judge() -> int:
            read(desk.wire, [question_of(create("ada@x.org"))])
            return _scans_until_rollback(desk.wire)

        assert (pass_by(), judge()) == (0, 0)  # planned on an empty table
        with store.begin() as connection:
            connection.execute(_MANY)
        assert (pass_by(), judge()) == (0, 0)
    with store.begin() as connection:
        assert lease_unappended(connection, 10) == []
        assert prune(connection, 10) == 0
        assert connection.execute(text(_SCANS)).scalar_one() == 0


def _scans_until_rollback(wire: Wire) -> int:
    (row,) = wire.send(_SCANS)
    wire.send("ROLLBACK")
    return int(row.n)
