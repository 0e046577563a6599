"""The checker finds what it is there to find: each figure, on a history broken in that way."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from faults.checker import Verdict, check
from faults.fold import Entry, fold
from faults.log import Record
from faults.store import Store
from faults.told import Told

from rollcall.users.v1 import events_pb2 as pb

ADA, BOB, ROLE = "ada", "bob", "role"
LOST = "acknowledged, and not in the log as told"
GAPS, TWICE = "version gaps", "versions told twice"
CLAIMS, REJECTED = "double claims", "rejected admissions"
DIFFERENCES = "differences between read store and fold"
REPEATED, DENIED = "commands with a second event", "refused, and in the log"
FREE, UNEXPECTED = "refused a value that is free", "unexpected answers"

CREATED_ADA = pb.UserCreatedEvent(user_id=ADA, person=pb.Person(email="x@example.com", name="Ada"))
DELETED_ADA = pb.UserDeletedEvent(user_id=ADA)
CREATED_BOB = pb.UserCreatedEvent(user_id=BOB, person=pb.Person(email="X@example.com", name="Bob"))
ASSIGNED_BOB = pb.RoleAssignedToUserEvent(user_id=BOB, role_id=ROLE, role_name="reader")
RENAMED_BOB = pb.UserUpdatedEvent(user_id=BOB, person=pb.Person(name="Bobby"))


def record(partition: int, offset: int, event: Any, sequence: int, correlation: str) -> Record:
    """Appended so many seconds after 1970 as its offsets is, plus those of its partition."""
    return Record(
        partition=partition,
        offset=offset,
        key=getattr(event, "user_id", "") or event.role_id,
        id=f"id-{partition}-{offset}",
        type=type(event).__name__,
        sequence=sequence,
        correlation=correlation,
        recorded_ms=1000 * (offset + 10 * partition),
        value=event.SerializeToString(),
    )


# Ada has an e-mail until she is deleted; then Bob has it. Partition 1 comes later than 0.
LOG = [
    record(0, 0, CREATED_ADA, 1, "create-ada"),
    record(0, 1, pb.RoleCreatedEvent(role_id=ROLE, name="reader"), 1, "create-role"),
    record(0, 2, DELETED_ADA, 2, "delete-ada"),
    record(1, 0, CREATED_BOB, 1, "create-bob"),
    record(1, 1, ASSIGNED_BOB, 2, "assign-bob"),
    record(1, 2, RENAMED_BOB, 3, "rename-bob"),
]


def told(correlation: str, target: str, version: int, **more: Any) -> Told:
    action = correlation.partition("-")[0]
    role = ROLE if action in ("assign", "unassign") else ""
    given: dict[str, Any] = {"status": 200, "role": role} | more
    return Told(correlation, action, began=0.0, target=target, version=version, **given)


TOLD = [
    told("create-ada", ADA, 1),
    told("create-role", ROLE, 1),
    told("delete-ada", ADA, 2),
    told("create-bob", BOB, 1),
    told("assign-bob", BOB, 2),
    told("assign-again", BOB, 3),  # no event: he had it
    told("rename-bob", BOB, 3),
    told("create-cid", "", 0, status=409, problem="email-taken"),
    told("rename-ada", ADA, 0, status=None),
]


def store_of(log: Sequence[Record]) -> Store:
    """The read store that the projection would make of a log."""
    folded = deepcopy(fold(log))
    return Store(folded.rows, folded.assigned, folded.history)


def judge(
    answers: Sequence[Told] = TOLD, log: Sequence[Record] = LOG, store: Store | None = None
) -> Verdict:
    return check(answers, log, store or store_of(log))


def found(verdict: Verdict) -> set[str]:
    return {figure for figure, wrongs in verdict.wrongs.items() if wrongs}


def answers_with(correlation: str, **changed: Any) -> list[Told]:
    return [replace(t, **changed) if t.correlation == correlation else t for t in TOLD]


def test_nothing_is_wrong_with_a_history_that_is_right() -> None:
    verdict = judge()
    assert verdict.clean
    assert found(verdict) == set()
    assert (verdict.acknowledged, verdict.unchanged, verdict.in_log) == (7, 1, 6)


def test_an_acknowledged_command_without_event() -> None:
    verdict = judge(log=LOG[:-1], answers=TOLD[:5] + TOLD[6:])
    assert found(verdict) == {LOST}
    assert not verdict.clean
    assert (verdict.acknowledged, verdict.in_log) == (6, 5)


@pytest.mark.parametrize("wrong", [{"version": 4}, {"target": ADA}])
def test_an_acknowledged_command_that_was_told_something_else(wrong: dict[str, Any]) -> None:
    assert found(judge(answers=answers_with("rename-bob", **wrong))) == {LOST}


@pytest.mark.parametrize(
    ("correlation", "version"),
    [("assign-again", 1), ("assign-again", 4), ("unassign-again", 3)],
)
def test_a_command_that_changed_nothing_where_it_should_have(
    correlation: str, version: int
) -> None:
    answers = [*TOLD, told(correlation, BOB, version)]
    assert found(judge(answers=answers)) == {LOST}


def test_a_second_copy_is_dropped() -> None:
    late = replace(LOG[0], offset=3, recorded_ms=9_000)
    verdict = judge(log=[*LOG[:3], late, *LOG[3:]])
    assert verdict.clean
    assert verdict.copies == 1


def test_a_version_that_is_left_out() -> None:
    log = [*LOG[:-1], replace(LOG[-1], sequence=4)]
    assert found(judge(log=log)) == {GAPS}


def test_a_version_that_two_events_have() -> None:
    log = [*LOG, record(1, 3, RENAMED_BOB, 3, "rename-ada")]
    assert found(judge(log=log)) == {GAPS}


def test_a_version_that_two_commands_were_told() -> None:
    answers = [*TOLD, told("delete-bob", BOB, 3)]
    assert found(judge(answers=answers)) == {TWICE, LOST}


def test_an_email_that_two_have_in_the_end() -> None:
    answers = answers_with("delete-ada", status=None)
    assert found(judge(answers, [*LOG[:2], *LOG[3:]])) == {CLAIMS}


def test_an_email_that_two_had_for_a_while() -> None:
    log = [*LOG[:2], replace(LOG[2], recorded_ms=10_001), *LOG[3:]]
    assert found(judge(log=log)) == {CLAIMS}


def test_an_email_may_be_given_up_and_taken_in_one_millisecond() -> None:
    log = [*LOG[:2], replace(LOG[2], recorded_ms=10_000), *LOG[3:]]
    assert judge(log=log).clean


def test_a_role_name_that_two_have() -> None:
    other = pb.RoleCreatedEvent(role_id="role-2", name="Reader")
    assert found(judge(log=[*LOG, record(2, 0, other, 1, "more")])) == {CLAIMS}


def test_an_admitted_event_that_cannot_follow() -> None:
    after_deletion = record(0, 3, pb.UserUpdatedEvent(user_id=ADA), 3, "rename-ada")
    assert found(judge(log=[*LOG[:3], after_deletion, *LOG[3:]])) == {REJECTED}


def test_an_admitted_event_that_the_projection_rejected() -> None:
    store = store_of(LOG)
    history = {**store.history, (1, 2): replace(store.history[1, 2], version=None)}
    assert found(judge(store=replace(store, history=history))) == {REJECTED, DIFFERENCES}


def test_an_admitted_event_that_the_projection_could_not_decode() -> None:
    assert found(judge(store=replace(store_of(LOG), undecodable=((1, 7),)))) == {REJECTED}


@pytest.mark.parametrize("table", ["users", "roles"])
def test_a_row_that_differs_or_is_not_there(table: str) -> None:
    store = store_of(LOG)
    rows = store.rows[table]
    key, row = next(iter(rows.items()))
    others = {k: r for k, r in rows.items() if k != key}
    for broken in (others, {**others, key: row | {"version": 9}}, {**rows, "more": row}):
        verdict = judge(store=replace(store, rows={**store.rows, table: broken}))
        assert found(verdict) == {DIFFERENCES}
        assert len(verdict.wrongs[DIFFERENCES]) == 1


def test_an_assignment_or_an_entry_of_the_history_that_differs() -> None:
    store = store_of(LOG)
    more = Entry(BOB, "id", "UserUpdatedEvent", 4)
    for broken in (
        replace(store, assigned={}),
        replace(store, assigned={**store.assigned, (ADA, ROLE): "reader"}),
        replace(store, history={**store.history, (1, 3): more}),
    ):
        assert found(judge(store=broken)) == {DIFFERENCES}


def test_a_command_that_was_carried_out_twice() -> None:
    log = [*LOG, record(1, 3, RENAMED_BOB, 4, "rename-bob")]
    assert found(judge(log=log)) == {REPEATED}


@pytest.mark.parametrize("status", [409, 412, 503])
def test_a_refused_command_whose_event_is_there(status: int) -> None:
    answers = answers_with("rename-bob", status=status, problem="some-reason")
    assert found(judge(answers=answers)) == {DENIED}


def test_an_unknown_outcome_may_be_either() -> None:
    answers = answers_with("rename-bob", status=503, problem="outcome-unknown")
    assert judge(answers=answers).clean


def test_a_value_that_is_nobodys_and_refused() -> None:
    assert found(judge(answers=answers_with("create-cid", free=True))) == {FREE}


def test_an_answer_that_must_never_be() -> None:
    assert found(judge(answers=answers_with("create-cid", status=500))) == {UNEXPECTED}


def test_the_fold_is_what_the_read_store_keeps() -> None:
    folded = fold(LOG)
    bob = folded.rows["users"][BOB]
    created, last = (datetime.fromtimestamp(s, UTC) for s in (10, 12))
    assert bob == {
        "id": BOB,
        "version": 3,
        "email": "X@example.com",
        "email_key": "x@example.com",
        "name": "Bobby",
        "locale": "",
        "attributes": {},
        "status": pb.USER_STATUS_ACTIVE,
        "created_at": created,
        "updated_at": last,
        "deleted_at": None,
        "last_login_at": None,
        "email_since": created,
        "email_partition": 1,
        "email_offset": 0,
        "last_recorded_at": last,
        "last_partition": 1,
        "last_offset": 2,
    }
    assert folded.rows["users"][ADA]["deleted_at"] == datetime.fromtimestamp(2, UTC)
    assert folded.assigned == {(BOB, ROLE): "reader"}
