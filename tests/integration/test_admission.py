"""Admission on a real Postgres: of those who want the same, exactly one is admitted."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier

import pytest
from integration.desks import Desk, context, create, in_log, project, rename
from sqlalchemy import Engine, text

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events.ids import uuid7
from rollcall_user_management.admission.transaction import Admission, Answered, Kept
from rollcall_user_management.commands.judging import CommandIdReused, Verdict, Wait
from rollcall_user_management.commands.validation import InvalidFields
from rollcall_user_management.domain.errors import NotFound, Taken, VersionMismatch


def at_once(desks: Sequence[Desk], task: Callable[[Desk, int], list[Verdict]]) -> list[Verdict]:
    """What the desks are told that run the task from one starting signal. On a busy machine they
    wait for each other's locks for longer than commands may; Postgres finds deadlocks itself."""
    for desk in desks:
        desk.wire.send("SET lock_timeout = 0")
    barrier = Barrier(len(desks))

    def run(n: int) -> list[Verdict]:
        barrier.wait(10)
        return task(desks[n], n)

    with ThreadPoolExecutor(len(desks)) as pool:
        return [verdict for verdicts in pool.map(run, range(len(desks))) for verdict in verdicts]


def kinds(verdicts: Sequence[Verdict]) -> dict[str, int]:
    names = [type(v).__name__ for v in verdicts]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.parametrize("size", [1, 4])
def test_one_of_those_who_want_an_email_gets_it(desks: list[Desk], size: int) -> None:
    for n in range(25):
        emails = [f"ADA{n}@x.org" if i % 2 else f"ada{n}@x.org" for i in range(size)]
        verdicts = at_once(desks, lambda d, _, e=emails: d.admit(*(create(x) for x in e)))  # type: ignore[misc]
        assert kinds(verdicts) == {"Admission": 1, "Wait": len(desks) * size - 1}


@pytest.mark.parametrize("size", [1, 3])
def test_one_of_those_who_change_a_version_wins(
    store: Engine, desks: list[Desk], size: int
) -> None:
    first = desks[0].admitted(create("ada@x.org"))
    in_log(store, first)
    for version in range(1, 20):
        verdicts = at_once(
            desks,
            lambda d, n, v=version: d.admit(  # type: ignore[misc]
                *(rename(first.key, f"{v}-{n}-{i}", v) for i in range(size))
            ),
        )
        won = [v for v in verdicts if isinstance(v, Admission)]
        assert [v.version for v in won] == [version + 1]
        assert kinds(verdicts)["Wait"] == len(desks) * size - 1
        in_log(store, won[0])


def test_groups_that_want_the_same_neither_share_nor_wait_for_each_other(
    store: Engine, desks: list[Desk]
) -> None:
    """Every group wants many values in an order of its own; none of them may deadlock."""
    seed = 7
    for n in range(15):
        wanted = [f"{n}-{i}@x.org" for i in range(12)]

        def group(desk: Desk, of: int, wanted: list[str] = wanted) -> list[Verdict]:
            order = Random(f"{seed} {of}").sample(wanted, len(wanted))
            return desk.admit(*(create(email) for email in order))

        verdicts = at_once(desks, group)
        claims = [str(v.claim) for v in verdicts if isinstance(v, Admission)]
        assert sorted(claims) == sorted(f"email:{e}" for e in wanted)
        assert kinds(verdicts) == {"Admission": 12, "Wait": 12 * (len(desks) - 1)}
    with store.connect() as connection:
        admitted = connection.execute(
            text("SELECT count(DISTINCT claim), count(*) FROM admissions")
        )
        assert tuple(admitted.one()) == (15 * 12, 15 * 12)


def test_one_command_id_is_admitted_once(desks: list[Desk]) -> None:
    command = create("ada@x.org", "once")
    verdicts = at_once(desks, lambda desk, _: desk.admit(command))
    assert kinds(verdicts) == {"Admission": 1, "Kept": len(desks) - 1}
    again = desks[0].one(command)
    assert isinstance(again, Kept)
    assert again.recorded is None


