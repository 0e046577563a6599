"""The live generation at one moment: a transaction that sees nothing of what comes after it, and
leaves nothing behind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from rollcall_events import Position, Subscription
from rollcall_events.folding import Failure
from rollcall_events.postgres import array
from rollcall_service.operators import NotNow
from rollcall_user_management.readstore import LAYOUT, schema_of
from rollcall_user_management.settings import SCHEMA


@dataclass(frozen=True)
class Snapshot:
    """next_offsets: of partitions. failures: the records at which sequences are parked.
    discarded: positions that were discarded by hand, with why. known_keys: a table of one column,
    `key`, which nobody else sees."""

    connection: Connection
    known_keys: str
    topic_ids: frozenset[str]
    next_offsets: Mapping[int, int]
    failures: Mapping[Position, Failure]
    discarded: Mapping[tuple[int, int], str]

    def last_in_history(self, partition: int, before: int) -> int:
        """The last offset before another that the history has of a partition; -1 if it has none."""
        found = self.connection.execute(_LAST, {"partition": partition, "before": before}).scalar()
        return -1 if found is None else int(found)

    def note(self, keys: Sequence[str]) -> None:
        """That the log knows these keys."""
        statement = f"INSERT INTO {self.known_keys} SELECT * FROM unnest(%s::uuid[])"  # noqa: S608  (a constant)
        self.connection.exec_driver_sql(statement, (array(keys),))


@contextmanager
def snapshot(engine: Engine, subscription: Subscription) -> Iterator[Snapshot]:
    """subscription: its schema is no matter, since that of the live generation is looked up. Raises
    NotNow."""
    isolated = engine.execution_options(isolation_level="REPEATABLE READ")
    with isolated.connect() as connection:
        connection.execute(text(_SETTINGS))
        schema = _live_schema(connection)
        connection.execute(text(f"SET LOCAL search_path = {schema}, {SCHEMA}"))
        try:
            yield _read(connection, subscription)
        finally:
            connection.rollback()


def discarded(connection: Connection, discards: str) -> Mapping[tuple[int, int], str]:
    rows = connection.execute(text(f'SELECT partition, "offset" AS place, reason FROM {discards}'))  # noqa: S608  (a constant)
    return {(row.partition, row.place): row.reason for row in rows}


def _live_schema(connection: Connection) -> str:
    live = connection.execute(_LIVE).one()
    if live.layout != LAYOUT:
        raise NotNow(
            f"generation {live.number} has the tables of another release: fill one of this release,"
            " and use it first (rollcall rebuild)"
        )
    return schema_of(live.number)


def _read(connection: Connection, subscription: Subscription) -> Snapshot:
    topic = subscription.topic
    # Not a temporary one, for which a service need not have the right. It is never committed.
    known_keys = f"{SCHEMA}.known_keys_{connection.execute(_SESSION).scalar_one()}"
    connection.execute(text(f"CREATE UNLOGGED TABLE {known_keys} (key uuid)"))
    offsets = connection.execute(_OFFSETS, {"topic": topic}).all()
    parked = connection.execute(_PARKED)
    return Snapshot(
        connection,
        known_keys,
        frozenset(row.topic_id for row in offsets),
        {row.partition: row.next_offset for row in offsets},
        {Position(topic, row.partition, row.place): Failure(row.reason) for row in parked},
        discarded(connection, subscription.discards),
    )


# A verification takes as long as it takes; between its statements it waits for Kafka, too. Each of
# its statements meets few rows of great tables, whatever the planner has not been told of them.
_SETTINGS = """
SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '1min';
SET LOCAL jit = off; SET LOCAL enable_seqscan = off;
"""
_LIVE = text(f"SELECT number, layout FROM {SCHEMA}.generations WHERE live")  # noqa: S608  (a constant)
_SESSION = text("SELECT pg_backend_pid()")
_OFFSETS = text("SELECT partition, next_offset, topic_id FROM offsets WHERE topic = :topic")
_PARKED = text('SELECT partition, "offset" AS place, reason FROM parked')
_LAST = text(
    'SELECT max("offset") FROM history WHERE partition = :partition AND "offset" < :before'
)
