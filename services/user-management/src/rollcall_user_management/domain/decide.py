"""(state, command) → event, or None where nothing has to change. Raises DomainError.

The command is the request itself; its form has been validated before. What needs more than one
aggregate (a value taken by another) is not decided here but admitted (see admission).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from rollcall.users.v1 import commands_pb2 as commands
from rollcall.users.v1 import events_pb2 as pb
from rollcall_user_management.domain.attributes import merge_patch, same, to_dict, to_struct
from rollcall_user_management.domain.errors import NotFound, Protected, Taken, VersionMismatch
from rollcall_user_management.domain.state import ADMIN, Role, User, unique_key

Aggregate = User | Role


@dataclass(frozen=True)
class Rule:
    """How a command is decided: on which aggregate, and with the role it refers to, if any."""

    aggregate: type[User] | type[Role]
    decide: Callable[..., Message | None]
    creates: bool = False
    refers_to_role: bool = False

    @property
    def id_field(self) -> str:
        return "user_id" if self.aggregate is User else "role_id"


def decide(state: Aggregate, command: Any, reference: Role | None = None) -> Message | None:
    """The event that the command leads to from this state; `reference` is the role it names."""
    rule = RULES[type(command)]
    if rule.creates:
        if state.version > 0:
            raise Taken("id")
        return rule.decide(state, command)
    if not state.live:
        raise NotFound(type(state).__name__.lower(), state.deleted_at)
    if command.HasField("expected_version") and command.expected_version != state.version:
        raise VersionMismatch(command.expected_version, state.version)
    if rule.refers_to_role:
        assert reference is not None
        return rule.decide(state, command, reference)
    return rule.decide(state, command)


def _create_user(user: User, command: commands.CreateUserRequest) -> Message:
    person = pb.Person(
        email=command.email,
        name=command.name,
        locale=command.locale,
        attributes=command.attributes,
    )
    return pb.UserCreatedEvent(user_id=user.id, person=person, status=pb.USER_STATUS_ACTIVE)


def _update_user(user: User, command: commands.UpdateUserRequest) -> Message | None:
    event = pb.UserUpdatedEvent(user_id=user.id)
    for name in ("email", "name", "locale"):
        if command.HasField(name) and getattr(command, name) != getattr(user, name):
            setattr(event.person, name, getattr(command, name))
    if command.clear_attributes or command.HasField("attributes_patch"):
        before = {} if command.clear_attributes else user.attributes
        attributes = merge_patch(before, to_dict(command.attributes_patch))
        if not same(attributes, user.attributes):
            event.person.attributes.CopyFrom(to_struct(attributes))
    if command.status not in (pb.USER_STATUS_UNSPECIFIED, user.status):
        event.status = command.status
    changed = event.HasField("person") or event.status != pb.USER_STATUS_UNSPECIFIED
    return event if changed else None


def _delete_user(user: User, command: commands.DeleteUserRequest) -> Message:
    return pb.UserDeletedEvent(user_id=user.id)


def _assign_role(user: User, command: commands.AssignRoleRequest, role: Role) -> Message | None:
    if not role.live:
        raise NotFound("role", role.deleted_at)
    if role.id in user.roles:
        return None
    return pb.RoleAssignedToUserEvent(user_id=user.id, role_id=role.id, role_name=role.name)


def _unassign_role(user: User, command: commands.UnassignRoleRequest, role: Role) -> Message | None:
    if role.id in user.roles:
        name = role.name or user.roles[role.id]
        return pb.RoleUnassignedFromUserEvent(user_id=user.id, role_id=role.id, role_name=name)
    if not role.live:
        raise NotFound("role", role.deleted_at)
    return None


def _create_role(role: Role, command: commands.CreateRoleRequest) -> Message:
    return pb.RoleCreatedEvent(
        role_id=role.id,
        name=command.name,
        description=command.description,
        permissions=command.permissions,
    )


def _update_role(role: Role, command: commands.UpdateRoleRequest) -> Message | None:
    event = pb.RoleUpdatedEvent(role_id=role.id)
    if command.HasField("name") and command.name != role.name:
        if unique_key(role.name) == ADMIN:
            raise Protected("renamed")
        event.name = command.name
    if command.HasField("description") and command.description != role.description:
        event.description = command.description
    if command.HasField("permissions") and tuple(command.permissions.values) != role.permissions:
        event.permissions.CopyFrom(command.permissions)
    changed = any(event.HasField(f) for f in ("name", "description", "permissions"))
    return event if changed else None


def _delete_role(role: Role, command: commands.DeleteRoleRequest) -> Message:
    if unique_key(role.name) == ADMIN:
        raise Protected("deleted")
    return pb.RoleDeletedEvent(role_id=role.id)


RULES: Mapping[type[Any], Rule] = {
    commands.CreateUserRequest: Rule(User, _create_user, creates=True),
    commands.UpdateUserRequest: Rule(User, _update_user),
    commands.DeleteUserRequest: Rule(User, _delete_user),
    commands.AssignRoleRequest: Rule(User, _assign_role, refers_to_role=True),
    commands.UnassignRoleRequest: Rule(User, _unassign_role, refers_to_role=True),
    commands.CreateRoleRequest: Rule(Role, _create_role, creates=True),
    commands.UpdateRoleRequest: Rule(Role, _update_role),
    commands.DeleteRoleRequest: Rule(Role, _delete_role),
}


@dataclass(frozen=True)
class Claim:
    """A value that an event needs to be its aggregate's alone. field: email or name."""

    field: str
    key: str

    def __str__(self) -> str:
        return f"{self.field}:{self.key}"


def wanted_by(command: Any) -> Claim | None:
    """The unique value that a command may come to need: that of its event, if it has one."""
    match command:
        case commands.UpdateUserRequest() if not command.HasField("email"):
            return None
        case commands.UpdateRoleRequest() if not command.HasField("name"):
            return None
        case commands.CreateUserRequest() | commands.UpdateUserRequest():
            return Claim("email", unique_key(command.email))
        case commands.CreateRoleRequest() | commands.UpdateRoleRequest():
            return Claim("name", unique_key(command.name))
    return None


def claim_of(event: Message) -> Claim | None:
    """The unique value an event takes: the e-mail of a user, the name of a role."""
    match event:
        case pb.UserCreatedEvent() | pb.UserUpdatedEvent() if event.person.HasField("email"):
            return Claim("email", unique_key(event.person.email))
        case pb.RoleCreatedEvent():
            return Claim("name", unique_key(event.name))
        case pb.RoleUpdatedEvent() if event.HasField("name"):
            return Claim("name", unique_key(event.name))
    return None
