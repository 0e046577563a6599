"""The sender's side of the delivery ledger: rows are taken under a lease, and end.

Order per recipient rests here: only a recipient's earliest open row is taken, and not while another
of theirs is leased. Time is the database's, so that replicas agree on leases; every function takes
`now` instead, for tests.

Every mail takes several of these statements, whose planning costs more than they do: so they are
prepared, and a connection that is given to a function has to be of a session with PREPARE.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, text

from rollcall_service.ledger import Delivery

# One moment for a whole transaction: what `take` finds not due yet, `next_due` counts. Constants
# like it are all that is ever put into a statement's text.
_NOW = "coalesce($1, now())"

_LOOKED_AT = 1_000  # rows that are due, at most, to find those that have to wait

# While Postgres was away nobody could renew a lease or record an outcome, so it comes back with
# leases that ended though their senders live. They get as long as their backoff to be heard.
_REJOINED = "pg_postmaster_start_time() + interval '10 seconds'"

# Of rows that are looked for by their ids: in words that are not those of the indexes of open rows,
# which a plan made when there were none would go through from end to end. For the same reason ids
# are brought together in an array, and not by a join; and what waits for a recipient is compared
# in words of which no index by due_at can make use.
_OPEN = "state || '' = 'pending'"


def _waking(ids: str, now: str) -> str:
    """In a later statement than the one that ended the rows, and so after whoever put others behind
    them. Whatever is still before it: two that end two rows of a recipient at once each see the
    other's."""
    return f"""
    UPDATE deliveries SET due_at = {now}
    WHERE {_OPEN} AND due_at = 'infinity' AND id = ANY (ARRAY (
      SELECT (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                AND e.state = 'pending' AND e.due_at IS NOT DISTINCT FROM 'infinity'
                ORDER BY e.id LIMIT 1)
      FROM deliveries d WHERE d.id = ANY ({ids})))
"""  # noqa: S608


# Those behind a recipient's earliest open row are due when that one is done, and not looked at
# until then: a look must cost no more for a recipient who is owed thousands. The earliest is locked
# while they are put behind it, so that whoever is about to end it sees them afterwards, and wakes
# the next; one that somebody has locked already, or ended, puts nothing behind it.
_PUT_BEHIND = f"""
    WITH due AS (
      SELECT id, recipient, (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                               AND e.state = 'pending' ORDER BY e.id LIMIT 1) AS first
      FROM deliveries d WHERE state = 'pending' AND due_at <= {_NOW} AND lease_until IS NULL
      ORDER BY due_at, id LIMIT {_LOOKED_AT}),
    firsts AS (
      SELECT id FROM deliveries WHERE id = ANY (ARRAY (SELECT first FROM due WHERE id <> first))
        AND {_OPEN} FOR UPDATE SKIP LOCKED)
    UPDATE deliveries SET due_at = 'infinity' WHERE id = ANY (ARRAY (
      SELECT id FROM due WHERE id <> first AND first = ANY (ARRAY (SELECT id FROM firsts))))
"""  # noqa: S608
# Whoever was put behind one that ended otherwise: by a sender of a version that wakes nobody, or by
# an operator's own statement.
_WAKE_FORGOTTEN = f"""
    UPDATE deliveries d SET due_at = {_NOW} WHERE state = 'pending' AND due_at = 'infinity'
      AND id = (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                  AND e.state = 'pending' ORDER BY e.id LIMIT 1)
"""  # noqa: S608

# No other row of the recipient is leased. One may be that is not the earliest: rows that get their
# ids first may be committed last, and an operator may open an old one again. It needs no waking: it
# stays due, and whoever ends the other looks for what is due.
_ALONE = f"""(SELECT l.id FROM deliveries l WHERE l.recipient = d.recipient AND l.id <> d.id
                AND l.lease_until IS NOT NULL AND greatest(l.lease_until, {_REJOINED}) > {_NOW}
                AND l.{_OPEN} LIMIT 1) IS NULL"""  # noqa: S608

