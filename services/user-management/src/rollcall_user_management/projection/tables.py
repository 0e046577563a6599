"""The projection's reading and writing of the read store, many rows a statement."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rollcall_events import Event, RawRecord, Statement
from rollcall_events.postgres import Wire, array
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import Role, Stamp, User, unique_key
from rollcall_user_management.history import state_of, to_json
from rollcall_user_management.projection.spans import Spans
from rollcall_user_management.readstore import ROLE_COLUMNS, USER_COLUMNS, role_of, user_of

Row = tuple[Any, ...]

# What is written of a row, each column with its type; `verification` compares the same.
_STAMP = {"recorded_at": "timestamptz", "partition": "int", "offset": "bigint"}
USER = {
    "id": "uuid",
    "version": "bigint",
    "email": "text",
    "email_key": "text",
    "name": "text",
    "locale": "text",
    "attributes": "jsonb",
    "status": "smallint",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "deleted_at": "timestamptz",
    "last_login_at": "timestamptz",
    "email_since": "timestamptz",
    "email_partition": "int",
    "email_offset": "bigint",
    **{f"last_{name}": type_ for name, type_ in _STAMP.items()},
}
ROLE = {
    "id": "uuid",
    "version": "bigint",
    "name": "text",
    "name_key": "text",
    "description": "text",
    "permissions": "text[]",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "deleted_at": "timestamptz",
    "name_since": "timestamptz",
    "name_partition": "int",
    "name_offset": "bigint",
    **{f"last_{name}": type_ for name, type_ in _STAMP.items()},
}
HISTORY = {
    "partition": "int",
    '"offset"': "bigint",
    "key": "uuid",
    "event_id": "uuid",
    "type": "text",
    "version": "bigint",
    "rejected": "text",
    "recorded_at": "timestamptz",
    "occurred_at": "timestamptz",
    "source": "text",
    "actor": "text",
    "correlation_id": "text",
    "causation_id": "text",
    "changes": "jsonb",
    "state": "jsonb",
    "value_key": "text",
    "named": "text",
}
USER_ROLE = {"user_id": "uuid", "role_id": "uuid", "role_name": "text"}
ASSIGNMENT = {
    **USER_ROLE,
    "user_created_at": "timestamptz",
    "since": "timestamptz",
    "since_offset": "bigint",
    "until": "timestamptz",
    "until_offset": "bigint",
}


def _insert(name: str, table: str, columns: Mapping[str, str], key: Collection[str] = ()) -> str:
    """A prepared statement of that name, which takes an array for each column. key: the columns by
    which a row is known, if it may be there already and has to become as it is given."""
    changed = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
    conflict = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}" if key else ""
    # An array of arrays would be one of their elements, so they come as texts.
    taken = ", ".join("text[]" if t.endswith("[]") else f"{t}[]" for t in columns.values())
    given = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    values = ", ".join(f"r.{c}::{t}" if t.endswith("[]") else f"r.{c}" for c, t in columns.items())
    return (
        f"PREPARE {name} ({taken}) AS INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608  (constants)
        f" SELECT {values} FROM unnest({given}) AS r ({', '.join(columns)}){conflict};"
    )


PREPARE = f"""
PREPARE load_users (uuid[]) AS
  SELECT u.id::text AS id, {USER_COLUMNS}, (SELECT coalesce(jsonb_object_agg(role_id,
    role_name), '{{}}') FROM user_roles WHERE user_id = u.id) AS roles
  FROM users u WHERE u.id = ANY ($1);
PREPARE load_roles (uuid[]) AS
  SELECT r.id::text AS id, {ROLE_COLUMNS} FROM roles r WHERE r.id = ANY ($1);
PREPARE unassign (uuid[], uuid[]) AS
  DELETE FROM user_roles t USING unnest($1, $2) AS v (user_id, role_id)
  WHERE t.user_id = v.user_id AND t.role_id = v.role_id;
{_insert("save_users", "users", USER, ["id"])}
{_insert("save_roles", "roles", ROLE, ["id"])}
{_insert("assign", "user_roles", USER_ROLE, ["user_id", "role_id"])}
{_insert("save_history", "history", HISTORY)}
{_insert("save_assignments", "assignments", ASSIGNMENT)}
PREPARE end_assignments (uuid[], uuid[], timestamptz[], bigint[]) AS
  UPDATE assignments t SET until = v.until, until_offset = v.until_offset
  FROM unnest($1, $2, $3, $4) AS v (user_id, role_id, until, until_offset)
  WHERE t.user_id = v.user_id AND t.role_id = v.role_id AND t.until IS NULL;
