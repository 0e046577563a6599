"""The checker finds what it is there to find: each figure, on evidence broken in that way."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from chaos.accepted import Accepted
from chaos.checker import Evidence, Verdict, check
from chaos.groups import NOTIFIERS, Delivery, Group, identity
from chaos.injecting import Injected
from chaos.messages import OWED
from faults.fold import fold
from faults.log import Record
from faults.store import Store
from faults.told import Told

from rollcall.users.v1 import events_pb2 as pb
from rollcall_local.services import MAIL, SLACK, USERS

ADA, BOB, NOBODY = "ada", "bob", "nobody"
UNKNOWN, MALFORMED, REFUSED = (1, 1), (2, 0), (2, 1)
DIFFERENCES = "differences between read store and fold"


def record(place: tuple[int, int], event: Any, sequence: int | None, type_: str = "") -> Record:
    return Record(
        partition=place[0],
        offset=place[1],
        key=event.user_id,
        id=f"id-{place[0]}-{place[1]}",
        type=type_ or type(event).__name__,
        sequence=sequence,
        correlation="" if sequence is None else f"command-{place[0]}-{place[1]}",
        recorded_ms=1_000 * place[1],
        value=event.SerializeToString(),
    )


def named(user: str, name: str) -> pb.UserUpdatedEvent:
    return pb.UserUpdatedEvent(user_id=user, person=pb.Person(name=name))


def created(user: str) -> pb.UserCreatedEvent:
    person = pb.Person(email=f"{user}@example.com", name=user)
    return pb.UserCreatedEvent(user_id=user, person=person)


# Notifiers cannot handle Ada's second event at first, nor user-management Bob's; a third event of
# each is behind it.
EVENTS = [
    record((0, 0), created(ADA), 1),
    record((0, 1), named(ADA, "Unhandled"), 2),
    record((0, 2), named(ADA, "Behind"), 3),
    record((1, 0), created(BOB), 1),
    record((1, 2), named(BOB, "Behind"), None),
    record(REFUSED, named(NOBODY, "Nobody"), None),
]
LOG = [
    *EVENTS,
    record(UNKNOWN, named(BOB, "Unknown"), None, "UserMergedEvent"),
    record(MALFORMED, named(ADA, "Malformed"), None),
]
INJECTED = Injected(
    malformed={MALFORMED}, refused={REFUSED}, unknown={BOB: UNKNOWN}, unhandled={ADA}
)


def ids(*places: tuple[int, int]) -> frozenset[tuple[str, str]]:
    of = {(r.partition, r.offset): (r.key, r.id) for r in LOG}
    return frozenset(of[place] for place in places)


KNOWN = ids((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), REFUSED)


def deliveries(name: str) -> tuple[Delivery, ...]:
    rows = []
    for number, event in enumerate(EVENTS[:-1], start=1):
        kind, recipient = OWED[name][event.type], "#audit" if name == SLACK else event.key
        message = identity(name, event.key, event.id, kind, recipient)
        place = (event.partition, event.offset)
        rows.append(Delivery(number, event.key, event.id, place, kind, recipient, "sent", message))
    return tuple(rows)


def evidence() -> Evidence:
    """Of a run in which everything went well."""
    folded = deepcopy(fold(LOG[:-1]))
    parked_users = Group({}, ids((0, 0), (0, 1), (0, 2), (1, 0), REFUSED), {BOB: UNKNOWN})
    parked_users = replace(parked_users, held=ids(UNKNOWN, (1, 2)))
    parked = Group({}, KNOWN - ids((0, 1), (0, 2)), {ADA: (0, 1)}, ids((0, 1), (0, 2)))
    rows = {name: deliveries(name) for name in NOTIFIERS}
    return Evidence(
        told=[Told("command-0-0", "create", 0.0, target=ADA, status=201, version=1)],
        records=LOG,
        store=Store(folded.rows, folded.assigned, folded.history, (MALFORMED,)),
        before={USERS: parked_users, MAIL: parked, SLACK: parked},
        after={
            USERS: Group({}, KNOWN | ids(UNKNOWN)),
            **{name: Group({}, KNOWN, deliveries=rows[name]) for name in NOTIFIERS},
        },
        injected=deepcopy(INJECTED),
        accepted={name: [Accepted(row.message, told=True) for row in rows[name]] for name in rows},
        refused={MAIL: [], SLACK: []},
    )


def found(verdict: Verdict) -> set[str]:
    return {figure for figure, wrongs in verdict.wrongs.items() if wrongs}


def with_group(when: str, name: str, **changed: Any) -> Evidence:
    whole = evidence()
    groups: dict[str, Group] = getattr(whole, when)
    groups[name] = replace(groups[name], **changed)
    return whole


def with_row(name: str, number: int, **changed: Any) -> Evidence:
    rows = list(deliveries(name))
    rows[number] = replace(rows[number], **changed)
    return with_group("after", name, deliveries=tuple(rows))


def with_accepted(name: str, accepted: list[Accepted]) -> Evidence:
    whole = evidence()
    return replace(whole, accepted={**whole.accepted, name: accepted})


def test_nothing_is_wrong_with_a_run_that_went_well() -> None:
    verdict = check(evidence())
    assert found(verdict) == set()
    assert verdict.clean
    counts = verdict.counts
    assert (counts["events"], counts["commands acknowledged"]) == (6, 1)
    assert counts["records rejected"] == counts["records injected to be rejected"] == 2
    for name in (USERS, *NOTIFIERS):
        assert counts[f"{name}: parked roots"] == counts[f"{name}: roots injected"] == 1
        assert counts[f"{name}: held behind"] == 1


@pytest.mark.parametrize("name", [USERS, *NOTIFIERS])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_that_a_group_has_not_seen(name: str, when: str) -> None:
    seen = getattr(evidence(), when)[name].seen
    verdict = check(with_group(when, name, seen=seen - ids((0, 0))))
    assert found(verdict) == {f"{name}: missing"}
    assert len(verdict.wrongs[f"{name}: missing"]) == 1


@pytest.mark.parametrize("name", [USERS, *NOTIFIERS])
def test_what_was_held_and_is_gone(name: str) -> None:
    place = (1, 2) if name == USERS else (0, 2)
    seen = evidence().after[name].seen - ids(place)
    assert found(check(with_group("after", name, seen=seen))) == {f"{name}: missing"}


def test_an_acknowledged_command_without_event() -> None:
    told = [Told("lost", "update", 0.0, target=ADA, status=200, version=4)]
    assert found(check(replace(evidence(), told=told))) == {
        "acknowledged, and not in the log as told"
    }


def test_versions_that_do_not_follow_the_log() -> None:
    whole = evidence()
    history = dict(whole.store.history)
    history[0, 1], history[0, 2] = (
        replace(history[0, 1], version=3),
        replace(history[0, 2], version=2),
    )
    verdict = check(replace(whole, store=replace(whole.store, history=history)))
    assert found(verdict) == {f"{USERS}: out of order per key", DIFFERENCES}


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_ledger_that_does_not_follow_the_log(name: str) -> None:
    first, second, *others = deliveries(name)
    verdict = check(with_group("after", name, deliveries=(second, first, *others)))
    assert f"{name}: out of order per key" in found(verdict)


def test_a_row_of_the_read_store_that_differs() -> None:
    whole = evidence()
    users = whole.store.rows["users"]
    rows = {**whole.store.rows, "users": {**users, ADA: users[ADA] | {"name": "Eve"}}}
    assert found(check(replace(whole, store=replace(whole.store, rows=rows)))) == {DIFFERENCES}


@pytest.mark.parametrize("undecodable", [(), (MALFORMED, (3, 3))])
def test_a_record_wrongly_rejected_or_not(undecodable: tuple[tuple[int, int], ...]) -> None:
    whole = evidence()
    store = replace(whole.store, undecodable=undecodable)
    assert found(check(replace(whole, store=store))) == {
        "rejected, and not injected, or the other way round"
    }


@pytest.mark.parametrize("name", [USERS, *NOTIFIERS])
@pytest.mark.parametrize("more", [{}, {ADA: (0, 1), BOB: UNKNOWN}])
def test_a_root_that_is_not_parked_or_should_not_be(name: str, more: dict[str, Any]) -> None:
    assert found(check(with_group("before", name, roots=more))) == {
        "parked, and not injected, or the other way round"
    }


def test_what_is_still_held_when_everything_was_run_again() -> None:
    assert found(check(with_group("after", MAIL, roots={ADA: (0, 1)}))) == {"still held after all"}


@pytest.mark.parametrize("name", NOTIFIERS)
def test_an_event_that_nothing_is_owed_for(name: str) -> None:
    whole = with_group("after", name, deliveries=deliveries(name)[1:])
    verdict = check(replace(whole, accepted={**whole.accepted, name: whole.accepted[name][1:]}))
    assert found(verdict) == {f"{name}: messages missing"}


@pytest.mark.parametrize("name", NOTIFIERS)
@pytest.mark.parametrize("state", ["pending", "failed", "settled", "cancelled"])
def test_a_delivery_without_a_right_end(name: str, state: str) -> None:
    assert found(check(with_row(name, 1, state=state))) == {f"{name}: messages missing"}


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_sent_message_that_its_provider_has_not(name: str) -> None:
    accepted = list(evidence().accepted[name])[1:]
    assert found(check(with_accepted(name, accepted))) == {f"{name}: messages missing"}


def test_a_message_refused_for_good_is_at_its_end() -> None:
    whole = with_row(MAIL, 0, state="failed")
    message = deliveries(MAIL)[0].message
    accepted = {**whole.accepted, MAIL: whole.accepted[MAIL][1:]}
    refused = {MAIL: [message], SLACK: []}
    assert check(replace(whole, accepted=accepted, refused=refused)).clean


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_message_that_nobody_owes(name: str) -> None:
    accepted = [*evidence().accepted[name], Accepted("more", told=True)]
    assert found(check(with_accepted(name, accepted))) == {f"{name}: messages that nobody owes"}


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_message_is_repeated_with_a_reason_only(name: str) -> None:
    sound = list(evidence().accepted[name])
    message = sound[0].message
    twice = with_accepted(name, [*sound, sound[0]])
    without = {f"{name}: repeated without a reason"}
    assert found(check(twice)) == without
    assert check(twice).counts[f"{name}: repeated"] == 1
    assert check(replace(twice, in_flight=Counter([message]))).clean
    assert found(check(replace(twice, in_flight=Counter(["other"])))) == without
    unheard = Accepted(message, told=False)
    assert check(with_accepted(name, [unheard, *sound])).clean
    assert found(check(with_accepted(name, [unheard, *sound, sound[0]]))) == without


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_recipient_who_got_a_later_message_first(name: str) -> None:
    first, second, *others = evidence().accepted[name]
    assert found(check(with_accepted(name, [second, first, *others]))) == {
        f"{name}: out of order per recipient"
    }


def test_messages_about_different_users_may_come_in_any_order() -> None:
    *others, ada, bob, last = evidence().accepted[SLACK]
    assert check(with_accepted(SLACK, [*others, bob, ada, last])).clean
