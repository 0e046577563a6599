"""What Postgres holds, read past the services."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from e2e.local_platform import Platform

from rollcall_local import credentials, postgres
from rollcall_local.home import Home


def rows(platform: Platform, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query on the read store, as the superuser."""
    with closing(connect(platform)) as connection:
        return rows_of(connection, statement, *parameters)


def rows_of(connection: Any, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The same, on a connection that was opened before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM user_management.generations WHERE live")
        cursor.execute(f"SET search_path = user_management_g{cursor.fetchone()[0]}")
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def missing_users(platform: Platform, ids: Sequence[str]) -> set[str]:
    """Those of these users who are not in the read store."""
    found = rows(platform, "SELECT id::text FROM users WHERE id = ANY (%s::uuid[])", list(ids))
    return set(ids) - {row[0] for row in found}


def connect(platform: Platform) -> Any:
    """As the superuser; each statement is a transaction of its own."""
    passwords = credentials.load_or_create(Home(platform.home), ()).postgres
    server = postgres.Server(platform.ports["POSTGRES_PORT"], passwords)
    database = urlsplit(platform.status()["postgres"]["url"]).path.removeprefix("/")
    connection = psycopg2.connect(server.url(database=database), connect_timeout=5)
    connection.autocommit = True
    return connection
