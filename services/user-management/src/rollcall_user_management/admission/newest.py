"""The newest state of an aggregate: the row, and on it the admissions that are not yet in it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall_events import EVENT_TYPES
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp, User
from rollcall_user_management.readstore import ROLE_COLUMNS, USER_COLUMNS, role_of, user_of

# Unsettled admissions in version order, each with where it stands in the log if that is known.
_PENDING = """(SELECT coalesce(jsonb_agg(jsonb_build_object(
    'type', a.headers->>'ce_type', 'value', encode(a.value, 'base64'),
    'recorded_at', extract(epoch FROM a.recorded_at), 'partition', a.partition,
    'offset', a."offset") ORDER BY a.version), '[]')
  FROM admissions a WHERE a.key = cast(:id AS uuid) AND a.settled_at IS NULL
   AND a.headers->>'ce_subject' = :subject) AS pending"""

_USER = text(
    f"SELECT {USER_COLUMNS}, {_PENDING},"  # noqa: S608  (constants)
    " (SELECT coalesce(jsonb_object_agg(role_id, role_name), '{}') FROM user_roles"
    "  WHERE user_id = cast(:id AS uuid)) AS roles"
    " FROM (SELECT 1) one LEFT JOIN users u ON u.id = cast(:id AS uuid)"
)
_ROLE = text(
    f"SELECT {ROLE_COLUMNS}, {_PENDING}"  # noqa: S608  (constants)
    " FROM (SELECT 1) one LEFT JOIN roles r ON r.id = cast(:id AS uuid)"
)


@dataclass(frozen=True)
class Newest:
    """unsettled: some of the state is of admissions that the projection has not reached."""

    state: Aggregate
    unsettled: bool


def load(connection: Connection, aggregate: type[User] | type[Role], id_: str) -> Newest:
    """Row and unsettled admissions are read in one statement, or one could move to the other
    in between and count twice or not at all."""
    users = aggregate is User
    parameters = {"id": id_, "subject": f"{'users' if users else 'roles'}/{id_}"}
    row = connection.execute(_USER if users else _ROLE, parameters).one()
    state = _of_row(aggregate, id_, row)
    return Newest(_fold(state, row.pending), bool(row.pending))


def _of_row(aggregate: type[User] | type[Role], id_: str, row: Row[Any]) -> Aggregate:
    if row.version is None:
        return aggregate(id_)
    return user_of(id_, row, row.roles) if aggregate is User else role_of(id_, row)


def _fold(state: Aggregate, pending: Sequence[Mapping[str, Any]]) -> Aggregate:
    for admission in pending:
        message = EVENT_TYPES[admission["type"]].message()
        message.ParseFromString(base64.b64decode(admission["value"]))
        state = evolve(state, message, _stamp(admission))
    return state


def _stamp(admission: Mapping[str, Any]) -> Stamp:
    """An admission that is not known to be in the log has no place yet: now is the best guess,
    and nothing that is decided depends on it."""
    if admission["recorded_at"] is None:
        return Stamp(datetime.now(UTC), -1, -1)
    moment = datetime.fromtimestamp(float(admission["recorded_at"]), UTC)
    return Stamp(moment, admission["partition"], admission["offset"])
