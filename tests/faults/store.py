"""The read store as it stands in Postgres, row by row."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg2
from faults.fold import Entry, Place, Row
from faults.log import PREFIX
from psycopg2 import extensions
from psycopg2.extras import RealDictCursor


@dataclass(frozen=True)
class Store:
    """rows: table → id → row. undecodable: places of records that are no event."""

    rows: Mapping[str, Mapping[str, Row]]
    assigned: Mapping[tuple[str, str], str]
    history: Mapping[Place, Entry]
    undecodable: tuple[Place, ...] = ()


def read(url: str) -> Store:
    with closing(psycopg2.connect(url)) as connection:
        schema = live_schema(connection)
        return Store(
            rows={table: _rows(connection, f"{schema}.{table}") for table in ("users", "roles")},
            assigned={
                (row["user_id"], row["role_id"]): row["role_name"]
                for row in _select(connection, f"* FROM {schema}.user_roles")
            },
            history={
                (row["partition"], row["offset"]): _entry(row)
                for row in _select(connection, f"* FROM {schema}.history WHERE key IS NOT NULL")
            },
            undecodable=tuple(
                (row["partition"], row["offset"])
                for row in _select(connection, f"* FROM {schema}.history WHERE key IS NULL")
            ),
        )


def reached(url: str) -> tuple[dict[int, int], list[str]]:
    """Partition → the offset after the last that the projection has passed; and what admissions
    are unsettled."""
    with closing(psycopg2.connect(url)) as connection:
        offsets = _select(
            connection, f"partition, next_offset FROM {live_schema(connection)}.offsets"
        )
        unsettled = _select(
            connection,
            "event_id, key, version, appended_at FROM user_management.admissions"
            " WHERE settled_at IS NULL",
        )
    return (
        {row["partition"]: row["next_offset"] for row in offsets},
        [
            "{event_id}, version {version} of {key}, appended {appended_at}".format(**row)
            for row in unsettled
        ],
    )


def live_schema(connection: extensions.connection) -> str:
    (live,) = _select(connection, "number FROM user_management.generations WHERE live")
    return f"user_management_g{live['number']}"


def _rows(connection: extensions.connection, table: str) -> dict[str, Row]:
    return {row["id"]: row for row in _select(connection, f"* FROM {table}")}


def _entry(row: Row) -> Entry:
    version = None if row["rejected"] else row["version"]
    return Entry(row["key"], row["event_id"], row["type"].removeprefix(PREFIX), version)


def _select(connection: extensions.connection, statement: str) -> list[Row]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(f"SELECT {statement}")
        return [dict(row) for row in cursor]
