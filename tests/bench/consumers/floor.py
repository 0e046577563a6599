"""The projection's floor: its rows, history and offsets by the fastest bulk technique there is.

What a run of the projection left in the read store is written again into an empty one, in batches
of as many events: COPY into the history, COPY into a temporary table and one upsert for each
other table, and the offsets, in one transaction a batch. No Kafka, no logic, no deduplication, and
the text that is copied is made before the clock starts.
"""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import text

from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_user_management.readstore import live_schema

SCHEMA = "user_management_g1"
KEYS = {
    "users": ("id",),
    "user_roles": ("user_id", "role_id"),
    "assignments": ("user_id", "role_id", "since_offset"),
}


@dataclass(frozen=True)
class Batch:
    """The text of each table's rows, and the offsets that it moves."""

    rows: dict[str, str]
    offsets: Sequence[tuple[int, int]]


def rate(source: str, target: str, size: int, most: int | None = None) -> float:
    """Events a second. source: the database with the rows; target: an empty one. most: so many of
    the first events."""
    engine = make_engine(target, schema="user_management", pool_size=1)
    upgrade(engine, "rollcall_user_management", schema="user_management")
    live_schema(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO {SCHEMA}.offsets (topic, partition, next_offset, topic_id)"
                " SELECT 'users', p, 0, '' FROM generate_series(0, 49) p"
            )
        )
    engine.dispose()
    with psycopg2.connect(source) as connection:
        batches = list(_batches(connection, size, most))
    events = sum(text_.count("\n") for text_ in (b.rows["history"] for b in batches))
    with psycopg2.connect(target) as connection:
        _prepare(connection)
        began = time.perf_counter()
        for batch in batches:
            _write(connection, batch)
        return events / (time.perf_counter() - began)


def _batches(
    connection: psycopg2.extensions.connection, size: int, most: int | None
) -> Iterator[Batch]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path = {SCHEMA}")
        cursor.execute(
            'SELECT partition, "offset", key FROM history ORDER BY recorded_at, partition, "offset"'
            " LIMIT %s",
            (most,),
        )
        places = cursor.fetchall()
        for start in range(0, len(places), size):
            yield _batch(cursor, places[start : start + size])


def _batch(cursor: psycopg2.extensions.cursor, places: Sequence[Any]) -> Batch:
    keys = list({key for _, _, key in places})
    last = {partition: offset + 1 for partition, offset, _ in places}
    cursor.execute("CREATE TEMP TABLE wanted (partition int, place bigint) ON COMMIT DROP")
    cursor.execute(
        "INSERT INTO wanted SELECT * FROM unnest(%s, %s)",
        ([p for p, _, _ in places], [o for _, o, _ in places]),
    )
    rows = {
        "history": _copied(
            cursor,
            "SELECT h.* FROM history h JOIN wanted w"
            ' ON w.partition = h.partition AND w.place = h."offset"',
        ),
        "users": _copied(
            cursor,
            cursor.mogrify("SELECT * FROM users WHERE id = ANY (%s::uuid[])", (keys,)).decode(),
        ),
        **{table: _of_users(cursor, table, keys) for table in ("user_roles", "assignments")},
    }
    cursor.execute("DROP TABLE wanted")
    return Batch(rows, list(last.items()))


def _of_users(cursor: psycopg2.extensions.cursor, table: str, keys: Sequence[str]) -> str:
    query = f"SELECT * FROM {table} WHERE user_id = ANY (%s::uuid[])"
    return _copied(cursor, cursor.mogrify(query, (keys,)).decode())


def _copied(cursor: psycopg2.extensions.cursor, query: str) -> str:
    into = io.StringIO()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT", into)
    return into.getvalue()


def _prepare(connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path = {SCHEMA}")
        for table in KEYS:
            cursor.execute(f"CREATE TEMP TABLE new_{table} (LIKE {table}) ON COMMIT DELETE ROWS")
    connection.commit()


def _write(connection: psycopg2.extensions.connection, batch: Batch) -> None:
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY history FROM STDIN", io.StringIO(batch.rows["history"]))
        for table, key in KEYS.items():
            cursor.copy_expert(f"COPY new_{table} FROM STDIN", io.StringIO(batch.rows[table]))
            cursor.execute(_upsert(cursor, table, key))
        cursor.execute(
            "UPDATE offsets o SET next_offset = v.next_offset"
            " FROM unnest(%s, %s) AS v (partition, next_offset) WHERE o.partition = v.partition",
            ([p for p, _ in batch.offsets], [o for _, o in batch.offsets]),
        )
    connection.commit()


def _upsert(cursor: psycopg2.extensions.cursor, table: str, key: Sequence[str]) -> str:
    cursor.execute(f"SELECT * FROM {table} LIMIT 0")
    columns = [c.name for c in cursor.description or () if c.name not in key]
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns)
    return (
        f"INSERT INTO {table} SELECT * FROM new_{table}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"
    )
