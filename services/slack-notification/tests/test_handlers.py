"""Who is told what, on a real Postgres; and that the order across keys does not matter."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.batches import alone_and_in_batches

from rollcall.users.v1 import events_pb2 as pb
from rollcall_slack_notification import admins
from rollcall_slack_notification.subscriptions import subscription

ADMIN = "018f0000-0000-7000-8000-00000000000a"
AUDITOR = "018f0000-0000-7000-8000-00000000000b"
ADA, BOB, EVE = (f"018f0000-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
HERE = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def user(user_id: str, name: str, email: str = "") -> pb.UserCreatedEvent:
    person = pb.Person(email=email or f"{name.lower()}@example.com", name=name)
    return pb.UserCreatedEvent(user_id=user_id, person=person)


def role(role_id: str, name: str) -> pb.RoleCreatedEvent:
    return pb.RoleCreatedEvent(role_id=role_id, name=name)


def granted(user_id: str, role_id: str = ADMIN, name: str = "admin") -> pb.RoleAssignedToUserEvent:
    return pb.RoleAssignedToUserEvent(user_id=user_id, role_id=role_id, role_name=name)


def taken(user_id: str, role_id: str = ADMIN) -> pb.RoleUnassignedFromUserEvent:
    return pb.RoleUnassignedFromUserEvent(user_id=user_id, role_id=role_id, role_name="admin")


@pytest.fixture
def two_admins(story: Any) -> Any:
    for message in (role(ADMIN, "admin"), user(ADA, "Ada"), user(BOB, "Bob")):
        story.when(message)
    story.when(granted(ADA))
    story.when(granted(BOB))
    return story


def test_the_other_admins_are_told_and_the_actor_is_not(two_admins: Any) -> None:
    two_admins.when(user(EVE, "Eve"), actor=f"users/{ADA}")
    assert two_admins.told() == ["bob@example.com"]
    assert two_admins.payload() == {
        "subject": "Eve",
        "role": "",
        "actor": "Ada",
        "fields": [["E-mail", "eve@example.com"]],
        "at": "2026-05-04T12:30:00+00:00",
        "position": "users/7/6",
        "version": 3,
    }


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("services/platform", "the service platform"),
        ("tokens/018f", "an API token"),
        (f"users/{AUDITOR}", "a user"),
        ("users/urn:uuid:" + EVE, "a user"),
        ("users/nonsense'\x00", "a user"),
        (None, ""),
        ("", ""),
    ],
)
def test_an_actor_who_is_no_known_user(two_admins: Any, actor: str | None, name: str) -> None:
    two_admins.when(user(EVE, "Eve"), actor=actor)
    assert two_admins.told() == ["ada@example.com", "bob@example.com"]
    assert two_admins.payload()["actor"] == name


def test_an_import_is_folded_and_settled(two_admins: Any) -> None:
    """Whoever it makes an admin is told of what comes afterwards."""
    for message in (user(EVE, "Eve"), granted(EVE)):
        two_admins.when(message, source="/imports/users")
        assert two_admins.told() == []
    told = ["ada@example.com", "bob@example.com", "eve@example.com"]
    assert two_admins.told("settled") == told
    two_admins.when(role(AUDITOR, "auditor"))
    assert two_admins.told() == told


def test_an_actor_who_shares_a_conversation_is_not_told(two_admins: Any) -> None:
    two_admins.when(user(EVE, "Eve", "BOB@example.com"))
    two_admins.when(role(AUDITOR, "auditor"), actor=f"users/{EVE}")
    assert two_admins.told() == ["ada@example.com"]


def test_who_becomes_admin_is_told_and_who_no_longer_is_is_not(two_admins: Any) -> None:
    two_admins.when(taken(BOB), actor=f"users/{ADA}")
    assert two_admins.told() == []
    two_admins.when(granted(BOB), actor=f"users/{ADA}")
    assert two_admins.told() == ["bob@example.com"]
    assert two_admins.payload()["role"] == "admin"


def test_a_deleted_admin_hears_no_more(two_admins: Any) -> None:
    two_admins.when(pb.UserDeletedEvent(user_id=BOB))
    assert two_admins.told() == ["ada@example.com"]
    assert two_admins.payload()["subject"] == "Bob"


def test_admins_are_found_by_their_newest_address(two_admins: Any) -> None:
    person = pb.Person(email="bob@new.example", name="Robert")
    two_admins.when(
        pb.UserUpdatedEvent(user_id=BOB, person=person, status=pb.USER_STATUS_SUSPENDED)
    )
    assert two_admins.told() == ["ada@example.com", "bob@new.example"]
    assert two_admins.payload()["fields"] == [
        ["E-mail", "bob@example.com → bob@new.example"],
        ["Name", "Bob → Robert"],
        ["Status", "suspended"],
    ]


def test_all_but_sign_ins_are_told(two_admins: Any) -> None:
    update = pb.RoleUpdatedEvent(role_id=AUDITOR, name="auditors", description="They look")
    update.permissions.values.extend(["users:read", "events:read"])
    two_admins.when(role(AUDITOR, "auditor"))
    assert len(two_admins.told()) == 2
    two_admins.when(update)
    assert two_admins.payload()["fields"] == [
        ["Name", "auditor → auditors"],
        ["Description", "They look"],
        ["Permissions", "users:read, events:read"],
    ]
    two_admins.when(pb.RoleDeletedEvent(role_id=AUDITOR))
    assert two_admins.payload()["subject"] == "auditors"
    two_admins.when(pb.UserLoggedInEvent(user_id=ADA))
    assert two_admins.told() == []


def test_a_channel_is_told_besides(two_admins: Any) -> None:
    two_admins.subscription = subscription(channel="#people")
    two_admins.when(user(EVE, "Eve"), actor=f"users/{ADA}")
    assert two_admins.told() == ["bob@example.com", "#people"]


def test_two_admins_with_one_address_are_told_once(two_admins: Any) -> None:
    two_admins.when(user(EVE, "Eve", "Bob@Example.com"))
    two_admins.when(granted(EVE))
    assert two_admins.told() == ["ada@example.com", "bob@example.com"]


@pytest.mark.parametrize(
    "role_id", ["", "admin", f"urn:uuid:{ADMIN}", f"{{{ADMIN}}}", "x\x00" * 99_999]
)
def test_an_assignment_of_no_role_makes_no_admin(two_admins: Any, role_id: str) -> None:
    two_admins.when(user(EVE, "Eve"))
    two_admins.when(granted(EVE, role_id))
    assert two_admins.told() == ["ada@example.com", "bob@example.com"]
    two_admins.when(taken(EVE, role_id))


def test_hostile_texts_are_made_plain(two_admins: Any) -> None:
    two_admins.when(user(EVE, "Eve\x00\n<!channel>" + "x" * 999, "no\x00address"))
    payload = two_admins.payload()
    assert payload["subject"].startswith("Eve <!channel>x")
    assert len(payload["subject"]) == 200
    assert payload["fields"] == []


ROLES: list[list[Any]] = [
    [role(ADMIN, "admin")],
    [role(AUDITOR, "auditor"), pb.RoleUpdatedEvent(role_id=AUDITOR, description="They look")],
    [role(EVE, "admin"), pb.RoleDeletedEvent(role_id=EVE)],
    [role(BOB, "other"), pb.RoleUpdatedEvent(role_id=BOB, name="admin")],
    [role(ADA, "admin"), pb.RoleUpdatedEvent(role_id=ADA, name="other")],
]


def lives(user_id: str, name: str) -> st.SearchStrategy[list[Any]]:
    """One key's events: a creation, then assignments of any roles, perhaps the end."""
    assignment = st.builds(
        granted,
        st.just(user_id),
        st.sampled_from([ADMIN, AUDITOR, EVE, BOB, ADA]),
        st.sampled_from(["admin", "auditor", "other"]),
    )
    address = st.builds(
        lambda email: pb.UserUpdatedEvent(user_id=user_id, person=pb.Person(email=email)),
        st.sampled_from(["new@example.com", "other@example.com", ""]),
    )
    revocation = st.builds(taken, st.just(user_id), st.sampled_from([ADMIN, AUDITOR, BOB]))
    end = st.sampled_from([[], [pb.UserDeletedEvent(user_id=user_id)]])
    middle = st.lists(st.one_of(assignment, address, revocation), max_size=4)
    return st.builds(lambda m, e: [user(user_id, name), *m, *e], middle, end)


