"""What becomes of admissions that nobody settles, and of those that are settled for long."""

import pytest
from integration.desks import Desk, create, in_log, project, rename
from sqlalchemy import Engine, text

from rollcall_user_management.admission.store import lease_unappended, prune
from rollcall_user_management.admission.transaction import Admission, Answered, read
from rollcall_user_management.commands.judging import question_of


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
