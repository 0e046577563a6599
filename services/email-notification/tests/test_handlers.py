"""Given events, when one more comes, then these mails are owed; on a real Postgres."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.batches import alone_and_in_batches

from rollcall.users.v1 import events_pb2 as pb

ADA = "ada@example.com"
USER = "018f0000-0000-7000-8000-000000000001"
ROLE = "018f0000-0000-7000-8000-000000000002"


def created(**person: Any) -> pb.UserCreatedEvent:
    return pb.UserCreatedEvent(
        user_id=USER, person=pb.Person(**{"email": ADA, "name": "Ada"} | person)
    )


def updated(status: Any = 0, **person: Any) -> pb.UserUpdatedEvent:
    return pb.UserUpdatedEvent(user_id=USER, person=pb.Person(**person), status=status)


def test_creation_owes_a_welcome(story: Any) -> None:
    story.when(created(locale="de"))
    assert story.owed() == [("welcome", ADA)]
    assert story.payload("welcome") == {
        "name": "Ada",
        "email": ADA,
        "locale": "de",
        "at": "2026-05-04T12:30:00+00:00",
    }


def test_a_user_without_an_address_gets_nothing(story: Any) -> None:
    story.when(pb.UserCreatedEvent(user_id=USER, person=pb.Person(name="Ada")))
    assert story.owed() == []


@pytest.mark.parametrize("email", ["not an address", "", "a" * 300 + "@example.com"])
def test_what_cannot_be_an_address_is_none(story: Any, email: str) -> None:
    story.when(created(email=email))
    assert story.owed() == []


def test_hostile_texts_are_made_plain(story: Any) -> None:
    story.when(created(name="Ada\x00\r\nBcc: all@example.com", email="ada@example.com\r\nX: y"))
    payload = story.payload("welcome")
    assert payload["name"] == "Ada Bcc: all@example.com"
    assert payload["email"] == "ada@example.com X: y"  # which the sender refuses


def test_a_huge_name_is_cut(story: Any) -> None:
    story.when(created(name="x" * 1_000_000))
    assert len(story.payload("welcome")["name"]) == 200


def test_a_change_is_told_by_its_names(story: Any) -> None:
    attributes = Struct()
    attributes.update({"secret": "42"})
    story.given(created()).when(updated(name="Ada L.", locale="fr", attributes=attributes))
    assert story.owed() == [("profile_changed", ADA)]
    payload = story.payload("profile_changed")
    assert payload["changes"] == ["name", "locale", "attributes"]
    assert payload["locale"] == "fr"
    assert "42" not in str(payload)


def test_a_new_address_is_told_to_the_old_one_too(story: Any) -> None:
    story.given(created()).when(updated(email="ada@new.example"))
    assert story.owed() == [("profile_changed", "ada@new.example"), ("address_changed", ADA)]
    assert "new.example" not in str(story.payload("address_changed"))


def test_another_letter_case_is_no_other_address(story: Any) -> None:
    story.given(created()).when(updated(email="Ada@Example.com"))
    assert story.owed() == [("profile_changed", "Ada@Example.com")]


@pytest.mark.parametrize(
    ("status", "word"),
    [(pb.USER_STATUS_SUSPENDED, "suspended"), (pb.USER_STATUS_ACTIVE, "reactivated")],
)
def test_suspension_and_its_end_are_changes(story: Any, status: Any, word: str) -> None:
    other = pb.USER_STATUS_ACTIVE if word == "suspended" else pb.USER_STATUS_SUSPENDED
    story.given(created(), updated(other)).when(updated(status))
    assert story.payload("profile_changed")["changes"] == [word]


def test_an_update_that_changes_nothing_owes_nothing(story: Any) -> None:
    story.given(created()).when(updated(pb.USER_STATUS_ACTIVE, name="Ada", email=ADA))
    assert story.owed() == []


def test_deletion_owes_a_farewell_and_leaves_no_trace_in_the_view(story: Any) -> None:
    story.given(created()).when(pb.UserDeletedEvent(user_id=USER))
    assert story.owed() == [("farewell", ADA)]
    assert story.connection.execute(text("SELECT count(*) FROM recipients")).scalar() == 0


def test_a_sign_in_is_told(story: Any) -> None:
    story.given(created()).when(pb.UserLoggedInEvent(user_id=USER))
    assert story.owed() == [("sign_in", ADA)]


def test_roles_granted_and_revoked_are_told(story: Any) -> None:
    role = {"user_id": USER, "role_id": ROLE, "role_name": "auditor"}
    story.given(created())
    story.when(pb.RoleAssignedToUserEvent(**role))
    story.when(pb.RoleUnassignedFromUserEvent(**role))
    assert story.owed() == [("role_granted", ADA), ("role_revoked", ADA)]
    assert story.payload("role_granted")["role"] == "auditor"


@pytest.mark.parametrize(
    "envelope",
    [{"recorded_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"source": "/imports/users"}],
    ids=["before the group", "of an import"],
)
def test_what_nobody_is_told_of_is_folded_and_settled(story: Any, envelope: Any) -> None:
    story.when(created(), **envelope)
    assert story.owed() == []
    count = text("SELECT count(*) FROM deliveries WHERE state = 'settled'")
    assert story.connection.execute(count).scalar() == 1
    story.when(pb.UserLoggedInEvent(user_id=USER))
    assert story.owed() == [("sign_in", ADA)]


def test_repeating_a_handler_owes_nothing_more(story: Any) -> None:
    event = story.when(created())
    story.batch([event])
    assert story.owed() == [("welcome", ADA)]


def lives(user_id: str) -> st.SearchStrategy[list[Any]]:
    """A creation, then anything that may happen to a user, perhaps the end."""
    persons = st.builds(
        pb.Person,
        email=st.sampled_from([ADA, "Ada@example.com", "ada@new.example", ""]),
        name=st.sampled_from(["Ada", 'A "quoted" \\name']),
    )
    role = {"user_id": st.just(user_id), "role_name": st.sampled_from(["auditor", "admin"])}
    middle = st.lists(
        st.one_of(
            st.builds(pb.UserUpdatedEvent, user_id=st.just(user_id), person=persons),
            st.builds(pb.UserLoggedInEvent, user_id=st.just(user_id)),
            st.builds(pb.RoleAssignedToUserEvent, **role),
            st.builds(pb.RoleUnassignedFromUserEvent, **role),
        ),
        max_size=4,
    )
    begin = st.builds(pb.UserCreatedEvent, user_id=st.just(user_id), person=persons)
    end = st.sampled_from([[], [pb.UserDeletedEvent(user_id=user_id)]])
    return st.builds(lambda b, m, e: [b, *m, *e], begin, middle, end)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_batches_owe_the_same_as_each_event_alone(story: Any, data: st.DataObject) -> None:
    remaining = [[(key, m) for m in data.draw(lives(key))] for key in (USER, ROLE)]
    order = data.draw(st.permutations([n for n, life in enumerate(remaining) for _ in life]))
    taken = [remaining[n].pop(0) for n in order]
    events = [story.event(message, user=key) for key, message in taken]
    alone, in_batches = alone_and_in_batches(story, events, data)
    assert in_batches == alone