def test_a_repetition_may_differ_in_the_generated_id_alone(desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org", "once"))
    again = desk.one(create("ada@x.org", "once"))
    assert isinstance(again, Kept)
    assert commands.CommandResult.FromString(again.answer).id == made.key
    assert isinstance(desk.one(create("eve@x.org", "once")), CommandIdReused)
    assert isinstance(desk.one(rename(made.key, "Ada", command_id="once")), CommandIdReused)


def test_one_command_id_within_a_group_is_admitted_once(desk: Desk) -> None:
    verdicts = desk.admit(*(create(f"{n}@x.org", "once") for n in range(3)))
    assert kinds(verdicts) == {"Admission": 1, "Wait": 2}


def test_a_value_is_refused_only_when_its_holder_is_settled(store: Engine, desk: Desk) -> None:
    holder = desk.admitted(create("ada@x.org"))
    in_log(store, holder)
    assert desk.one(create("Ada@x.org")) == Wait()
    project(store, holder)
    assert isinstance(desk.one(create("Ada@x.org")), Taken)


def test_no_settling_undoes_what_is_settled(store: Engine, desk: Desk) -> None:
    """Or who is refused by an aggregate that is changed again and again would wait for ever."""
    holder = desk.admitted(create("ada@x.org"))
    in_log(store, holder)
    assert desk.one(rename(holder.key, "B", 7)) == Wait()
    project(store, holder)
    in_log(store, desk.admitted(rename(holder.key, "B")))
    assert isinstance(desk.one(create("ada@x.org")), Taken)
    assert isinstance(desk.one(rename(holder.key, "C", 7)), VersionMismatch)
    assert desk.one(rename(holder.key, "C", 1)) == Wait()
    moved = commands.UpdateUserRequest(context=context(), user_id=holder.key, email="eve@x.org")
    in_log(store, desk.admitted(moved))
    assert desk.one(create("ada@x.org")) == Wait()
    assert desk.one(create("eve@x.org")) == Wait()


def test_what_is_decided_sees_admissions_that_the_projection_has_not(
    store: Engine, desk: Desk
) -> None:
    made = desk.admitted(create("ada@x.org"))
    assert desk.one(rename(made.key, "B")) == Wait()  # not in the log yet
    in_log(store, made)
    renamed = desk.admitted(rename(made.key, "B", 1))
    assert renamed.version == 2
    in_log(store, renamed)
    assert isinstance(desk.one(rename(made.key, "B", 2)), Answered)


def test_a_settled_aggregate_refuses_at_once(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    project(store, made)
    assert isinstance(desk.one(rename(made.key, "B", 7)), VersionMismatch)
    assert isinstance(desk.one(rename(uuid7(), "B")), NotFound)


def test_a_refusal_is_one_commands_alone(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    project(store, made)
    verdicts = desk.admit(create("ada@x.org"), create("eve@x.org"), rename(uuid7(), "B"))
    assert kinds(verdicts) == {"Admission": 1, "NotFound": 1, "Taken": 1}


def test_those_who_want_nothing_in_common_share_a_group(store: Engine, desk: Desk) -> None:
    made = [desk.admitted(create(f"{n}@x.org")) for n in range(3)]
    for one in made:
        in_log(store, one)
    verdicts = desk.admit(*(rename(one.key, "B") for one in made))
    assert kinds(verdicts) == {"Admission": 3}


def test_an_id_is_of_one_collection(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    role = commands.CreateRoleRequest(context=context(), role_id=made.key, name="ops")
    change = commands.UpdateRoleRequest(context=context(), role_id=made.key, name="ops")
    for settled in (False, True):
        if settled:
            project(store, made)
        assert isinstance(desk.one(role), Taken)
        assert isinstance(desk.one(change), NotFound)


def test_what_cannot_be_read_back_is_not_admitted(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    unknown = commands.UpdateUserRequest(context=context(), user_id=made.key)
    unknown.status = 99  # type: ignore[assignment]
    assert isinstance(desk.one(unknown), InvalidFields)
    assert isinstance(desk.one(rename(made.key, "B")), Admission)


def test_nothing_to_change_on_what_is_not_in_the_log_waits(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    assert desk.one(rename(made.key, "Ada")) == Wait()
    in_log(store, made)
    assert isinstance(desk.one(rename(made.key, "Ada")), Answered)


def test_the_answer_of_a_command_that_changed_nothing_is_kept(store: Engine, desk: Desk) -> None:
    made = desk.admitted(create("ada@x.org"))
    in_log(store, made)
    first = desk.one(rename(made.key, "Ada", command_id="same"))
    in_log(store, desk.admitted(rename(made.key, "B")))
    assert isinstance(first, Answered)
    assert desk.one(rename(made.key, "Ada", command_id="same")) == first
    assert isinstance(desk.one(rename(made.key, "C", command_id="same")), CommandIdReused)
