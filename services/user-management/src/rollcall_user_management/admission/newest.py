"""The newest state of an aggregate: the row, and on it the admissions that are not yet in it.

Row and unsettled admissions are read in one statement, or one could move to the other in between
and count twice or not at all.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from rollcall_events.upcasting import present_message
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp, User
from rollcall_user_management.readstore import ROLE_COLUMNS, role_of, user_of


def _pending(collection: str) -> str:
    """Unsettled admissions of `w.key` in version order, each with where it stands in the log if
    that is known; null where there are none."""
    return f"""(SELECT jsonb_agg(jsonb_build_object(
    'type', p.headers->>'ce_type', 'value', encode(p.value, 'base64'),
    'recorded_at', extract(epoch FROM p.recorded_at), 'partition', p.partition,
    'offset', p."offset", 'appended', p.appended_at IS NOT NULL) ORDER BY p.version)
  FROM admissions p WHERE p.key = w.key AND p.settled_at IS NULL AND p.version > 0
   AND p.headers->>'ce_subject' = {collection} || '/' || w.key) AS pending"""  # noqa: S608  (constants)


# Parts of a statement over `w (key, collection)` and `users u`.
PENDING = _pending("w.collection")
_PENDING_ROLE = _pending("'roles'")
USER_ROLES = (
    "(SELECT jsonb_object_agg(role_id, role_name) FROM user_roles WHERE user_id = u.id) AS roles"
)
ROLES = (
    f"SELECT w.key::text AS id, {ROLE_COLUMNS}, {_PENDING_ROLE}"  # noqa: S608  (constants)
    " FROM unnest($1) AS w (key) LEFT JOIN roles r ON r.id = w.key"
)


@dataclass(frozen=True)
class Newest:
    """settled: as the projection has it. pending: admissions that it has not reached, in order."""

    settled: User | Role
    pending: Sequence[Mapping[str, Any]]

    @cached_property
    def state(self) -> User | Role:
        """After the pending admissions. Folded when it is asked for: whatever is wrong with one of
        them is the trouble of the command that needs it."""
        state = self.settled
        for admission in self.pending:
            message = present_message(admission["type"], base64.b64decode(admission["value"]))
            state = evolve(state, message, _stamp(admission))
        return state

    @property
    def busy(self) -> bool:
        """Whether an admission is not known to be in the log."""
        return not all(admission["appended"] for admission in self.pending)

    @property
    def unsettled(self) -> bool:
        return bool(self.pending)


def newest_user(id_: str, row: Any) -> Newest:
    user = User(id_) if row.version is None else user_of(id_, row, row.roles or {})
    return Newest(user, row.pending or ())


def newest_role(id_: str, row: Any) -> Newest:
    role = Role(id_) if row.version is None else role_of(id_, row)
    return Newest(role, row.pending or ())


def _stamp(admission: Mapping[str, Any]) -> Stamp:
    """An admission that is not known to be in the log has no place yet: now is the best guess,
    and nothing that is decided depends on it."""
    if admission["recorded_at"] is None:
        return Stamp(datetime.now(UTC), -1, -1)
    moment = datetime.fromtimestamp(float(admission["recorded_at"]), UTC)
    return Stamp(moment, admission["partition"], admission["offset"])
