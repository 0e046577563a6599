"""What an event changed, as the audit trail tells it: [{field, old, new}]."""

from typing import Any

from rollcall.users.v1 import events_pb2 as pb
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import Role, User

_USER_FIELDS = ("email", "name", "locale", "attributes", "status")
_ROLE_FIELDS = ("name", "description", "permissions")

STATUS = {pb.USER_STATUS_ACTIVE: "active", pb.USER_STATUS_SUSPENDED: "suspended"}


def changes(before: Aggregate, after: Aggregate) -> list[dict[str, Any]]:
    """The fields that differ; a field that did not exist before, or does not any more, is null."""
    fields: tuple[str, ...] = _USER_FIELDS if isinstance(after, User) else _ROLE_FIELDS
    if before.live and after.live:
        fields = tuple(f for f in fields if getattr(before, f) != getattr(after, f))
    values = [(f, _value(before, f), _value(after, f)) for f in fields]
    differing = [{"field": f, "old": old, "new": new} for f, old, new in values if old != new]
    if isinstance(before, User) and isinstance(after, User) and before.roles != after.roles:
        differing += _role_changes(before, after)
    return differing


def _value(state: Aggregate, field: str) -> Any:
    if not state.live:
        return None
    value = getattr(state, field)
    if field == "status":
        return STATUS[value]
    return list(value) if isinstance(state, Role) and field == "permissions" else value


def _role_changes(before: User, after: User) -> list[dict[str, Any]]:
    gone = before.roles.keys() - after.roles.keys()
    new = after.roles.keys() - before.roles.keys()
    return [
        *({"field": "roles", "old": _reference(before, r), "new": None} for r in sorted(gone)),
        *({"field": "roles", "old": None, "new": _reference(after, r)} for r in sorted(new)),
    ]


def _reference(user: User, role_id: str) -> dict[str, str]:
    return {"id": role_id, "name": user.roles[role_id]}