@st.composite
def interleaved(draw: st.DrawFn, keys: list[list[Any]]) -> list[Any]:
    """Any order of the keys' events that keeps each key's own."""
    remaining = [list(events) for events in keys]
    order = draw(st.permutations([n for n, events in enumerate(keys) for _ in events]))
    return [remaining[n].pop(0) for n in order]


@HERE
@given(data=st.data())
def test_any_order_across_keys_gives_the_same_admins(story: Any, data: st.DataObject) -> None:
    keys: list[list[Any]] = [*ROLES, data.draw(lives(ADA, "Ada")), data.draw(lives(BOB, "Bob"))]
    views = []
    for _ in range(2):
        story.forget()
        for message in data.draw(interleaved(keys)):
            story.when(message)
        views.append(admins.read(story.wire, (), (), ()))
    assert views[0] == views[1]


def test_who_is_gone_by_the_end_of_a_batch_leaves_no_trace(story: Any) -> None:
    life = (user(EVE, "Eve"), granted(EVE), pb.UserDeletedEvent(user_id=EVE))
    story.batch([story.event(message) for message in life])
    _, *view = story.kept()
    assert view == [[], [], []]


def test_a_role_that_becomes_admin_in_a_batch_makes_admins_of_its_holders(story: Any) -> None:
    for message in (role(AUDITOR, "auditor"), user(ADA, "Ada"), granted(ADA, AUDITOR, "auditor")):
        story.when(message)
    renamed = pb.RoleUpdatedEvent(role_id=AUDITOR, name="admin")
    story.batch([story.event(message) for message in (renamed, user(BOB, "Bob"))])
    assert story.told() == ["ada@example.com"]