"""  # noqa: S608  (constants)


def load_users(wire: Wire, ids: Collection[str]) -> dict[str, Aggregate]:
    rows = wire.send("EXECUTE load_users (%s)", (array(ids),)) if ids else ()
    return {row.id: user_of(row.id, row, row.roles) for row in rows}


def load_roles(wire: Wire, ids: Collection[str]) -> dict[str, Aggregate]:
    rows = wire.send("EXECUTE load_roles (%s)", (array(ids),)) if ids else ()
    return {row.id: role_of(row.id, row) for row in rows}


def saving_users(
    before: Mapping[str, Aggregate], after: Mapping[str, Aggregate]
) -> Iterator[Statement]:
    users = [u for u in after.values() if isinstance(u, User)]
    yield from _many("save_users", [user_row(u) for u in users])
    gone, new = list[Row](), list[Row]()
    for user in users:
        held = before[user.id]
        assert isinstance(held, User)
        gone += [(user.id, role) for role in held.roles.keys() - user.roles.keys()]
        new += [(user.id, r, name) for r, name in user.roles.items() if held.roles.get(r) != name]
    yield from _many("unassign", gone)
    yield from _many("assign", new)


def saving_roles(after: Mapping[str, Aggregate]) -> Iterator[Statement]:
    yield from _many("save_roles", [role_row(r) for r in after.values() if isinstance(r, Role)])


def saving_history(rows: Sequence[Row]) -> Iterator[Statement]:
    yield from _many("save_history", rows)


def saving_assignments(spans: Spans) -> Iterator[Statement]:
    """Spans that ended are written first: one that began again is another."""
    yield from _many("end_assignments", spans.ended)
    yield from _many("save_assignments", [span.row() for span in spans.begun])


def applied_row(
    event: Event,
    before: Aggregate,
    after: Aggregate,
    version: int | None,
    changed: list[dict[str, Any]],
) -> Row:
    """The history of an event that the aggregate went through."""
    assert after.last is not None
    return (
        *_event_columns(event, after.last.recorded_at, version, None, to_json(changed)),
        state_of(after),
        _new_value_key(after),
        _new_names(before, after),
    )


def rejected_row(event: Event, recorded_at: datetime, reason: str) -> Row:
    return (*_event_columns(event, recorded_at, None, reason, "[]"), None, None, None)


def undecodable_row(record: RawRecord, reason: str) -> Row:
    """Of a record that is no event: nothing of it can be trusted but the place."""
    unknown = [None] * 4
    return (
        *(record.partition, record.offset, None, None, None, None, reason, record.recorded_at),
        *(None, *unknown, "[]", None, None, None),
    )


def _event_columns(
    event: Event, recorded_at: datetime, version: int | None, rejected: str | None, changed: str
) -> Row:
    return (
        event.position.partition,
        event.position.offset,
        event.key,
        event.id,
        event.type,
        version,
        rejected,
        recorded_at,
        event.time,
        event.source,
        event.actor,
        event.correlation_id,
        event.causation_id,
        changed,
    )


def _new_value_key(after: Aggregate) -> str | None:
    """The key of the e-mail or role name that this event set."""
    if isinstance(after, User):
        return unique_key(after.email) if after.email_since == after.last else None
    return unique_key(after.name) if after.name_since == after.last else None


def _new_names(before: Aggregate, after: Aggregate) -> str | None:
    """What a user can be found by, where this event set either."""
    if not (isinstance(before, User) and isinstance(after, User)):
        return None
    same = before.version and before.name == after.name and before.email == after.email
    return None if same else f"{after.name}\n{after.email}"


def user_row(user: User) -> Row:
    return (
        user.id,
        user.version,
        user.email,
        unique_key(user.email),
        user.name,
        user.locale,
        to_json(user.attributes),
        user.status,
        user.created_at,
        user.updated_at,
        user.deleted_at,
        user.last_login_at,
        *_columns(user.email_since),
        *_columns(user.last),
    )


def role_row(role: Role) -> Row:
    return (
        role.id,
        role.version,
        role.name,
        unique_key(role.name),
        role.description,
        array(role.permissions),
        role.created_at,
        role.updated_at,
        role.deleted_at,
        *_columns(role.name_since),
        *_columns(role.last),
    )


def _columns(stamp: Stamp | None) -> Row:
    assert stamp is not None
    return (stamp.recorded_at, stamp.partition, stamp.offset)


def _many(name: str, rows: Sequence[Row]) -> Iterator[Statement]:
    """Execute a prepared statement with the rows' columns, if there are rows."""
    if rows:
        columns = [array(column) for column in zip(*rows, strict=True)]
        yield f"EXECUTE {name} ({', '.join(['%s'] * len(columns))})", columns
