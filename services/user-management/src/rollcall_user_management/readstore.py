"""The read store's tables, in a schema per generation, and the two aggregates in and out of it.

Generation n lives in the schema user_management_g<n>; the table user_management.generations
says which one is live (generations/table.py). The tables are made by hand here and not by Alembic,
because a new generation is made while the one before is in use.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from rollcall_events.schema import CREATE_MOMENTS_V1, CREATE_V1, CREATE_V2
from rollcall_user_management.domain.attributes import as_numbers
from rollcall_user_management.domain.state import Role, Stamp, User

LAYOUT = 3  # of TABLES: a release that changes them fills a generation of its own

TABLES = (
    # email_since, last: append time, partition and offset of the event that set the e-mail, and
    # of the newest one. A deleted user's row stays and says when.
    """CREATE TABLE users (
         id uuid PRIMARY KEY, version bigint NOT NULL, email text NOT NULL,
         email_key text NOT NULL, name text NOT NULL, locale text NOT NULL,
         attributes jsonb NOT NULL, status smallint NOT NULL,
         created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
         deleted_at timestamptz, last_login_at timestamptz,
         email_since timestamptz NOT NULL, email_partition integer NOT NULL,
         email_offset bigint NOT NULL,
         last_recorded_at timestamptz NOT NULL, last_partition integer NOT NULL,
         last_offset bigint NOT NULL)""",
    "CREATE INDEX users_email_key ON users USING hash (email_key) WHERE deleted_at IS NULL",
    # Of deleted users too, who are in the lists of the moments before.
    "CREATE INDEX users_created ON users (created_at, id)",
    """CREATE TABLE user_roles (
         user_id uuid NOT NULL, role_id uuid NOT NULL, role_name text NOT NULL,
         PRIMARY KEY (user_id, role_id))""",
    "CREATE INDEX user_roles_role ON user_roles (role_id)",
    """CREATE TABLE roles (
         id uuid PRIMARY KEY, version bigint NOT NULL, name text NOT NULL,
         name_key text NOT NULL, description text NOT NULL, permissions text[] NOT NULL,
         created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
         deleted_at timestamptz,
         name_since timestamptz NOT NULL, name_partition integer NOT NULL,
         name_offset bigint NOT NULL,
         last_recorded_at timestamptz NOT NULL, last_partition integer NOT NULL,
         last_offset bigint NOT NULL)""",
    "CREATE INDEX roles_name_key ON roles USING hash (name_key) WHERE deleted_at IS NULL",
    # Every span of time in which a user held a role, by the events that began and ended it.
    # user_created_at: so that those who hold a role are found in the order of lists.
    """CREATE TABLE assignments (
         user_id uuid NOT NULL, role_id uuid NOT NULL, role_name text NOT NULL,
         user_created_at timestamptz NOT NULL,
         since timestamptz NOT NULL, since_offset bigint NOT NULL,
         until timestamptz, until_offset bigint,
         PRIMARY KEY (user_id, role_id, since_offset))""",
    "CREATE INDEX assignments_role ON assignments (role_id, user_created_at, user_id)",
    "CREATE INDEX assignments_name ON assignments (role_name, role_id)",
    # Every record of the log by position, with what it came to. Rejected ones have a reason and no
    # version; those that are no event have nothing else that can be trusted. recorded_at:
    # monotonic within an aggregate, so that the state at a moment is one search of an index.
    # state: of the aggregate after the event (`history.py`). value_key, named: only where the
    # event set another value, so that searching by one does not meet every event of its holder.
    """CREATE TABLE history (
         partition integer NOT NULL, "offset" bigint NOT NULL,
         key uuid, event_id uuid, type text, version bigint, rejected text,
         recorded_at timestamptz NOT NULL, occurred_at timestamptz,
         source text, actor text, correlation_id text, causation_id text,
         changes jsonb NOT NULL, state jsonb, value_key text, named text,
         PRIMARY KEY (partition, "offset"))""",
    'CREATE INDEX history_key ON history (key, recorded_at, "offset")',
    "CREATE UNIQUE INDEX history_version ON history (key, version) WHERE version IS NOT NULL",
    'CREATE INDEX history_recorded ON history (recorded_at, partition, "offset")',
    'CREATE INDEX history_type ON history (type, recorded_at, partition, "offset")',
    """CREATE INDEX history_actor ON history (actor, recorded_at, partition, "offset")
         WHERE actor IS NOT NULL""",
    # By its hash, since a key may be longer than an entry of a B-tree.
    "CREATE INDEX history_value ON history USING hash (value_key) WHERE value_key IS NOT NULL",
    """CREATE INDEX history_named ON history USING gin (named user_management.gin_trgm_ops)
         WHERE named IS NOT NULL""",
)


class NotServing(LookupError):
    """Nothing was done: this replica does not serve the live generation. The message says why."""


def live_schema(engine: Engine) -> str:
    """The schema of the live generation; the first is made where there is none."""
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE user_management.generations IN EXCLUSIVE MODE"))
        number = connection.execute(
            text("SELECT number FROM user_management.generations WHERE live")
        ).scalar()
        if number is None:
            number = 1
            create(connection, number)
            connection.execute(
                text(
                    "INSERT INTO user_management.generations (number, state, layout)"
                    " VALUES (1, 'live', :layout)"
                ),
                {"layout": LAYOUT},
            )
        return schema_of(number)


def schema_of(number: int) -> str:
    return f"user_management_g{number}"


def number_of(schema: str) -> int:
    return int(schema.rpartition("_g")[2])


def group_of(number: int) -> str:
    """The consumer group that fills a generation."""
    return "user-management" if number == 1 else f"user-management-g{number}"


def create(connection: Connection, number: int) -> None:
    """Make the schema and tables of a generation, empty."""
    schema = schema_of(number)
    connection.execute(text(f"CREATE SCHEMA {schema}"))
    connection.execute(text(f"SET LOCAL search_path = {schema}"))
    for statement in (*CREATE_V1, *CREATE_V2, *CREATE_MOMENTS_V1, *TABLES):
        connection.execute(text(statement))


USER_COLUMNS = (
    "u.version, u.email, u.name, u.locale, u.attributes, u.status, u.created_at, u.updated_at,"
    " u.deleted_at, u.last_login_at, u.email_since, u.email_partition, u.email_offset,"
    " u.last_recorded_at, u.last_partition, u.last_offset"
)
ROLE_COLUMNS = (
    "r.version, r.name, r.description, r.permissions, r.created_at, r.updated_at, r.deleted_at,"
    " r.name_since, r.name_partition, r.name_offset,"
    " r.last_recorded_at, r.last_partition, r.last_offset"
)


def user_of(id_: str, row: Row[Any], roles: Mapping[str, str]) -> User:
    """The user of a row with USER_COLUMNS; `roles` are its assignments, id → name."""
    return User(
        id=id_,
        version=row.version,
        email=row.email,
        name=row.name,
        locale=row.locale,
        attributes=as_numbers(row.attributes),
        status=row.status,
        roles=roles,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        last_login_at=row.last_login_at,
        email_since=Stamp(row.email_since, row.email_partition, row.email_offset),
        last=Stamp(row.last_recorded_at, row.last_partition, row.last_offset),
    )


def role_of(id_: str, row: Row[Any]) -> Role:
    """The role of a row with ROLE_COLUMNS."""
    return Role(
        id=id_,
        version=row.version,
        name=row.name,
        description=row.description,
        permissions=tuple(row.permissions),
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        name_since=Stamp(row.name_since, row.name_partition, row.name_offset),
        last=Stamp(row.last_recorded_at, row.last_partition, row.last_offset),
    )
