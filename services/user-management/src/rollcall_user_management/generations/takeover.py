"""The take-over: one transaction makes another generation the live one.

What must hold afterwards is what holds at every moment: the newest state of an aggregate is its row
in the live generation and its unsettled admissions. So the new generation has to hold every event
whose admission is settled, and no admission of an event that it has already passed may stay
unsettled for ever.

1. The offsets of the live generation are locked. Its projections wait where they begin (inbox.py,
   `claim`); those that had begun are waited for. Commands go on: they are only admitted.
2. The new generation's projections go on, until it has everything that the live one has.
3. The lock of locks.py is taken alone: no admission is being decided, and no projection is between
   asking which generation is live and its commit.
4. What the new generation has passed is settled, and the two change their states.

Whatever was under way comes before 3 or after 4, as the lock has it:

- An admission before it is stored on the old generation, of which the new one is no less. One
  after it reads that its session is of another generation than the live one, and begins anew.
- A projection of the old generation before it has settled, and its offsets are committed, so step 2
  waited for them; it holds them. One after it settles nothing, and the new one will.
- A projection of the new generation before it is committed: its inbox tells step 4 what to settle.
  One after it sees itself live, and settles.
- Running a parked sequence again is a projection that does not claim offsets: it is of one side or
  the other by the lock alone.

Nothing of it lasts that is not committed: whoever dies in it leaves everything as it was, and its
locks go with its session (idle_in_transaction_session_timeout, if it only stalls). Each wait for a
lock, and step 2, ends after a second, so that projections, and in 3 commands, are not held longer.
"""

import threading
import time

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from rollcall_events import PARTITIONS
from rollcall_user_management.generations import table
from rollcall_user_management.generations.locks import TAKE
from rollcall_user_management.generations.table import Row
from rollcall_user_management.readstore import LAYOUT

_NEAR = 1_000  # records that it may be behind before the live one is held for it
_HOLD = 1.0  # seconds that the live generation waits for the new one
_LOOK = 0.02  # seconds between looks
_NO_LOCK = ("55P03", "40P01")  # what Postgres says of one that is not to be had, and of a deadlock


class CannotUse(Exception):
    """The message says why a generation cannot become live now; nothing has changed."""


class Behind(CannotUse):
    """It has not reached the live generation."""

    def __init__(self, number: int, records: int):
        super().__init__(f"generation {number} is {records:,} records behind the live one")


def use(engine: Engine, number: int, within: float) -> None:
    """Make a generation live, waiting so many seconds at most for it to come near. Raises
    CannotUse, or the store's errors, after which only the table knows whether it is."""
    end = time.monotonic() + within
    with engine.connect() as connection:
        new, live = _chosen(connection, number)
        while (behind := table.behind(connection, live.schema, new.schema)) > _NEAR:
            connection.rollback()
            if time.monotonic() > end:
                raise Behind(number, behind)
            _pause()
    try:
        with engine.begin() as connection:
            _take_over(connection, number)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) not in _NO_LOCK:
            raise
        raise CannotUse("somebody keeps a lock that this needs: try again") from error


def _take_over(connection: Connection, number: int) -> None:
    connection.execute(text("SET LOCAL lock_timeout = '1s'"))
    connection.execute(text(_BY_INDEX))
    table.lock(connection)
    new, live = _chosen(connection, number)
    if new == live:
        return
    held = connection.execute(text(_HOLD_LIVE.format(live=live.schema))).all()
    _await(connection, live, new)
    connection.execute(text(TAKE))
    _check_complete(connection, len(held), new)
    _check_parked(connection, live, new)
    connection.execute(text(_SETTLE.format(new=new.schema)))
    table.set_state(connection, live.number, "standby")
    table.set_state(connection, number, "live")


def _chosen(connection: Connection, number: int) -> tuple[Row, Row]:
    """The generation of that number, and the live one."""
    rows = table.read(connection)
    new = next((row for row in rows if row.number == number), None)
    if new is None or new.state == "dropping":
        raise CannotUse(f"there is no generation {number}")
    if new.layout != LAYOUT:
        raise CannotUse(
            f"generation {number} has tables of layout {new.layout}, and this release knows"
            f" layout {LAYOUT}: ask one that knows them"
        )
    return new, table.live_of(rows)


def _await(connection: Connection, live: Row, new: Row) -> None:
    end = time.monotonic() + _HOLD
    while behind := table.behind(connection, live.schema, new.schema):
        if time.monotonic() > end:
            raise Behind(new.number, behind)
        _pause()


def _check_complete(connection: Connection, held: int, new: Row) -> None:
    """A partition without its row is one whose projection cannot be waited for."""
    statement = f"SELECT count(*) FROM {new.schema}.offsets"  # noqa: S608
    made = connection.execute(text(statement)).scalar_one()
    if min(held, made) < PARTITIONS:
        raise CannotUse("not every partition is projected yet: try again in a moment")


def _check_parked(connection: Connection, live: Row, new: Row) -> None:
    """What the live one has applied may be settled, so the new one must not still hold it: the
    values in it would be free."""
    keys = connection.execute(text(_HELD.format(live=live.schema, new=new.schema))).scalars().all()
    if keys:
        raise CannotUse(
            f"generation {new.number} holds events of {len(keys)} users or roles that generation"
            f" {live.number} has applied, of {keys[0]} for one: once the code is mended, run them"
            " again (rollcall parked redrive ID), or drop it and rebuild"
        )


def _pause() -> None:
    threading.Event().wait(_LOOK)


# The table of admissions is mostly of settled ones, which no plan may scan while commands wait.
_BY_INDEX = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
    " SET LOCAL enable_mergejoin = off"
)
_HOLD_LIVE = "SELECT 1 FROM {live}.offsets ORDER BY partition FOR UPDATE"
_HELD = (
    "SELECT n.key::text FROM {new}.parked n WHERE NOT EXISTS"
    ' (SELECT 1 FROM {live}.parked o WHERE o.key = n.key AND o."offset" <= n."offset")'
)
_SETTLE = """
UPDATE admissions a SET settled_at = clock_timestamp(),
  partition = coalesce(a.partition, v.partition), "offset" = coalesce(a."offset", v."offset"),
  recorded_at = coalesce(a.recorded_at, v.recorded_at)
FROM (SELECT a.event_id, i.partition, i."offset", h.recorded_at
      FROM admissions a
      JOIN {new}.inbox i ON i.key = a.key AND i.event_id = a.event_id
      JOIN {new}.history h ON h.partition = i.partition AND h."offset" = i."offset"
      WHERE a.settled_at IS NULL AND a.version > 0
      ORDER BY a.event_id FOR UPDATE OF a) v
WHERE a.event_id = v.event_id
"""
