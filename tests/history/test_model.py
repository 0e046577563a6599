"""The model says of small pasts what the design says, and a model that is broken is found."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message
from history.checking import check
from history.generator import history
from history.model import Entry, Model, State
from history.questions import Json, Listing, Missing, One, Teller, Trail
from history.record import PREFIX, Record, Unsent

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events.partitioner import partition_of

ADA = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"
ROLE = "00000000-0000-4000-8000-00000000000e"
CREATED = pb.UserCreatedEvent(user_id=ADA, person=pb.Person(email="Ada@x.org", name="Ada"))
RENAMED = pb.UserUpdatedEvent(user_id=ADA, person=pb.Person(name="Countess"))
DELETED = pb.UserDeletedEvent(user_id=ADA)
SIGNED_IN = pb.UserLoggedInEvent(user_id=ADA)
ASSIGNED = pb.RoleAssignedToUserEvent(user_id=ADA, role_id=ROLE, role_name="then")
ROLE_CREATED = pb.RoleCreatedEvent(role_id=ROLE, name="reader")
ROLE_RENAMED = pb.RoleUpdatedEvent(role_id=ROLE, name="writer")
ROLE_DELETED = pb.RoleDeletedEvent(role_id=ROLE)


def log(*events: tuple[int, Message]) -> list[Record]:
    """Each event recorded at its millisecond."""
    sent = []
    for number, (at, event) in enumerate(events):
        user = hasattr(event, "user_id")
        key = event.user_id if user else event.role_id  # type: ignore[attr-defined]
        texts = {
            "ce_specversion": "1.0",
            "ce_id": f"00000000-0000-4000-8000-{number:012}",
            "ce_type": PREFIX + type(event).__name__,
            "ce_subject": f"{'users' if user else 'roles'}/{key}",
            "ce_time": "2020-01-01T00:00:00Z",
        }
        headers = tuple((name, text.encode()) for name, text in texts.items())
        sent.append(Unsent(key.encode(), event.SerializeToString(), headers, at))
    return appended(sent)


def appended(sent: list[Unsent]) -> list[Record]:
    ends = dict.fromkeys(range(50), 0)
    records = []
    for record in sent:
        place = record.partition
        place = partition_of(record.key, 50) if place is None else place
        records.append(
            Record(place, ends[place], record.key, record.value, record.headers, record.recorded_ms)
        )
        ends[place] += 1
    return sorted(records, key=lambda r: (r.partition, r.offset))


def teller(*events: tuple[int, Message]) -> Teller:
    return Teller(Model(log(*events)))


def shown(answer: Any) -> Json:
    assert isinstance(answer, dict), answer
    return answer


def test_a_moment_includes_what_was_recorded_at_it() -> None:
    told = teller((5, CREATED), (7, RENAMED), (9, DELETED))
    assert told.answer(One(ADA, at=4_999)) == Missing()
    assert shown(told.answer(One(ADA, at=5_000)))["name"] == "Ada"
    assert shown(told.answer(One(ADA, at=6_999)))["version"] == 1
    assert shown(told.answer(One(ADA, at=7_000)))["name"] == "Countess"
    assert told.answer(One(ADA, at=9_000)) == Missing("1970-01-01T00:00:00.009Z")


def test_a_version_is_the_state_right_after_its_event() -> None:
    told = teller((5, CREATED), (5, SIGNED_IN), (5, RENAMED))
    first = shown(told.answer(One(ADA, version=1)))
    assert (first["name"], first["last_login_at"]) == ("Ada", None)
    assert shown(told.answer(One(ADA, version=2)))["last_login_at"] == "1970-01-01T00:00:00.005Z"
    assert told.answer(One(ADA, version=3)) == Missing()


@pytest.mark.parametrize(
    ("at", "name"), [(3, "then"), (4, "reader"), (6, "reader"), (7, "writer"), (9, None)]
)
def test_a_role_is_shown_by_its_name_at_the_moment(at: int, name: str | None) -> None:
    told = teller(
        (1, CREATED), (2, ASSIGNED), (4, ROLE_CREATED), (7, ROLE_RENAMED), (8, ROLE_DELETED)
    )
    roles = shown(told.answer(One(ADA, at=at * 1_000)))["roles"]
    assert [role["name"] for role in roles] == ([name] if name else [])
    listed = told.answer(Listing(at=at * 1_000, role=name or "writer"))
    assert isinstance(listed, list)
    assert len(listed) == (1 if name else 0)


def test_a_clock_that_steps_back_does_not_reorder_a_user() -> None:
    told = teller((5, CREATED), (3, RENAMED))
    assert told.answer(One(ADA, at=3_000)) == Missing()
    assert shown(told.answer(One(ADA, at=5_000)))["name"] == "Countess"


def test_the_earliest_to_have_an_email_keeps_it_and_only_the_present_says_so() -> None:
    other = pb.UserCreatedEvent(user_id=BOB, person=pb.Person(email="ada@x.org"))
    told = teller((5, other), (4, CREATED))
    assert shown(told.answer(One(BOB)))["conflict"]
    assert not shown(told.answer(One(ADA)))["conflict"]
    assert not shown(told.answer(One(BOB, at=5_000)))["conflict"]


def test_the_timeline_has_what_was_rejected_and_what_changed() -> None:
    told = teller((5, RENAMED), (6, CREATED), (7, RENAMED))
    first, _, last = [shown(event) for event in told.answer(Trail(user=ADA))]  # type: ignore[union-attr]
    assert (first["version"], first["rejected"]) == (None, "no such user")
    assert last["changes"] == [{"field": "name", "old": "Ada", "new": "Countess"}]
    assert told.answer(Trail(user=BOB)) == Missing()


# -- broken models --------------------------------------------------------------------------------


class Exclusive(Model):
    def counted(self, moments: list[int], at: int) -> int:
        return sum(moment < at for moment in moments)


class ClockStepsBack(Model):
    def stamp(self, record: Record, applied: list[Entry]) -> int:
        return 1_000 * record.recorded_ms


class AppliesCopies(Model):
    def is_copy(self, record: Record) -> bool:
        return False


class DeletionIsNotFinal(Model):
    def refusal(self, record: Record, state: State | None) -> str | None:
        reason = super().refusal(record, state)
        return None if reason and reason.endswith("was deleted") else reason


class LoginsHaveVersions(Model):
    def after(self, record: Record, state: State | None, at: int) -> State:
        after = super().after(record, state, at)
        login = record.type == "UserLoggedInEvent"
        return replace(after, version=after.version + 1) if login else after


class RolesStay(Model):
    def roles_after(self, record: Record, roles: Mapping[str, str]) -> Mapping[str, str]:
        kept = record.type == "RoleUnassignedFromUserEvent"
        return roles if kept else super().roles_after(record, roles)


class ByPresentNames(Teller):
    def roles_shown(self, assigned: Mapping[str, str], at: int) -> list[Json]:
        return super().roles_shown(assigned, 2**60)


class ByAssignedNames(Teller):
    def roles_shown(self, assigned: Mapping[str, str], at: int) -> list[Json]:
        return super().roles_shown(assigned, 0)


RECORDS = appended(history(seed=1, users=40, events=600, began_ms=1_700_000_000_000).sent)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Teller(Exclusive(RECORDS)),
        lambda: Teller(ClockStepsBack(RECORDS)),
        lambda: Teller(AppliesCopies(RECORDS)),
        lambda: Teller(DeletionIsNotFinal(RECORDS)),
        lambda: Teller(LoginsHaveVersions(RECORDS)),
        lambda: Teller(RolesStay(RECORDS)),
        lambda: ByPresentNames(Model(RECORDS)),
        lambda: ByAssignedNames(Model(RECORDS)),
    ],
)
def test_a_broken_rule_is_found(broken: Callable[[], Teller]) -> None:
    differences = check(Model(RECORDS), broken(), 300, seed=1).differences
    assert differences


def test_the_model_agrees_with_itself() -> None:
    verdict = check(Model(RECORDS), Teller(Model(RECORDS)), 300, seed=1)
    assert not verdict.differences
    assert verdict.comparisons.total() == 300
    assert len(verdict.comparisons) == 7


def test_a_history_has_everything_that_can_go_wrong() -> None:
    entries = Model(RECORDS).entries
    assert {e.record.type for e in entries if e.state} == {
        name for name in pb.DESCRIPTOR.message_types_by_name if name.endswith("Event")
    }
    assert len(entries) < len(RECORDS)  # copies
    assert len({e.rejected for e in entries}) >= 10
    assert len({e.at for e in entries}) < len(entries)
    by_place = sorted(entries, key=lambda e: (e.record.partition, e.record.offset))
    stamps = [(e.record.partition, e.record.recorded_ms) for e in by_place]
    assert stamps != sorted(stamps)  # clocks that step back
