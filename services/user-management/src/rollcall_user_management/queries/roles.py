"""Queries about roles."""

from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.domain.state import unique_key
from rollcall_user_management.queries import cursor
from rollcall_user_management.queries.fields import page_size
from rollcall_user_management.queries.parked import check_not_parked
from rollcall_user_management.readstore import ROLE_COLUMNS, role_of
from rollcall_user_management.representations import role_message

# As for e-mails: the earliest to set a name keeps it.
_CONFLICT = """EXISTS (SELECT 1 FROM roles o WHERE o.name_key = r.name_key AND o.id <> r.id
  AND o.deleted_at IS NULL AND r.name_key <> ''
  AND (o.name_since, o.name_partition, o.name_offset)
    < (r.name_since, r.name_partition, r.name_offset)) AS conflict"""

_SELECT = f"SELECT r.id::text AS id, r.name_key, {ROLE_COLUMNS}, {_CONFLICT} FROM roles r"  # noqa: S608  (constants)
_GET = text(f"{_SELECT} WHERE r.id = cast(:id AS uuid)")


def get_role(connection: Connection, request: pb.GetRoleRequest) -> pb.Role:
    """Raises SequenceParked, or NotFound with the moment of the deletion where there was one."""
    check_not_parked(connection, request.id)
    row = connection.execute(_GET, {"id": request.id}).one_or_none()
    if row is None or row.deleted_at is not None:
        raise NotFound("role", row.deleted_at if row else None)
    return _message(row)


def list_roles(connection: Connection, request: pb.ListRolesRequest) -> pb.ListRolesResponse:
    """A page of live roles by name. Raises InvalidField, InvalidCursor."""
    size = page_size(request.page_size)
    conditions = ["r.deleted_at IS NULL"]
    parameters: dict[str, Any] = {}
    if request.HasField("name"):
        conditions.append("r.name_key = :name")
        parameters["name"] = unique_key(request.name)
    question = sorted(parameters.items())
    if request.cursor:
        value, id_ = cursor.decode(request.cursor, question)
        conditions.append("(r.name_key, r.id) > (:after, cast(:after_id AS uuid))")
        parameters |= {"after": value, "after_id": id_}
    statement = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY r.name_key, r.id LIMIT :limit"
    rows = connection.execute(text(statement), parameters | {"limit": size + 1}).all()
    response = pb.ListRolesResponse(roles=[_message(row) for row in rows[:size]])
    if len(rows) > size:
        last = rows[size - 1]
        response.next_cursor = cursor.encode(question, last.name_key, last.id)
    return response


def _message(row: Row[Any]) -> pb.Role:
    return role_message(role_of(row.id, row), conflict=row.conflict)
