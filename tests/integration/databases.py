"""Databases of a test's own, on the session's Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from rollcall_events.ids import uuid7
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_user_management.readstore import live_schema


@contextmanager
def empty(postgres_url: str) -> Iterator[str]:
    """The URL of an empty one. postgres_url: the superuser's."""
    name = f"test_{uuid7().replace('-', '')}"
    server = make_engine(postgres_url, schema="public", pool_size=1)
    admin = server.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgres_url).set(database=name)
    yield url.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@contextmanager
def of_user_management(database_url: str) -> Iterator[Engine]:
    """An empty one as user-management makes it."""
    first = make_engine(database_url, schema="user_management", pool_size=1)
    upgrade(first, "rollcall_user_management", schema="user_management")
    schema = live_schema(first)
    first.dispose()
    engine = make_engine(database_url, schema=f"{schema},user_management", pool_size=2)
    yield engine
    engine.dispose()
