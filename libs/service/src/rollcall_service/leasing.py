"""The sender's side of the delivery ledger: rows are taken under a lease, and end.

Order per recipient rests here: only a recipient's earliest open row is taken. Time is the
database's, so that replicas agree on leases; every function takes `now` instead, for tests.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from rollcall_service.ledger import Delivery

# One moment for a whole transaction: what `take` finds not due yet, `next_due` counts. Constants
# like it are all that is ever put into a statement's text.
_NOW = "coalesce(CAST(:now AS timestamptz), now())"

_LOOKED_AT = 1_000  # rows that are due, at most, to find those that have to wait

# While Postgres was away nobody could renew a lease or record an outcome, so it comes back with
# leases that ended though their senders live. They get as long as their backoff to be heard.
_REJOINED = "pg_postmaster_start_time() + interval '10 seconds'"

# Those behind a recipient's earliest open row are due when that one is done, and not looked at
# until then: a look must cost no more for a recipient who is owed thousands. The earliest is locked
# while they are put behind it, so that whoever is about to end it sees them afterwards, and wakes
# the next; one that somebody has locked already, or ended, puts nothing behind it.
_PUT_BEHIND = text(f"""
    WITH due AS (
      SELECT id, recipient, (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                               AND e.state = 'pending' ORDER BY e.id LIMIT 1) AS first
      FROM deliveries d WHERE state = 'pending' AND due_at <= {_NOW} AND lease_until IS NULL
      ORDER BY due_at, id LIMIT {_LOOKED_AT}),
    firsts AS (
      SELECT id FROM deliveries WHERE id IN (SELECT first FROM due WHERE id <> first)
        AND state = 'pending' FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET due_at = 'infinity'
    FROM due JOIN firsts ON due.first = firsts.id WHERE d.id = due.id AND d.id <> firsts.id
""")  # noqa: S608
# In a later statement than the one that ended the rows, and so after whoever put others behind
# them. Whatever is still before it: two that end two rows of a recipient at once each see the
# other's.
_WAKE_NEXT = text(f"""
    UPDATE deliveries SET due_at = {_NOW}
    WHERE state = 'pending' AND due_at = 'infinity' AND id IN (
      SELECT (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                AND e.state = 'pending' AND e.due_at = 'infinity' ORDER BY e.id LIMIT 1)
      FROM deliveries d WHERE d.id = ANY (:ids))
""")  # noqa: S608
# Whoever was put behind one that ended otherwise: by a sender of a version that wakes nobody, or by
# an operator's own statement.
_WAKE_FORGOTTEN = text(f"""
    UPDATE deliveries d SET due_at = {_NOW} WHERE state = 'pending' AND due_at = 'infinity'
      AND id = (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                  AND e.state = 'pending' ORDER BY e.id LIMIT 1)
""")  # noqa: S608

# Only a recipient's earliest open row, so that nobody gets two messages out of order; while it
# is leased or waits for a retry, those behind it wait too. A subquery and not NOT EXISTS, which
# the planner may turn into a join of all open rows when its statistics are of a quiet moment.
_LOCK_DUE = text(f"""
    SELECT id FROM deliveries d
    WHERE state = 'pending' AND due_at <= {_NOW}
      AND (lease_until IS NULL OR greatest(lease_until, {_REJOINED}) <= {_NOW})
      AND (attempts = 0 OR id IN (
        SELECT id FROM deliveries WHERE state = 'pending' AND due_at <= {_NOW} AND attempts > 0
          AND (lease_until IS NULL OR greatest(lease_until, {_REJOINED}) <= {_NOW})
          AND id <> ALL (:taken) ORDER BY due_at, id LIMIT :again))
      AND id = (SELECT e.id FROM deliveries e WHERE e.recipient = d.recipient
                  AND e.state = 'pending' ORDER BY e.id LIMIT 1)
      AND id <> ALL (:taken)
    ORDER BY due_at, id LIMIT :limit
    FOR UPDATE OF d SKIP LOCKED
""")  # noqa: S608
_SPACE_OUT = text(f"""
    UPDATE deliveries d SET due_at = s.at + make_interval(secs => :spacing)
    FROM (SELECT recipient, max(finished_at) AS at FROM deliveries
          WHERE state = 'sent' AND finished_at > {_NOW} - make_interval(secs => :spacing)
            AND recipient IN (SELECT recipient FROM deliveries WHERE id = ANY (:ids))
          GROUP BY recipient) s
    WHERE d.id = ANY (:ids) AND d.recipient = s.recipient
    RETURNING d.id
""")  # noqa: S608
_LEASE = text(f"""
    UPDATE deliveries SET attempts = attempts + 1, leased_by = :sender,
           lease_until = {_NOW} + make_interval(secs => :lease)
    WHERE id = ANY (:ids)
    RETURNING id, event_key::text, event_id::text, kind, recipient, payload, attempts,
              traceparent, tracestate,
              extract(epoch FROM {_NOW} - created_at)::float8 AS age
""")  # noqa: S608


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
    _durably(connection)
    taken: set[int] = set()
    while len(taken) < limit:
        values = {
            "limit": limit - len(taken),
            "again": limit if again is None else again,
            "taken": [*taken, *holding],
            "now": now,
        }
        due = set(connection.execute(_LOCK_DUE, values).scalars())
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
    values = {"ids": list(ids), "spacing": spacing, "now": now}
    return set(connection.execute(_SPACE_OUT, values).scalars())


def _lease(
    connection: Connection, ids: set[int], sender: str, lease: float, now: datetime | None
) -> list[Delivery]:
    values = {"ids": list(ids), "sender": sender, "lease": lease, "now": now}
    rows = connection.execute(_LEASE, values)
    return [Delivery(**row) for row in rows.mappings()]


_SENT = text(f"""
    UPDATE deliveries SET state = 'sent', finished_at = {_NOW}, last_error = NULL,
           lease_until = NULL, leased_by = NULL
    WHERE id = ANY (:ids) AND state = 'pending'
""")  # noqa: S608
_NOT_SENT = text(f"""
    UPDATE deliveries SET last_error = :reason, lease_until = NULL, leased_by = NULL,
           state = CASE WHEN :delay IS NULL THEN 'failed' ELSE state END,
           finished_at = CASE WHEN :delay IS NULL THEN {_NOW} END,
           due_at = coalesce({_NOW} + make_interval(secs => CAST(:delay AS float8)), due_at)
    WHERE id = :id AND state = 'pending' AND leased_by = :sender AND attempts = :attempts
""")  # noqa: S608
_RENEW = text(f"""
    UPDATE deliveries
    SET lease_until = {_NOW} + make_interval(secs => nullif(CAST(:lease AS float8), 0))
    WHERE id = ANY (:ids) AND state = 'pending' AND leased_by = :sender
""")  # noqa: S608
_NEXT_DUE = text(f"""
    SELECT extract(epoch FROM min(due_at) - {_NOW})::float8 FROM deliveries
    WHERE state = 'pending' AND due_at > {_NOW} AND due_at < 'infinity'
""")  # noqa: S608


def record_sent(
    connection: Connection, deliveries: Sequence[Delivery], now: datetime | None = None
) -> None:
    """Note that messages went out: a fact, whoever holds their rows by now."""
    _durably(connection)
    values: dict[str, Any] = {"ids": [delivery.id for delivery in deliveries], "now": now}
    connection.execute(_SENT, values)
    wake_next(connection, values["ids"], now)


def record_not_sent(
    connection: Connection,
    delivery: Delivery,
    sender: str,
    reason: str,
    delay: float | None,
    now: datetime | None = None,
) -> None:
    """Try again in `delay` seconds, or never if it is None; if `sender` still holds the row."""
    _durably(connection)
    held = {"id": delivery.id, "sender": sender, "attempts": delivery.attempts}
    connection.execute(_NOT_SENT, held | {"reason": reason, "delay": delay, "now": now})
    if delay is None:
        wake_next(connection, [delivery.id], now)


def put_behind(connection: Connection, now: datetime | None = None) -> None:
    """Let rows wait for a recipient's earlier one, so that `take` need not look at them. In a
    transaction of its own: it locks rows that others may want to take."""
    connection.execute(_PUT_BEHIND, {"now": now})


def wake_next(connection: Connection, ids: Sequence[int], now: datetime | None = None) -> None:
    """Make due what is next to the recipients of rows that ended in this transaction."""
    connection.execute(_WAKE_NEXT, {"ids": list(ids), "now": now})


def renew(
    connection: Connection,
    ids: Sequence[int],
    sender: str,
    lease: float,
    now: datetime | None = None,
) -> None:
    """Let the leases that `sender` still has on `ids` end in `lease` seconds; 0 gives them back."""
    values = {"ids": list(ids), "sender": sender, "lease": lease, "now": now}
    connection.execute(_RENEW, values)


def next_due(connection: Connection, now: datetime | None = None) -> float | None:
    """Seconds until a row that is not due yet becomes due; None: there is none."""
    return connection.execute(_NEXT_DUE, {"now": now}).scalar()


def wake_forgotten(connection: Connection, now: datetime | None = None) -> None:
    """Make due the earliest row of each recipient that nobody has woken."""
    connection.execute(_WAKE_FORGOTTEN, {"now": now})


def _durably(connection: Connection) -> None:
    """A crash of Postgres forgets neither an outcome nor a row whose message is about to go out."""
    connection.execute(text("SET LOCAL synchronous_commit TO on"))
