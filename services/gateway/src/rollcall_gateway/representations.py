"""protobuf ⇄ JSON: users and roles as the API shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from rollcall.users.v1 import events_pb2, queries_pb2
from rollcall_gateway.text import MAX_EXACT_INTEGER

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Id = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]

_SECONDS = len("1970-01-01T00:00:00")

STATUSES: dict[str, events_pb2.UserStatus.ValueType] = {
    "active": events_pb2.USER_STATUS_ACTIVE,
    "suspended": events_pb2.USER_STATUS_SUSPENDED,
}


class RoleReference(msgspec.Struct):
    id: Id
    name: str


class User(msgspec.Struct):
    id: Id
    email: str
    name: str
    locale: str | None
    attributes: dict[str, Any]
    status: Literal["active", "suspended"]
    conflict: Annotated[bool, msgspec.Meta(description="Another user held the e-mail earlier.")]
    roles: list[RoleReference]
    version: int
    created_at: Time | None
    updated_at: Time | None
    last_login_at: Time | None


class Role(msgspec.Struct):
    id: Id
    name: str
    description: str
    permissions: list[str]
    conflict: Annotated[bool, msgspec.Meta(description="Another role held the name earlier.")]
    version: int
    created_at: Time | None
    updated_at: Time | None


class Users(msgspec.Struct):
    users: list[User]
    next_page_token: str | None


class Roles(msgspec.Struct):
    roles: list[Role]
    next_page_token: str | None


def user(message: queries_pb2.User) -> User:
    suspended = message.status == events_pb2.USER_STATUS_SUSPENDED
    return User(
        id=message.id,
        email=message.email,
        name=message.name,
        locale=message.locale or None,
        attributes=from_struct(message.attributes),
        status="suspended" if suspended else "active",
        conflict=message.conflict,
        roles=[RoleReference(r.id, r.name) for r in message.roles],
        version=message.version,
        created_at=time_of(message, "created_at"),
        updated_at=time_of(message, "updated_at"),
        last_login_at=time_of(message, "last_login_at"),
    )


def role(message: queries_pb2.Role) -> Role:
    return Role(
        id=message.id,
        name=message.name,
        description=message.description,
        permissions=list(message.permissions),
        conflict=message.conflict,
        version=message.version,
        created_at=time_of(message, "created_at"),
        updated_at=time_of(message, "updated_at"),
    )


def time_of(message: Message, field: Any) -> str | None:
    """RFC 3339 in UTC with milliseconds, which is what the broker's stamps have."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    moment = datetime.fromtimestamp(stamp.seconds, UTC)
    return f"{moment.isoformat()[:_SECONDS]}.{stamp.nanos // 1_000_000:03d}Z"


def to_struct(value: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(dict(value))
    return struct


def from_struct(struct: Struct) -> dict[str, Any]:
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        return _number(value.number_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def _number(number: float) -> int | float:
    """JSON has one kind of number and protobuf's is a double: 3.0 was sent as 3."""
    integral = number.is_integer() and abs(number) <= MAX_EXACT_INTEGER
    return int(number) if integral else number
