"""The projection's reading and writing of the read store, many rows a statement."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg2.extensions
from psycopg2.extras import Json, execute_values
from sqlalchemy import Connection, text

from rollcall_events import Event, Rejection
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import Role, Stamp, User, unique_key
from rollcall_user_management.readstore import ROLE_COLUMNS, USER_COLUMNS, role_of, user_of

_USERS = text(
    f"SELECT u.id::text AS id, {USER_COLUMNS}, (SELECT coalesce(jsonb_object_agg(role_id,"  # noqa: S608  (constants)
    " role_name), '{}') FROM user_roles WHERE user_id = u.id) AS roles"
    " FROM users u WHERE u.id = ANY (cast(:ids AS uuid[]))"
)
_ROLES = text(
    f"SELECT r.id::text AS id, {ROLE_COLUMNS} FROM roles r"  # noqa: S608  (constants)
    " WHERE r.id = ANY (cast(:ids AS uuid[]))"
)


def load_users(connection: Connection, ids: Collection[str]) -> dict[str, Aggregate]:
    rows = connection.execute(_USERS, {"ids": list(ids)}) if ids else ()
    return {row.id: user_of(row.id, row, row.roles) for row in rows}


def load_roles(connection: Connection, ids: Collection[str]) -> dict[str, Aggregate]:
    rows = connection.execute(_ROLES, {"ids": list(ids)}) if ids else ()
    return {row.id: role_of(row.id, row) for row in rows}


_USER_FIELDS = (
    "id, version, email, email_key, name, locale, attributes, status, created_at, updated_at,"
    " deleted_at, last_login_at, email_since, email_partition, email_offset,"
    " last_recorded_at, last_partition, last_offset"
)
_ROLE_FIELDS = (
    "id, version, name, name_key, description, permissions, created_at, updated_at, deleted_at,"
    " name_since, name_partition, name_offset, last_recorded_at, last_partition, last_offset"
)
_HISTORY_FIELDS = (
    'partition, "offset", key, event_id, type, version, rejected, recorded_at, occurred_at,'
    " source, actor, correlation_id, causation_id, changes"
)


def save_users(
    connection: Connection, before: Mapping[str, Aggregate], after: Mapping[str, Aggregate]
) -> None:
    users = [u for u in after.values() if isinstance(u, User)]
    _upsert(connection, "users", _USER_FIELDS, [_user_row(u) for u in users])
    gone, new = [], []
    for user in users:
        held = before[user.id]
        assert isinstance(held, User)
        gone += [(user.id, role) for role in held.roles.keys() - user.roles.keys()]
        new += [(user.id, r, name) for r, name in user.roles.items() if r not in held.roles]
    _many(
        connection,
        "DELETE FROM user_roles t USING (VALUES %s) AS v (user_id, role_id)"
        " WHERE t.user_id = v.user_id::uuid AND t.role_id = v.role_id::uuid",
        gone,
    )
    _many(connection, "INSERT INTO user_roles (user_id, role_id, role_name) VALUES %s", new)


def save_roles(connection: Connection, after: Mapping[str, Aggregate]) -> None:
    roles = [r for r in after.values() if isinstance(r, Role)]
    _upsert(connection, "roles", _ROLE_FIELDS, [_role_row(r) for r in roles])


def save_history(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    _many(connection, f"INSERT INTO history ({_HISTORY_FIELDS}) VALUES %s", rows)  # noqa: S608  (constants)


def save_undecodable(connection: Connection, rejections: Sequence[Rejection]) -> None:
    rows = [
        (r.record.partition, r.record.offset, r.reason, r.record.recorded_at) for r in rejections
    ]
    _many(
        connection,
        'INSERT INTO undecodable (partition, "offset", reason, recorded_at) VALUES %s',
        rows,
    )


def history_row(
    event: Event,
    stamp: Stamp,
    version: int | None,
    rejected: str | None,
    changed: list[dict[str, Any]],
) -> tuple[Any, ...]:
    return (
        stamp.partition,
        stamp.offset,
        event.key,
        event.id,
        event.type,
        version,
        rejected,
        stamp.recorded_at,
        event.time,
        event.source,
        event.actor,
        event.correlation_id,
        event.causation_id,
        Json(changed),
    )


def _user_row(user: User) -> tuple[Any, ...]:
    return (
        user.id,
        user.version,
        user.email,
        unique_key(user.email),
        user.name,
        user.locale,
        Json(user.attributes),
        user.status,
        user.created_at,
        user.updated_at,
        user.deleted_at,
        user.last_login_at,
        *_columns(user.email_since),
        *_columns(user.last),
    )


def _role_row(role: Role) -> tuple[Any, ...]:
    return (
        role.id,
        role.version,
        role.name,
        unique_key(role.name),
        role.description,
        list(role.permissions),
        role.created_at,
        role.updated_at,
        role.deleted_at,
        *_columns(role.name_since),
        *_columns(role.last),
    )


def _columns(stamp: Stamp | None) -> tuple[Any, ...]:
    assert stamp is not None
    return (stamp.recorded_at, stamp.partition, stamp.offset)


def _upsert(connection: Connection, table: str, fields: str, rows: list[tuple[Any, ...]]) -> None:
    names = [name.strip() for name in fields.split(",")][1:]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names)
    _many(
        connection,
        f"INSERT INTO {table} ({fields}) VALUES %s ON CONFLICT (id) DO UPDATE SET {changed}",  # noqa: S608  (constants)
        rows,
    )


def _many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg2.extensions.connection)
        with driver.cursor() as cursor:
            execute_values(cursor, statement, rows, page_size=1_000)
