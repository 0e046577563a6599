"""What an event changed, as the audit trail tells it: [{field, old, new}]."""

from collections.abc import Mapping
from typing import Any

from rollcall.users.v1 import events_pb2 as pb
from rollcall_user_management.domain.attributes import same
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import User

_USER_FIELDS = ("email", "name", "locale", "attributes", "status")
_ROLE_FIELDS = ("name", "description", "permissions")

STATUS = {pb.USER_STATUS_ACTIVE: "active", pb.USER_STATUS_SUSPENDED: "suspended"}


def changes(before: Aggregate, after: Aggregate) -> list[dict[str, Any]]:
    """The fields that differ; a field that did not exist before, or does not any more, is null."""
    old, new = _told(before), _told(after)
    differing = []
    for name in _USER_FIELDS if isinstance(after, User) else _ROLE_FIELDS:
        one: Any = old.get(name)
        other: Any = new.get(name)
        if one is not other and not (one == other and (name != "attributes" or same(one, other))):
            differing.append({"field": name, "old": _json(name, one), "new": _json(name, other)})
    if isinstance(before, User) and isinstance(after, User) and before.roles != after.roles:
        differing += _role_changes(before, after)
    return differing


def _told(state: Aggregate) -> Mapping[str, Any]:
    return vars(state) if state.live else {}


def _json(name: str, value: Any) -> Any:
    if name == "status" and value is not None:
        return STATUS[value]
    return list(value) if isinstance(value, tuple) else value


def _role_changes(before: User, after: User) -> list[dict[str, Any]]:
    gone = before.roles.keys() - after.roles.keys()
    new = after.roles.keys() - before.roles.keys()
    return [
        *({"field": "roles", "old": _reference(before, r), "new": None} for r in sorted(gone)),
        *({"field": "roles", "old": None, "new": _reference(after, r)} for r in sorted(new)),
    ]


def _reference(user: User, role_id: str) -> dict[str, str]:
    return {"id": role_id, "name": user.roles[role_id]}