def test_admins_are_found_by_an_address_that_they_have_since_earlier_in_the_batch(
    two_admins: Any,
) -> None:
    moved = pb.UserUpdatedEvent(user_id=BOB, person=pb.Person(email="bob@new.example"))
    batch = (role(AUDITOR, "auditor"), moved, user(EVE, "Eve"))
    two_admins.batch([two_admins.event(message) for message in batch])
    assert two_admins.told() == ["ada@example.com", "bob@new.example"]


@HERE
@given(data=st.data())
def test_any_batches_tell_the_same_as_each_event_alone(story: Any, data: st.DataObject) -> None:
    actors = st.sampled_from([None, f"users/{ADA}", f"users/{BOB}", "services/platform"])
    keys = data.draw(st.lists(st.sampled_from(ROLES), max_size=2, unique_by=id))
    keys += [data.draw(lives(ADA, "Ada")), data.draw(lives(BOB, "Bob"))]
    messages = data.draw(interleaved(keys))
    events = [story.event(message, actor=data.draw(actors)) for message in messages]
    alone, in_batches = alone_and_in_batches(story, events, data)
    assert in_batches == alone


@HERE
@given(data=st.data())
def test_an_actor_never_gets_a_message_of_their_own(story: Any, data: st.DataObject) -> None:
    story.forget()
    addresses = st.sampled_from(["ada@example.com", "ADA@example.com", "bob@example.com"])
    emails = {person: data.draw(addresses) for person in (ADA, BOB, EVE)}
    events: list[Any] = [user(person, "x", email) for person, email in emails.items()]
    events += [granted(person) for person in data.draw(st.sets(st.sampled_from([ADA, BOB, EVE])))]
    for event in events:
        story.when(event)
    actor = data.draw(st.sampled_from([ADA, BOB, EVE]))
    last: list[Any] = [role(AUDITOR, "auditor"), taken(BOB), granted(EVE)]
    story.when(data.draw(st.sampled_from(last)), actor=f"users/{actor}")
    assert emails[actor].lower() not in story.told()


def test_admins_are_found_by_an_index_however_many_assignments_there_are(story: Any) -> None:
    """Also when the statistics are of a moment when all of them were of one role."""
    story.connection.execute(
        text(
            "INSERT INTO grants SELECT gen_random_uuid(), CAST(:role AS uuid), false"
            " FROM generate_series(1, 20000)"
        ),
        {"role": AUDITOR},
    )
    story.connection.execute(text("ANALYZE grants"))
    explained = story.wire.send("EXPLAIN EXECUTE view_of (%s, %s, %s)", ("{}", "{}", "{}"))
    plan = "\n".join(row[0] for row in explained)
    assert "grants_role" in plan
    assert "grants_admin" in plan
    assert "grants_pkey" not in plan
