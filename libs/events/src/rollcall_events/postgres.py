"""A connection to Postgres of one's own, and many values in one parameter.

For the paths where the cost of a statement is not its work but its way there: statements are
prepared once, several go in one message, and rows come back as they are.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import NoneType, TracebackType
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.errors import IdleInTransactionSessionTimeout
from psycopg2.extras import NamedTupleCursor
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# What connecting, and what a session, has to say of Postgres.
STORE_ERRORS = (SQLAlchemyError, psycopg2.Error)

# Seconds in a transaction without a statement, after which Postgres ends a session: a process that
# stalls in one must not keep its locks. Who is near that gives up by itself, because a session that
# was ended looks as if Postgres were away.
IDLE_LIMIT = 5.0
_NEAR, _SHORT = 0.8 * IDLE_LIMIT, 0.1 * IDLE_LIMIT

_READ_ONLY = "25006"  # what a demoted primary says in a switchover
_LIMIT_EXCEEDED = "54"  # class of SQLSTATE: the record's own trouble
_CANCELLED = "57014"  # of a statement that took longer than it may

# A statement is planned once, for any number of values, perhaps when its tables are empty. So every
# table is reached by an index, whatever the planner believes of it. To older servers a plan without
# one seems dear enough to be compiled, or for workers to be started, each time.
_PLANNING = """
SET plan_cache_mode = force_generic_plan; SET jit = off; SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
"""


def is_store_trouble(error: BaseException) -> bool:
    """Whether Postgres is away or busy, and nothing is wrong with the record in hand."""
    if isinstance(error, PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "pgcode", None) or ""
    if code == _READ_ONLY:
        return True
    lost = isinstance(original, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return lost and not code.startswith(_LIMIT_EXCEEDED)


def is_timeout(error: BaseException) -> bool:
    """Whether a statement, or what is done between two, took longer than it may: because of what it
    does, or because Postgres or this process did not run meanwhile."""
    original = error.orig if isinstance(error, DBAPIError) else error
    idle = isinstance(original, IdleInTransactionSessionTimeout)
    return idle or getattr(original, "pgcode", None) == _CANCELLED


def may_be_the_record(error: BaseException) -> bool:
    """Whether what a record asked of Postgres may be the error's cause."""
    return is_timeout(error) or not is_store_trouble(error)


class Wire:
    """A session that begins and ends its transactions by message, and is shared with nobody.

    prepare: statements that `send` executes by name. `connection` is the same session, as
    SQLAlchemy sees it. Whatever either executes reaches every table by an index, where it has one.
    After an error of Postgres its owner rolls back by message, or closes it.
    """

    def __init__(self, engine: Engine, prepare: str):
        self.engine = engine
        self.connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        driver = self.connection.connection.dbapi_connection
        assert isinstance(driver, psycopg2.extensions.connection)
        self._driver: psycopg2.extensions.connection = driver
        try:
            self.connection.detach()
            self._cursor: psycopg2.extensions.cursor = driver.cursor(
                cursor_factory=NamedTupleCursor
            )
            self._cursor.execute(_PLANNING + prepare)
            self._answered()
            event.listen(self.connection, "after_cursor_execute", self._answered)
        except BaseException:
            self.close()
            raise

    def send(self, statements: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Send statements in one message; the rows of the last, with columns as attributes."""
        self._cursor.execute(statements, parameters)
        self._answered()
        return self._cursor.fetchall() if self._cursor.description else []

    def keep(self) -> None:
        """Between two steps of a transaction: have its session go on, however many of them ask
        nothing of Postgres. Raises IdleInTransactionSessionTimeout if one step took so long that it
        has ended, or is about to."""
        if time.monotonic() - self._answered_at <= _SHORT:
            return
        if (idled := self.idled()) is not None:
            raise idled
        self.send("SELECT 1")

    def idled(self) -> IdleInTransactionSessionTimeout | None:
        """What Postgres has ended the session for, or is about to, if it has."""
        idle = time.monotonic() - self._answered_at
        if idle <= _NEAR:
            return None
        return IdleInTransactionSessionTimeout(f"no statement for {idle:.1f} s")

    def _answered(self, *_: object) -> None:
        self._answered_at = time.monotonic()

    @property
    def lost(self) -> bool:
        """Whether the session has ended, and with it whatever was not committed."""
        return bool(self._driver.closed)

    def close(self) -> None:
        """A transaction that has begun is rolled back."""
        close(self.connection)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def close(connection: Connection) -> None:
    """Close a connection, or what is left of one that has broken. Raises nothing of Postgres."""
    with contextlib.suppress(*STORE_ERRORS):
        driver = None if connection.invalidated else connection.connection.dbapi_connection
        if driver is not None and driver.closed:  # which SQLAlchemy has not seen
            connection.invalidate()
        connection.close()


def array(values: Iterable[Any]) -> str:
    """A Postgres array of any type, as text: strings, numbers, moments, booleans and None.

    One parameter for any number of values, which the server reads faster than as many literals.
    """
    values = list(values)
    kinds = set(map(type, values))
    if kinds == {int}:
        return "{" + ",".join(map(str, values)) + "}"
    if kinds == {str}:
        return '{"' + '","'.join(_escaped(values)) + '"}'
    if kinds == {datetime}:
        return '{"' + '","'.join(map(datetime.isoformat, values)) + '"}'
    if kinds == {NoneType}:
        return "{" + ",".join(["NULL"] * len(values)) + "}"
    return "{" + ",".join(map(_element, values)) + "}"


def _escaped(values: Sequence[str]) -> Sequence[str]:
    """All at once: most columns have nothing to escape."""
    joined = "".join(values)
    if "\\" not in joined and '"' not in joined:
        return values
    return [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return f'"{_escaped([value])[0]}"'
        case datetime():
            return f'"{value.isoformat()}"'
        case bytes():
            return f'"\\\\x{value.hex()}"'
    return str(value)
