"""Which index a search goes by, as Postgres plans the very statement that the service sends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from rollcall.users.v1.queries_pb2 import ListUsersRequest
from rollcall_service.postgres import make_engine
from rollcall_user_management.queries.users import list_users

_SCHEMA = "user_management_g1,user_management"
_INDEX = re.compile(r"(?:Index Scan|Index Only Scan|Bitmap Index Scan)[^\n]*? (?:using|on) (\w+)")


def indexes_of_search(database: str, part: str) -> list[str]:
    """The names of the indexes in the plan of `q=part` for the present."""
    engine = make_engine(database, schema=_SCHEMA, pool_size=1)
    try:
        with engine.connect() as connection, _noted(engine) as sent:
            list_users(connection, ListUsersRequest(query=part))
            statement, parameters = sent[-1]
            return _INDEX.findall(_plan(connection, statement, parameters))
    finally:
        engine.dispose()


@contextmanager
def _noted(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Each statement that is sent, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _plan(connection: Connection, statement: str, parameters: Any) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return "\n".join(row[0] for row in rows)
