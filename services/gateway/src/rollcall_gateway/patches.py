"""JSON merge patches (RFC 7396) → what the update commands carry."""

from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from rollcall.users.v1.events_pb2 import USER_STATUS_UNSPECIFIED, Permissions, UserStatus
from rollcall_gateway.bodies import Status, UpdateRole, UpdateUser
from rollcall_gateway.representations import STATUSES, to_struct

T = TypeVar("T")


def given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def status_of(status: Status | UnsetType) -> UserStatus.ValueType:
    return USER_STATUS_UNSPECIFIED if status is UNSET else STATUSES[status]


def user_patch(body: UpdateUser) -> dict[str, Any]:
    """Fields of UpdateUserRequest; what the patch does not mention is absent.

    A null locale is none chosen, null attributes are no attributes; a null member of attributes
    goes to user-management as it is, which removes it.
    """
    patch: dict[str, Any] = {
        "email": given(body.email),
        "name": given(body.name),
        "locale": _emptied(body.locale),
        "status": status_of(body.status),
    }
    if body.attributes is None:
        patch["clear_attributes"] = True
    elif body.attributes is not UNSET:
        patch["attributes_patch"] = to_struct(body.attributes)
    return patch


def role_patch(body: UpdateRole) -> dict[str, Any]:
    """Fields of UpdateRoleRequest; what the patch does not mention is absent."""
    permissions = given(body.permissions)
    return {
        "name": given(body.name),
        "description": _emptied(body.description),
        "permissions": None if permissions is None else Permissions(values=permissions),
    }


def _emptied(value: str | UnsetType | None) -> str | None:
    return None if value is UNSET else value or ""
