"""An aggregate's state as the history keeps it with every event, and back.

A user's roles are not in it: they have their own spans of time (`assignments`), and with them here
each event of a user with many roles would repeat them all. The key of a unique value is in it where
that is not the value itself.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import User, unique_key

_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """JSON of plain values and moments."""
    return _encode(value).decode()


def state_of(aggregate: Aggregate) -> str:
    """The state as JSON: a user's or a role's fields without the user's roles."""
    if isinstance(aggregate, User):
        return to_json(_user(aggregate))
    state = {
        "name": aggregate.name,
        "description": aggregate.description,
        "permissions": aggregate.permissions,
    }
    return to_json(state | _key("name_key", aggregate.name) | _life(aggregate))


def _user(user: User) -> dict[str, Any]:
    state = {
        "email": user.email,
        "name": user.name,
        "locale": user.locale,
        "attributes": user.attributes,
        "status": user.status,
        "last_login_at": user.last_login_at,
    }
    return state | _key("email_key", user.email) | _life(user)


def _key(name: str, value: str) -> dict[str, str]:
    key = unique_key(value)
    return {} if key == value else {name: key}


def _life(aggregate: Aggregate) -> dict[str, Any]:
    return {
        "version": aggregate.version,
        "created_at": aggregate.created_at,
        "updated_at": aggregate.updated_at,
        "deleted_at": aggregate.deleted_at,
    }


def user_then(id_: str, state: Mapping[str, Any], roles: Mapping[str, str]) -> User:
    """The user of a state. roles: id → name, as they were."""
    return User(
        id=id_,
        version=state["version"],
        email=state["email"],
        name=state["name"],
        locale=state["locale"],
        attributes=state["attributes"],
        status=state["status"],
        roles=roles,
        created_at=_moment(state["created_at"]),
        updated_at=_moment(state["updated_at"]),
        deleted_at=_moment(state["deleted_at"]),
        last_login_at=_moment(state["last_login_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
