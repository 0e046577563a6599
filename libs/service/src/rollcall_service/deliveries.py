"""The delivery ledger for its operators: find, try again, cancel.

Long work is done in many short transactions: each call looks at some rows after an id, and tells
where it ended. A change commits whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from rollcall_service import leasing, ledger

MOST = 500  # rows of a page


@dataclass(frozen=True)
class Filter:
    """Which rows are meant: those for which all that is given here holds."""

    subject_id: str | None = None
    event_id: str | None = None
    states: Sequence[str] = ()
    kind: str | None = None
    recipient: str | None = None
    ids: Sequence[int] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Rows with the ledger's columns, and where the next page begins; None: this was the last."""

    rows: Sequence[Any]
    next: int | None


_CONDITIONS = {
    "subject_id": "event_key = CAST(:subject_id AS uuid)",
    "event_id": "event_id = CAST(:event_id AS uuid)",
    "states": "state = ANY (:states)",
    "kind": "kind = :kind",
    "recipient": "recipient = :recipient",
    "ids": "id = ANY (:ids)",
    "since": "created_at >= :since",
    "until": "created_at < :until",
}
_COLUMNS = (
    "id, event_key::text AS event_key, event_id::text AS event_id, topic, partition,"
    ' "offset" AS place, kind, recipient, state, attempts, last_error, created_at,'
    " CASE WHEN due_at < 'infinity' AND state = 'pending' THEN due_at END AS due_at,"
    " finished_at, leased_by"
)
# A row that a sender has in its hand is its own until the lease ends.
_FREE = "(lease_until IS NULL OR lease_until <= clock_timestamp())"
_MAY_RETRY = (
    f"(state IN ('failed', 'cancelled') OR state = 'pending' AND {_FREE}"
    " AND due_at > clock_timestamp() AND due_at < 'infinity')"
)
_MAY_CANCEL = f"(state = 'pending' AND {_FREE})"
_RETRY = text(
    "UPDATE deliveries SET state = 'pending', due_at = clock_timestamp(), finished_at = NULL,"
    " tried_since = clock_timestamp(), attempts_before = attempts,"
    " lease_until = NULL, leased_by = NULL WHERE id = ANY (:ids)"
)
_CANCEL = text(
    "UPDATE deliveries SET state = 'cancelled', finished_at = clock_timestamp(),"
    " lease_until = NULL, leased_by = NULL WHERE id = ANY (:ids)"
)


def find(connection: Connection, wanted: Filter, limit: int, before: int | None = None) -> Page:
    """The newest first, those with an id below `before`."""
    return _page(connection, wanted, limit, "id < :from", before, "DESC")


def retry(
    connection: Connection, schema: str, wanted: Filter, limit: int, after: int, *, dry_run: bool
) -> Page:
    """Make due what failed, was cancelled or waits for another attempt, and try it for as long as
    what is new. The rows changed, as they were before; in a dry run those that would be."""
    page = _page(connection, wanted, limit, "id > :from", after, "", _MAY_RETRY, lock=not dry_run)
    if page.rows and not dry_run:
        connection.execute(_RETRY, {"ids": [row.id for row in page.rows]})
        connection.execute(text("SELECT pg_notify(:c, '')"), {"c": ledger.channel(schema)})
    return page


def cancel(
    connection: Connection, schema: str, wanted: Filter, limit: int, after: int, *, dry_run: bool
) -> Page:
    """Cancel what is pending and in no sender's hand; the next to each recipient is due then."""
    page = _page(connection, wanted, limit, "id > :from", after, "", _MAY_CANCEL, lock=not dry_run)
    if page.rows and not dry_run:
        ids = [row.id for row in page.rows]
        connection.execute(_CANCEL, {"ids": ids})
        leasing.wake_next(connection, ids)
        connection.execute(text("SELECT pg_notify(:c, '')"), {"c": ledger.channel(schema)})
    return page


def _page(
    connection: Connection,
    wanted: Filter,
    limit: int,
    place: str,
    start: int | None,
    direction: str,
    also: str = "true",
    *,
    lock: bool = False,
) -> Page:
    given = {name: value for name, value in vars(wanted).items() if value not in (None, (), [])}
    conditions = [also, *(_CONDITIONS[name] for name in given)]
    if start is not None:
        conditions.append(place)
    statement = text(
        f"SELECT {_COLUMNS} FROM deliveries WHERE {' AND '.join(conditions)}"  # noqa: S608  (constants)
        f" ORDER BY id {direction} LIMIT :limit{' FOR UPDATE SKIP LOCKED' if lock else ''}"
    )
    rows = connection.execute(statement, given | {"from": start, "limit": limit}).all()
    return Page(rows, rows[-1].id if len(rows) == limit else None)
