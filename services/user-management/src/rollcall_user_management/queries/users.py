"""Queries about users."""

from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.domain.state import unique_key
from rollcall_user_management.queries import past
from rollcall_user_management.queries.listing import (
    Listing,
    Orders,
    page_of,
    pattern_of,
    searching,
)
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

_COLUMNS = f"u.id::text AS id, {USER_COLUMNS}, {_ROLES}, {_CONFLICT}"
_FROM = "FROM users u"
_GET = text(f"SELECT {_COLUMNS} {_FROM} WHERE u.id = cast(:id AS uuid)")

# What a list can be ordered by → the expression, and the type a cursor's value is read as.
_ORDERS: Orders = {
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
    if request.WhichOneof("as_of"):
        return past.get_user(connection, request)
    row = connection.execute(_GET, {"id": request.id}).one_or_none()
    if row is None or row.deleted_at is not None:
        raise NotFound("user", row.deleted_at if row else None)
    return _message(row)


def list_users(connection: Connection, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """A page of live users. Raises InvalidField, InvalidCursor."""
    if request.HasField("at"):
        return page_of(connection, request, past.listing(connection, request))
    conditions, parameters = _filters(request)
    listing = Listing(_COLUMNS, "", _FROM, "u.id", _ORDERS, conditions, parameters, _message)
    return page_of(connection, request, listing)


def _filters(request: pb.ListUsersRequest) -> tuple[list[str], dict[str, Any]]:
    conditions = ["u.deleted_at IS NULL"]
    parameters: dict[str, Any] = {}
    if request.HasField("query"):
        conditions += [
            *searching(request.query),
            "(u.name ILIKE :pattern OR u.email ILIKE :pattern)",
        ]
        parameters["pattern"] = pattern_of(request.query)
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


def _message(row: Row[Any]) -> pb.User:
    return user_message(user_of(row.id, row, row.roles), conflict=row.conflict)
