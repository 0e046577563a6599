"""Given events, when a command, then an event or a refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from rollcall.users.v1 import commands_pb2 as commands
from rollcall.users.v1 import events_pb2 as pb
from rollcall.users.v1 import queries_pb2 as queries
from rollcall_events import EVENT_TYPES
from rollcall_user_management.domain.attributes import merge_patch, to_dict, to_struct
from rollcall_user_management.domain.decide import RULES, Claim, claim_of, decide
from rollcall_user_management.domain.errors import NotFound, Protected, Taken, VersionMismatch
from rollcall_user_management.domain.evolve import EVOLVE, FACTS, evolve
from rollcall_user_management.domain.state import Role, Stamp, User, unique_key
from rollcall_user_management.projection.changes import changes
from rollcall_user_management.queries.service import QUERIES

START = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = pb.UserCreatedEvent(
    user_id="u", person=pb.Person(email="a@x.org", name="A", attributes=to_struct({"k": 1}))
)
DELETED = pb.UserDeletedEvent(user_id="u")
OPS = pb.RoleCreatedEvent(role_id="r", name="ops", permissions=["x"])
ADMIN = pb.RoleCreatedEvent(role_id="r", name="Admin")
ASSIGNED = pb.RoleAssignedToUserEvent(user_id="u", role_id="r", role_name="ops")


def user(*events: Message) -> User:
    return fold(User("u"), events)


def role(*events: Message) -> Role:
    return fold(Role("r"), events)


S = TypeVar("S", User, Role)


def fold(state: S, events: tuple[Message, ...]) -> S:
    for n, event in enumerate(events):
        state = evolve(state, event, Stamp(START + timedelta(seconds=n), 0, n))
    return state


def update(**fields: Any) -> commands.UpdateUserRequest:
    return commands.UpdateUserRequest(user_id="u", **fields)


THEN = {
    "create": (
        user(),
        commands.CreateUserRequest(user_id="u", email="a@x.org", name="A"),
        pb.UserCreatedEvent(
            user_id="u",
            person=pb.Person(email="a@x.org", name="A", locale="", attributes=to_struct({})),
            status=pb.USER_STATUS_ACTIVE,
        ),
    ),
    "rename": (
        user(CREATED),
        update(name="B", email="a@x.org", expected_version=1),
        pb.UserUpdatedEvent(user_id="u", person=pb.Person(name="B")),
    ),
    "suspend": (
        user(CREATED),
        update(status=pb.USER_STATUS_SUSPENDED),
        pb.UserUpdatedEvent(user_id="u", status=pb.USER_STATUS_SUSPENDED),
    ),
    "patch attributes": (
        user(CREATED),
        update(attributes_patch=to_struct({"k": None, "n": {"m": 2}})),
        pb.UserUpdatedEvent(user_id="u", person=pb.Person(attributes=to_struct({"n": {"m": 2}}))),
    ),
    "clear attributes": (
        user(CREATED),
        update(clear_attributes=True),
        pb.UserUpdatedEvent(user_id="u", person=pb.Person(attributes=to_struct({}))),
    ),
    "nothing new": (user(CREATED), update(name="A", status=pb.USER_STATUS_ACTIVE), None),
    "delete": (user(CREATED), commands.DeleteUserRequest(user_id="u"), DELETED),
    "describe a role": (
        role(OPS),
        commands.UpdateRoleRequest(role_id="r", description="d", name="ops"),
        pb.RoleUpdatedEvent(role_id="r", description="d"),
    ),
    "describe admin": (
        role(ADMIN),
        commands.UpdateRoleRequest(role_id="r", description="d"),
        pb.RoleUpdatedEvent(role_id="r", description="d"),
    ),
    "take all permissions": (
        role(OPS),
        commands.UpdateRoleRequest(role_id="r", permissions=pb.Permissions()),
        pb.RoleUpdatedEvent(role_id="r", permissions=pb.Permissions()),
    ),
}


@pytest.mark.parametrize(("state", "command", "event"), THEN.values(), ids=THEN)
def test_a_command_leads_to_its_event(state: Any, command: Any, event: Message | None) -> None:
    assert decide(state, command) == event


REFUSED = {
    "create twice": (user(CREATED), commands.CreateUserRequest(user_id="u"), Taken),
    "create after deletion": (
        user(CREATED, DELETED), commands.CreateUserRequest(user_id="u"), Taken
    ),
    "update nobody": (user(), update(name="B"), NotFound),
    "update the deleted": (user(CREATED, DELETED), update(name="B"), NotFound),
    "an old version": (user(CREATED), update(name="B", expected_version=0), VersionMismatch),
    "delete an old version": (
        user(CREATED), commands.DeleteUserRequest(user_id="u", expected_version=2), VersionMismatch
    ),
    "rename admin": (
        role(ADMIN), commands.UpdateRoleRequest(role_id="r", name="ops"), Protected
    ),
    "delete admin": (role(ADMIN), commands.DeleteRoleRequest(role_id="r"), Protected),
}  # fmt: skip


@pytest.mark.parametrize(("state", "command", "error"), REFUSED.values(), ids=REFUSED)
def test_a_command_is_refused(state: Any, command: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        decide(state, command)


def test_roles_are_assigned_once_and_unassigned_once() -> None:
    assign = commands.AssignRoleRequest(user_id="u", role_id="r")
    unassign = commands.UnassignRoleRequest(user_id="u", role_id="r")
    assert decide(user(CREATED), assign, role(OPS)) == ASSIGNED
    assert decide(user(CREATED, ASSIGNED), assign, role(OPS)) is None
    assert decide(user(CREATED), unassign, role(OPS)) is None
    with pytest.raises(NotFound):
        decide(user(CREATED), assign, role())
    with pytest.raises(NotFound):
        decide(user(CREATED), unassign, role())
    gone = role(OPS, pb.RoleDeletedEvent(role_id="r"))
    event = decide(user(CREATED, ASSIGNED), unassign, gone)
    assert isinstance(event, pb.RoleUnassignedFromUserEvent)


def test_a_sign_in_is_a_fact_without_a_version() -> None:
    before, after = user(CREATED), user(CREATED, pb.UserLoggedInEvent(user_id="u"))
    assert (after.version, after.updated_at) == (before.version, before.updated_at)
    assert after.last_login_at == START + timedelta(seconds=1)


def test_the_holder_of_an_email_is_ranked_by_when_it_was_set() -> None:
    renamed = pb.UserUpdatedEvent(user_id="u", person=pb.Person(name="B", email="a@x.org"))
    assert user(CREATED, renamed).email_since == user(CREATED).email_since
    shouted = pb.UserUpdatedEvent(user_id="u", person=pb.Person(email="A@X.org"))
    assert user(CREATED, shouted).email_since == user(CREATED).email_since
    moved = pb.UserUpdatedEvent(user_id="u", person=pb.Person(email="b@x.org"))
    assert user(CREATED, moved).email_since == user(CREATED, moved).last


def test_canonically_equal_texts_are_the_same_value() -> None:
    assert unique_key("\u03aa\u0301") == unique_key("\u0390")
    assert unique_key("ADA@x.org") == unique_key("ada@X.ORG")


def test_what_an_event_claims() -> None:
    assert claim_of(CREATED) == Claim("email", "a@x.org")
    assert claim_of(ADMIN) == Claim("name", "admin")
    assert claim_of(pb.UserUpdatedEvent(user_id="u", person=pb.Person(name="B"))) is None
    assert claim_of(DELETED) is None


def test_changes_name_old_and_new() -> None:
    before = user(CREATED)
    after = user(CREATED, pb.UserUpdatedEvent(user_id="u", status=pb.USER_STATUS_SUSPENDED))
    assert changes(before, after) == [{"field": "status", "old": "active", "new": "suspended"}]
    assert changes(before, user(CREATED, ASSIGNED)) == [
        {"field": "roles", "old": None, "new": {"id": "r", "name": "ops"}}
    ]
    assert {"field": "email", "old": "a@x.org", "new": None} in changes(
        before, user(CREATED, DELETED)
    )


@pytest.mark.parametrize(("one", "other"), [(True, 1), (1, True), ([{"a": 0}], [{"a": False}])])
def test_a_truth_value_is_no_number(one: Any, other: Any) -> None:
    def having(value: Any) -> Message:
        person = pb.Person(attributes=to_struct({"k": value}))
        return pb.UserUpdatedEvent(user_id="u", person=person)

    held = user(CREATED, having([]), having(one))
    assert decide(held, update(attributes_patch=to_struct({"k": one}))) is None
    event = decide(held, update(attributes_patch=to_struct({"k": other})))
    assert event == having(other)
    (change,) = changes(held, user(CREATED, having([]), having(one), having(other)))
    assert to_struct(change["old"]) == to_struct({"k": one})
    assert to_struct(change["new"]) == to_struct({"k": other})


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


@given(OBJECTS)
def test_attributes_survive_the_wire(attributes: dict[str, Any]) -> None:
    assert to_dict(to_struct(attributes)) == attributes


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_is_idempotent_and_leaves_no_null(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert all(name not in once for name, value in patch.items() if value is None)
    assert all(once[name] == target[name] for name in target.keys() - patch.keys())


def test_every_command_and_query_of_the_contract_is_handled() -> None:
    for table, service in (
        (RULES, commands.DESCRIPTOR.services_by_name["UserCommandService"]),
        (QUERIES, queries.DESCRIPTOR.services_by_name["UserQueryService"]),
    ):
        requests = {method.input_type.name for method in service.methods}
        handled = {request.__name__ for request in table}
        assert handled == requests - {"ExecuteCommandsRequest"}


def test_every_command_may_share_a_call() -> None:
    types = {field.message_type for field in commands.Command.DESCRIPTOR.fields}
    assert types == {request.DESCRIPTOR for request in RULES}


def test_every_event_evolves_and_the_facts_are_those_without_a_version() -> None:
    assert set(EVOLVE) == {t.message for t in EVENT_TYPES.values()}
    assert {t.message for t in EVENT_TYPES.values() if not t.versioned} == FACTS
