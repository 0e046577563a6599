"""The read store's tables, in a schema per generation, and the two aggregates in and out of it.

Generation n lives in the schema user_management_g<n>; the table user_management.generations
says which one is live. The tables are made by hand here and not by Alembic, because a new
generation is made while the one before is in use.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from rollcall_events.schema import CREATE_V1, CREATE_V2
from rollcall_user_management.domain.attributes import as_numbers
from rollcall_user_management.domain.state import Role, Stamp, User

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
    "CREATE INDEX users_created ON users (created_at, id) WHERE deleted_at IS NULL",
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
    # Every event of every aggregate by position; rejected ones with the reason and no version.
    """CREATE TABLE history (
         partition integer NOT NULL, "offset" bigint NOT NULL,
         key uuid NOT NULL, event_id uuid NOT NULL, type text NOT NULL,
         version bigint, rejected text,
         recorded_at timestamptz NOT NULL, occurred_at timestamptz NOT NULL,
         source text NOT NULL, actor text, correlation_id text, causation_id text,
         changes jsonb NOT NULL,
         PRIMARY KEY (partition, "offset"))""",
    'CREATE INDEX history_key ON history (key, partition, "offset")',
    # Records that are no event of the topic: nothing of them can be trusted but the place.
    """CREATE TABLE undecodable (
         partition integer NOT NULL, "offset" bigint NOT NULL, reason text NOT NULL,
         recorded_at timestamptz NOT NULL,
         PRIMARY KEY (partition, "offset"))""",
)


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
                text("INSERT INTO user_management.generations (number, live) VALUES (1, true)")
            )
        return schema_of(number)


def schema_of(number: int) -> str:
    return f"user_management_g{number}"


def create(connection: Connection, number: int) -> None:
    """Make the schema and tables of a generation, empty."""
    schema = schema_of(number)
    connection.execute(text(f"CREATE SCHEMA {schema}"))
    connection.execute(text(f"SET LOCAL search_path = {schema}"))
    for statement in (*CREATE_V1, *CREATE_V2, *TABLES):
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
