"""Users and roles as the published messages show them."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events import EVENT_TYPES
from rollcall_user_management.domain.attributes import to_struct
from rollcall_user_management.domain.state import Role, User

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def user_message(user: User, *, conflict: bool = False) -> pb.User:
    references = sorted(user.roles.items(), key=lambda role: (role[1], role[0]))
    return pb.User(
        id=user.id,
        email=user.email,
        name=user.name,
        locale=user.locale,
        attributes=to_struct(user.attributes),
        status=user.status,
        conflict=conflict,
        roles=[pb.RoleReference(id=id_, name=name) for id_, name in references],
        version=user.version,
        created_at=timestamp(user.created_at),
        updated_at=timestamp(user.updated_at),
        last_login_at=timestamp(user.last_login_at),
    )


def role_message(role: Role, *, conflict: bool = False) -> pb.Role:
    return pb.Role(
        id=role.id,
        name=role.name,
        description=role.description,
        permissions=role.permissions,
        version=role.version,
        created_at=timestamp(role.created_at),
        updated_at=timestamp(role.updated_at),
        conflict=conflict,
    )


def subject_of(type_name: str | None, key: str) -> str | None:
    """The aggregate of an event; None for a type that is not known here."""
    type_ = EVENT_TYPES.get(type_name or "")
    return f"{type_.collection}/{key}" if type_ else None


def timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    # FromDatetime is three times as slow, which a long page of the history feels.
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1_000)
