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
    with closing(_connect(platform)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT number FROM user_management.generations WHERE live")
        cursor.execute(f"SET search_path = user_management_g{cursor.fetchone()[0]}")
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def missing_users(platform: Platform, ids: Sequence[str]) -> set[str]:
    """Those of these users who are not in the read store."""
    found = rows(platform, "SELECT id::text FROM users WHERE id = ANY (%s::uuid[])", list(ids))
    return set(ids) - {row[0] for row in found}


def _connect(platform: Platform) -> Any:
    passwords = credentials.load_or_create(Home(platform.home), ()).postgres
    server = postgres.Server(platform.ports["POSTGRES_PORT"], passwords)
    database = urlsplit(platform.status()["postgres"]["url"]).path.removeprefix("/")
    return psycopg2.connect(server.url(database=database), connect_timeout=5)