# Only a recipient's earliest open row, so that nobody gets two messages out of order; while it
# is leased or waits for a retry, those behind it wait too. A subquery and not NOT EXISTS, which
# the planner may turn into a join of all open rows when its statistics are of a quiet moment.
# One sender at a time for a recipient: two that look at once may find different rows the earliest.
# $2: the most rows. $3: the most of those that were tried before. $4: that are taken already.
_LOCK_DUE = f"""
    SELECT id FROM (
      SELECT id, recipient FROM deliveries d
      WHERE state = 'pending' AND due_at <= {_NOW}
        AND (lease_until IS NULL OR greatest(lease_until, {_REJOINED}) <= {_NOW})
        AND (attempts = 0 OR id IN (
          SELECT id FROM deliveries d WHERE state = 'pending' AND due_at <= {_NOW} AND attempts > 0
            AND (lease_until IS NULL OR greatest(lease_until, {_REJOINED}) <= {_NOW})
            AND id <> ALL ($4) AND {_ALONE} ORDER BY due_at, id LIMIT $3))
        AND id = (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                    AND e.state = 'pending' ORDER BY e.id LIMIT 1)
        AND id <> ALL ($4) AND {_ALONE}
      ORDER BY due_at, id LIMIT $2
      FOR UPDATE OF d SKIP LOCKED) due
    WHERE pg_try_advisory_xact_lock(hashtextextended(recipient, hashtext(current_schema())))
"""  # noqa: S608
_SPACE_OUT = f"""
    UPDATE deliveries d SET due_at = s.at + make_interval(secs => $3)
    FROM (SELECT recipient, max(finished_at) AS at FROM deliveries
          WHERE state = 'sent' AND finished_at > {_NOW} - make_interval(secs => $3)
            AND recipient = ANY (ARRAY (SELECT recipient FROM deliveries WHERE id = ANY ($2)))
          GROUP BY recipient) s
    WHERE d.id = ANY ($2) AND d.recipient = s.recipient
    RETURNING d.id
"""  # noqa: S608
# A statement of its own after the lock, so that it sees what another sender has leased until then.
_LEASE = f"""
    UPDATE deliveries d SET attempts = attempts + 1, leased_by = $3,
           lease_until = {_NOW} + make_interval(secs => $4)
    WHERE id = ANY ($2) AND {_ALONE}
    RETURNING id, event_key::text, event_id::text, kind, recipient, payload, attempts,
              traceparent, tracestate, attempts_before,
              extract(epoch FROM {_NOW} - coalesce(tried_since, created_at))::float8 AS age
"""  # noqa: S608
_SENT = f"""
    UPDATE deliveries SET state = 'sent', finished_at = {_NOW}, last_error = NULL,
           lease_until = NULL, leased_by = NULL
    WHERE id = ANY ($2) AND {_OPEN}
"""  # noqa: S608
# $5: why not; $6: in how many seconds it is due again, NULL for never.
_NOT_SENT = f"""
    UPDATE deliveries SET last_error = $5, lease_until = NULL, leased_by = NULL,
           state = CASE WHEN $6 IS NULL THEN 'failed' ELSE state END,
           finished_at = CASE WHEN $6 IS NULL THEN {_NOW} END,
           due_at = coalesce({_NOW} + make_interval(secs => $6), due_at)
    WHERE id = $2 AND {_OPEN} AND leased_by = $3 AND attempts = $4
"""  # noqa: S608
_RENEW = f"""
    UPDATE deliveries SET lease_until = {_NOW} + make_interval(secs => nullif($4, 0))
    WHERE id = ANY ($2) AND {_OPEN} AND leased_by = $3
"""  # noqa: S608
_NEXT_DUE = f"""
    SELECT extract(epoch FROM min(due_at) - {_NOW})::float8 FROM deliveries
    WHERE state = 'pending' AND due_at > {_NOW} AND due_at < 'infinity'
"""  # noqa: S608

# An index gives rows in their order: a plan is made for any number of them, and must sort none.
PREPARE = f"""
SET enable_sort = off; SET enable_bitmapscan = off;
PREPARE put_behind (timestamptz) AS {_PUT_BEHIND};
PREPARE wake_forgotten (timestamptz) AS {_WAKE_FORGOTTEN};
PREPARE wake_next (timestamptz, bigint[]) AS {_waking("$2", _NOW)};
PREPARE lock_due (timestamptz, int, int, bigint[]) AS {_LOCK_DUE};
PREPARE space_out (timestamptz, bigint[], float8) AS {_SPACE_OUT};
PREPARE lease (timestamptz, bigint[], text, float8) AS {_LEASE};
PREPARE sent (timestamptz, bigint[]) AS {_SENT};
PREPARE not_sent (timestamptz, bigint, text, int, text, float8) AS {_NOT_SENT};
PREPARE renew (timestamptz, bigint[], text, float8) AS {_RENEW};
PREPARE next_due (timestamptz) AS {_NEXT_DUE};
"""


