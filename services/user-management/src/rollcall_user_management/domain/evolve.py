"""(state, event) → state. Every event that the lifecycle rule lets through is applied."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rollcall.users.v1 import events_pb2 as pb
from rollcall_user_management.domain.attributes import to_dict
from rollcall_user_management.domain.state import Role, Stamp, User, unique_key

Changes = dict[str, Any]


def _user_created(user: User, event: pb.UserCreatedEvent, at: Stamp) -> Changes:
    return {"created_at": at.recorded_at, **_person(user, event.person, event.status, at)}


def _user_updated(user: User, event: pb.UserUpdatedEvent, at: Stamp) -> Changes:
    return _person(user, event.person, event.status, at)


def _person(user: User, person: pb.Person, status: "pb.UserStatus.ValueType", at: Stamp) -> Changes:
    changes: Changes = {
        name: getattr(person, name) for name in ("email", "name", "locale") if person.HasField(name)
    }
    if person.HasField("attributes"):
        changes["attributes"] = to_dict(person.attributes)
    if status != pb.USER_STATUS_UNSPECIFIED:
        changes["status"] = status
    email = changes.get("email", user.email)
    same = email == user.email or unique_key(email) == unique_key(user.email)
    if not same or user.email_since is None:
        changes["email_since"] = at
    return changes


def _user_deleted(user: User, event: pb.UserDeletedEvent, at: Stamp) -> Changes:
    return {"deleted_at": at.recorded_at, "roles": {}}


def _logged_in(user: User, event: pb.UserLoggedInEvent, at: Stamp) -> Changes:
    return {"last_login_at": at.recorded_at}


def _role_assigned(user: User, event: pb.RoleAssignedToUserEvent, at: Stamp) -> Changes:
    return {"roles": {**user.roles, event.role_id: event.role_name}}


def _role_unassigned(user: User, event: pb.RoleUnassignedFromUserEvent, at: Stamp) -> Changes:
    return {"roles": {k: v for k, v in user.roles.items() if k != event.role_id}}


def _role_created(role: Role, event: pb.RoleCreatedEvent, at: Stamp) -> Changes:
    return {
        "name": event.name,
        "description": event.description,
        "permissions": tuple(event.permissions),
        "created_at": at.recorded_at,
        "name_since": at,
    }


def _role_updated(role: Role, event: pb.RoleUpdatedEvent, at: Stamp) -> Changes:
    changes: Changes = {}
    if event.HasField("name"):
        same = unique_key(event.name) == unique_key(role.name)
        changes |= {"name": event.name, "name_since": role.name_since if same else at}
    if event.HasField("description"):
        changes["description"] = event.description
    if event.HasField("permissions"):
        changes["permissions"] = tuple(event.permissions.values)
    return changes


def _role_deleted(role: Role, event: pb.RoleDeletedEvent, at: Stamp) -> Changes:
    return {"deleted_at": at.recorded_at}


# What of the state an event changes, beside what every event does.
EVOLVE: Mapping[type[Any], Callable[[Any, Any, Stamp], Changes]] = {
    pb.UserCreatedEvent: _user_created,
    pb.UserUpdatedEvent: _user_updated,
    pb.UserDeletedEvent: _user_deleted,
    pb.UserLoggedInEvent: _logged_in,
    pb.RoleAssignedToUserEvent: _role_assigned,
    pb.RoleUnassignedFromUserEvent: _role_unassigned,
    pb.RoleCreatedEvent: _role_created,
    pb.RoleUpdatedEvent: _role_updated,
    pb.RoleDeletedEvent: _role_deleted,
}


# Facts raise no version.
FACTS = frozenset({pb.UserLoggedInEvent})

S = TypeVar("S", bound=User | Role)


def evolve(state: S, event: Any, at: Stamp) -> S:
    """The state after the event, one version on unless the event is a fact without one."""
    changes = EVOLVE[type(event)](state, event, at) | {"last": at}
    if type(event) not in FACTS:
        changes |= {"version": state.version + 1, "updated_at": at.recorded_at}
    return type(state)(**(vars(state) | changes))  # as dataclasses.replace, which is slower
