"""Rows that should be, compared by Postgres with those that are, as they would be written.

Both sides become values of the same types there, so that what is equal to Postgres is equal here:
a number in JSON, whatever its notation, or a moment.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from rollcall_events.postgres import array
from rollcall_user_management.projection import tables
from rollcall_user_management.projection.tables import Row


@dataclass(frozen=True)
class Table:
    """columns: with their types. identity: those that a row is known by. key: the column with the
    user's or role's id, if there is one."""

    name: str
    columns: Mapping[str, str]
    identity: Sequence[str]
    key: str = ""


_INBOX = {"key": "uuid", "event_id": "uuid", "partition": "int", '"offset"': "bigint"}
_AGGREGATES = {"key": "uuid", "collection": "text", "live": "boolean"}
_OFFSETS = {
    "topic": "text",
    "partition": "int",
    "next_offset": "bigint",
    "topic_id": "text",
    "recorded_at": "timestamptz",
}

HISTORY = Table("history", tables.HISTORY, ["partition", '"offset"'], "key")
OFFSETS = Table("offsets", _OFFSETS, ["topic", "partition"])

# What is compared when a partition was read to its end, by keys.
USERS = Table("users", tables.USER, ["id"], "id")
ROLES = Table("roles", tables.ROLE, ["id"], "id")
USER_ROLES = Table("user_roles", tables.USER_ROLE, ["user_id", "role_id"], "user_id")
ASSIGNMENTS = Table(
    "assignments", tables.ASSIGNMENT, ["user_id", "role_id", "since_offset"], "user_id"
)
INBOX = Table("inbox", _INBOX, ["key", "event_id"], "key")
AGGREGATES = Table("aggregates", _AGGREGATES, ["key"], "key")
QUOTES = '"'  # around a column whose name is a word of SQL

BY_KEY = (USERS, ROLES, USER_ROLES, ASSIGNMENTS, INBOX, AGGREGATES)


@dataclass(frozen=True)
class Unlike:
    """A row that is not as it should be. columns: those that differ, if there are both rows."""

    table: Table
    expected: Mapping[str, Any] | None
    found: Mapping[str, Any] | None
    columns: Sequence[str] = ()

    @property
    def row(self) -> Mapping[str, Any]:
        return self.expected or self.found or {}


def history(
    connection: Connection, rows: Sequence[Row], partition: int, first: int, last: int
) -> Iterator[Unlike]:
    """rows: what should be at the offsets from `first` to `last` of a partition."""
    scope = 'partition = %s AND "offset" BETWEEN %s AND %s'
    return _compare(connection, HISTORY, rows, scope, (partition, first, last))


def of_keys(
    connection: Connection, table: Table, rows: Iterable[Row], keys: Sequence[str]
) -> Iterator[Unlike]:
    """rows: what should be of these keys."""
    return _compare(connection, table, rows, f"{table.key} = ANY (%s::uuid[])", (array(keys),))


def offsets(connection: Connection, rows: Sequence[Row]) -> Iterator[Unlike]:
    return _compare(connection, OFFSETS, rows, "true", ())


def unexpected(connection: Connection, table: Table, condition: str) -> Iterator[Unlike]:
    """Rows that should not be. condition: on the table as f."""
    asked = f"SELECT to_jsonb(f)::text AS found FROM {table.name} f WHERE {condition}"  # noqa: S608  (constants)
    for row in connection.exec_driver_sql(asked):
        yield Unlike(table, None, json.loads(row.found))


def _compare(
    connection: Connection, table: Table, rows: Iterable[Row], scope: str, of: Sequence[Any]
) -> Iterator[Unlike]:
    given = [array(column) for column in zip(*rows, strict=True)] or ["{}"] * len(table.columns)
    for row in connection.exec_driver_sql(_statement(table, scope), (*given, *of)).all():
        expected, found = (side and json.loads(side) for side in (row.expected, row.found))
        yield Unlike(table, expected, found, row.columns if expected and found else ())


def _statement(table: Table, scope: str) -> str:
    """The rows of one side that have no equal on the other."""
    names = ", ".join(table.columns)
    # An array of arrays would be one of their elements, so they come as texts.
    arrays = ", ".join(
        "%s::text[]" if t.endswith("[]") else f"%s::{t}[]" for t in table.columns.values()
    )
    values = ", ".join(f"r.{name}::{type_} AS {name}" for name, type_ in table.columns.items())
    differing = ", ".join(
        f"CASE WHEN e.{name} IS DISTINCT FROM f.{name} THEN '{name.strip(QUOTES)}' END"
        for name in table.columns
    )
    same = " AND ".join(f"e.{name} = f.{name}" for name in table.identity)
    return (
        f"SELECT array_remove(ARRAY[{differing}], NULL) AS columns,"  # noqa: S608  (constants)
        " to_jsonb(e)::text AS expected, to_jsonb(f)::text AS found"
        f" FROM (SELECT {values} FROM unnest({arrays}) AS r ({names})) e"
        f" FULL JOIN (SELECT {names} FROM {table.name} WHERE {scope}) f ON {same}"
        " WHERE e IS DISTINCT FROM f"
    )
