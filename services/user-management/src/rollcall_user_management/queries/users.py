"""Queries about users."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.domain.state import unique_key
from rollcall_user_management.queries import cursor
from rollcall_user_management.queries.fields import InvalidField, page_size
from rollcall_user_management.queries.parked import check_not_parked
from rollcall_user_management.readstore import USER_COLUMNS, user_of
from rollcall_user_management.representations import user_message

# A role is shown by its present name; one that was deleted is not shown, and one that has not
# been read yet (another partition) by the name it had when it was assigned.
_ROLES = """(SELECT coalesce(jsonb_object_agg(a.role_id, coalesce(r.name, a.role_name)), '{}')
  FROM user_roles a LEFT JOIN roles r ON r.id = a.role_id
 WHERE a.user_id = u.id AND r.deleted_at IS NULL) AS roles"""

# The earliest to set an e-mail keeps it; which partition was read first does not matter.
_CONFLICT = """EXISTS (SELECT 1 FROM users o WHERE o.email_key = u.email_key AND o.id <> u.id
  AND o.deleted_at IS NULL AND u.email_key <> ''
  AND (o.email_since, o.email_partition, o.email_offset)
    < (u.email_since, u.email_partition, u.email_offset)) AS conflict"""

_SELECT = (
    f"SELECT u.id::text AS id, u.email_key, {USER_COLUMNS}, {_ROLES}, {_CONFLICT} FROM users u"  # noqa: S608  (constants)
)
_GET = text(f"{_SELECT} WHERE u.id = cast(:id AS uuid)")

# What a list can be ordered by → the expression, and the type a cursor's value is read as.
_ORDERS = {
    "created_at": ("u.created_at", "timestamptz"),
    "updated_at": ("u.updated_at", "timestamptz"),
    "email": ("u.email_key", "text"),
    "name": ("u.name", "text"),
}

_HAS_ROLE = """EXISTS (SELECT 1 FROM user_roles a LEFT JOIN roles r ON r.id = a.role_id
  WHERE a.user_id = u.id AND r.deleted_at IS NULL AND (a.role_id::text = :role
     OR r.name_key = :role_key OR (r.id IS NULL AND a.role_name = :role)))"""


def get_user(connection: Connection, request: pb.GetUserRequest) -> pb.User:
    """Raises SequenceParked, or NotFound with the moment of the deletion where there was one."""
    check_not_parked(connection, request.id)
    row = connection.execute(_GET, {"id": request.id}).one_or_none()
    if row is None or row.deleted_at is not None:
        raise NotFound("user", row.deleted_at if row else None)
    return _message(row)


def list_users(connection: Connection, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """A page of live users. Raises InvalidField, InvalidCursor."""
    size = page_size(request.page_size)
    order = request.order_by or "created_at"
    name = order.removeprefix("-")
    if name not in _ORDERS:
        raise InvalidField("order_by", f"must be one of {', '.join(_ORDERS)}, or - before it")
    column, kind = _ORDERS[name]
    conditions, parameters = _filters(request)
    question = [sorted(parameters.items()), order]
    if request.cursor:
        value, id_ = cursor.decode(request.cursor, question)
        conditions.append(
            f"({column}, u.id) {'<' if order != name else '>'}"
            f" (cast(:after AS {kind}), cast(:after_id AS uuid))"
        )
        parameters |= {"after": value, "after_id": id_}
    direction = "DESC" if order != name else "ASC"
    statement = (
        f"{_SELECT} WHERE {' AND '.join(conditions)}"
        f" ORDER BY {column} {direction}, u.id {direction} LIMIT :limit"
    )
    rows = connection.execute(text(statement), parameters | {"limit": size + 1}).all()
    response = pb.ListUsersResponse(users=[_message(row) for row in rows[:size]])
    if len(rows) > size:
        last = rows[size - 1]
        response.next_cursor = cursor.encode(question, _sort_value(last, name), last.id)
    return response


def _filters(request: pb.ListUsersRequest) -> tuple[list[str], dict[str, Any]]:
    conditions = ["u.deleted_at IS NULL"]
    parameters: dict[str, Any] = {}
    if request.HasField("query"):
        conditions.append("(u.name ILIKE :pattern OR u.email ILIKE :pattern)")
        parameters["pattern"] = f"%{_escaped(request.query)}%"
    if request.HasField("email"):
        conditions.append("u.email_key = :email")
        parameters["email"] = unique_key(request.email)
    if request.HasField("role"):
        conditions.append(_HAS_ROLE)
        parameters |= {"role": request.role, "role_key": unique_key(request.role)}
    if request.status:
        conditions.append("u.status = :status")
        parameters["status"] = request.status
    return conditions, parameters


def _escaped(text_: str) -> str:
    return text_.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _sort_value(row: Row[Any], name: str) -> str:
    if name == "email":
        return str(row.email_key)
    value = getattr(row, name)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _message(row: Row[Any]) -> pb.User:
    return user_message(user_of(row.id, row, row.roles), conflict=row.conflict)