def take(
    connection: Connection,
    sender: str,
    *,
    limit: int,
    lease: float,
    again: int | None = None,
    spacing: float = 0.0,
    holding: Collection[int] = (),
    now: datetime | None = None,
) -> list[Delivery]:
    """Lease up to `limit` due rows to `sender` for `lease` seconds, at most one per recipient.

    again: so many, at most, of those that were tried before.

    A recipient that was sent to less than `spacing` seconds ago has its row put off instead.
    Another sender's locked rows are passed over. A lease that has ended is anybody's, but not
    of the rows that the caller is `holding` itself.
    """
    taken: set[int] = set()
    while len(taken) < limit:
        again_now = limit if again is None else again
        values = (now, limit - len(taken), again_now, [*taken, *holding])
        due = {row.id for row in _execute(connection, "lock_due", *values)}
        put_off = _space_out(connection, due, spacing, now) if due and spacing else set()
        taken |= due - put_off
        if not put_off:
            break
    return _lease(connection, taken, sender, lease, now) if taken else []


def _space_out(
    connection: Connection, ids: set[int], spacing: float, now: datetime | None
) -> set[int]:
    """Put off those whose recipient was sent to just now. A statement of its own after the lock,
    so that it sees what another sender has sent until then."""
    return {row.id for row in _execute(connection, "space_out", now, list(ids), spacing)}


def _lease(
    connection: Connection, ids: set[int], sender: str, lease: float, now: datetime | None
) -> list[Delivery]:
    rows = _execute(connection, "lease", now, list(ids), sender, lease)
    return [Delivery(**row) for row in rows.mappings()]


def record_sent(
    connection: Connection, deliveries: Sequence[Delivery], now: datetime | None = None
) -> None:
    """Note that messages went out: a fact, whoever holds their rows by now."""
    ids = [delivery.id for delivery in deliveries]
    _execute(connection, "sent", now, ids)
    _execute(connection, "wake_next", now, ids)


def record_not_sent(
    connection: Connection,
    delivery: Delivery,
    sender: str,
    reason: str,
    delay: float | None,
    now: datetime | None = None,
) -> None:
    """Try again in `delay` seconds, or never if it is None; if `sender` still holds the row."""
    held = (delivery.id, sender, delivery.attempts)
    _execute(connection, "not_sent", now, *held, reason, delay)
    if delay is None:
        _execute(connection, "wake_next", now, [delivery.id])


def put_behind(connection: Connection, now: datetime | None = None) -> None:
    """Let rows wait for a recipient's earlier one, so that `take` need not look at them. In a
    transaction of its own: it locks rows that others may want to take."""
    _execute(connection, "put_behind", now)


def renew(
    connection: Connection,
    ids: Sequence[int],
    sender: str,
    lease: float,
    now: datetime | None = None,
) -> None:
    """Let the leases that `sender` still has on `ids` end in `lease` seconds; 0 gives them back."""
    _execute(connection, "renew", now, list(ids), sender, lease)


def next_due(connection: Connection, now: datetime | None = None) -> float | None:
    """Seconds until a row that is not due yet becomes due; None: there is none."""
    seconds: float | None = _execute(connection, "next_due", now).scalar()
    return seconds


def wake_forgotten(connection: Connection, now: datetime | None = None) -> None:
    """Make due the earliest row of each recipient that nobody has woken."""
    _execute(connection, "wake_forgotten", now)


_WAKE_NEXT = text(_waking(":ids", "now()"))


def wake_next(connection: Connection, ids: Sequence[int]) -> None:
    """Make due what is next to the recipients of rows that an operator has ended, in their
    transaction. Nothing needs to be prepared."""
    connection.execute(_WAKE_NEXT, {"ids": list(ids)})


def _execute(connection: Connection, statement: str, *values: Any) -> CursorResult[Any]:
    places = ", ".join(["%s"] * len(values))
    return connection.exec_driver_sql(f"EXECUTE {statement} ({places})", values)
