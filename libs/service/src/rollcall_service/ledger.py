"""The delivery ledger: what a group owes the world, in the group's own schema.

A handler's rows are added with its batch, with recipients and everything that rendering needs fixed
then. A sender takes due rows under a lease and records what became of them (leasing.py); operators
find and change them (deliveries.py). A row is open while it is `pending`; `sent`, `failed`,
`cancelled` and `settled` are final.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, text

from rollcall_events import Statement, tracing
from rollcall_events.postgres import array

STATES = ("pending", "sent", "failed", "cancelled", "settled")


class Operations(Protocol):
    """What is used of Alembic's `op`, so that any migration tool may run it."""

    def execute(self, sqltext: str) -> object: ...


class _Position(Protocol):
    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class Cause(Protocol):
    """The event that a delivery is about, as the events library gives it."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def position(self) -> _Position: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def imported(self) -> bool: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def tracestate(self) -> str | None: ...


@dataclass(frozen=True)
class Message:
    """What a handler decides to send, to each of `recipients`. `kind` names the template,
    `payload` is JSON."""

    kind: str
    recipients: Sequence[str]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """A row in a sender's hand: the message, its cause, and which attempt this is."""

    id: int
    event_key: str
    event_id: str
    kind: str
    recipient: str
    payload: Mapping[str, Any]
    attempts: int  # this one included
    age: float  # seconds since the row was added, or an operator last asked for another attempt
    traceparent: str | None = None  # of whoever traces what made the row
    tracestate: str | None = None
    attempts_before: int = 0  # those before an operator last asked for another


CREATE_V1 = (
    # The cut-off: a new group owes nothing for events that the log held before its schema.
    "CREATE TABLE ledger_cutoff (at timestamptz NOT NULL)",
    "INSERT INTO ledger_cutoff VALUES (clock_timestamp())",
    """CREATE TABLE deliveries (
         id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         event_key uuid NOT NULL, event_id uuid NOT NULL,
         topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
         kind text NOT NULL, recipient text NOT NULL, payload jsonb NOT NULL,
         state text NOT NULL
           CHECK (state IN ('pending', 'sent', 'failed', 'cancelled', 'settled')),
         attempts integer NOT NULL DEFAULT 0,
         due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
         lease_until timestamptz, leased_by text,
         last_error text,
         created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
         finished_at timestamptz,
         -- An event is identified by its key and its id, as everywhere.
         UNIQUE (event_key, event_id, kind, recipient))""",
    # Due rows; a recipient's earliest; when it was last sent to; the counts. The first is only
    # for conditions on due_at: with old statistics it would seem good enough for a recipient's.
    """CREATE INDEX deliveries_due ON deliveries (due_at, id)
         WHERE state = 'pending' AND due_at IS NOT NULL""",
    "CREATE INDEX deliveries_open ON deliveries (recipient, id) WHERE state = 'pending'",
    "CREATE INDEX deliveries_sent ON deliveries (recipient, finished_at) WHERE state = 'sent'",
    "CREATE INDEX deliveries_done ON deliveries (state) WHERE state <> 'pending'",
)


def create_v1(op: Operations) -> None:
    """Make the ledger in the schema that is first on the connection's search path."""
    for statement in CREATE_V1:
        op.execute(statement)


def create_v2(op: Operations) -> None:
    """Keep the trace that a row belongs to. Older rows have none, nor those that nobody traces."""
    op.execute("ALTER TABLE deliveries ADD COLUMN traceparent text, ADD COLUMN tracestate text")


def create_v3(op: Operations) -> None:
    """Find what is on its way to a recipient among any number of rows that wait for them."""
    op.execute(
        "CREATE INDEX deliveries_leased ON deliveries (recipient) WHERE lease_until IS NOT NULL"
    )


def create_v4(op: Operations) -> None:
    """Since when a row is tried, and after how many attempts: its last retry by hand."""
    op.execute(
        "ALTER TABLE deliveries ADD COLUMN tried_since timestamptz,"
        " ADD COLUMN attempts_before integer NOT NULL DEFAULT 0"
    )


def channel(schema: str) -> str:
    """The Postgres channel on which a schema's sender hears of new rows."""
    return f"{schema}_deliveries"


# Rows get their ids in the order in which handlers added them, which is a recipient's order. A
# settled row keeps no payload: nothing will ever be rendered from it. Without a cut-off all is.
PREPARE = """
PREPARE owe (uuid[], uuid[], text[], int[], bigint[], timestamptz[], boolean[], text[], text[],
             text[], text[], text[]) AS
  WITH messages AS (
    SELECT *, coalesce(imported OR recorded_at < (SELECT at FROM ledger_cutoff), true) AS settles
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY
      AS m (key, id, topic, partition, "offset", recorded_at, imported, traceparent, tracestate,
            kind, recipients, payload, place)),
  added AS (
    INSERT INTO deliveries (event_key, event_id, topic, partition, "offset",
                            kind, recipient, payload, state, finished_at,
                            traceparent, tracestate)
    SELECT key, id, topic, partition, "offset", kind, recipient,
           CASE WHEN settles THEN '{}' ELSE payload::jsonb END,
           CASE WHEN settles THEN 'settled' ELSE 'pending' END,
           CASE WHEN settles THEN clock_timestamp() END, traceparent, tracestate
    FROM messages m, jsonb_array_elements_text(recipients::jsonb) WITH ORDINALITY
                       AS r (recipient, place)
    ORDER BY m.place, r.place
    ON CONFLICT DO NOTHING
    RETURNING state)
  SELECT pg_notify(current_schema() || '_deliveries', '')
  WHERE EXISTS (SELECT FROM added WHERE state = 'pending');
"""


class Owed:
    """What the handlers of a batch decide to send, on its way into the ledger with the batch."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def add(self, event: Cause, messages: Iterable[Message]) -> None:
        """Owe `messages` for `event`; within its handler, whose span its deliveries belong to.

        Repeating it changes nothing. What an event before the cut-off, or one of an import, would
        have sent is settled. If the event is traced, so is what becomes of the rows.
        """
        place = (event.position.topic, event.position.partition, event.position.offset)
        cause = (event.key, event.id, *place, event.recorded_at, event.imported, *_trace(event))
        for message in messages:
            if message.recipients:
                recipients, payload = json.dumps(message.recipients), json.dumps(message.payload)
                self._rows.append((*cause, message.kind, recipients, payload))

    def adding(self) -> Iterator[Statement]:
        """What adds the rows, of a session with PREPARE; the sender wakes on its commit."""
        if self._rows:
            columns = tuple(array(column) for column in zip(*self._rows, strict=True))
            yield f"EXECUTE owe ({', '.join(['%s'] * len(columns))})", columns


def _trace(event: Cause) -> tuple[str | None, str | None]:
    """Of the span in which the event is handled, or where that is not recorded of the event."""
    if not tracing.is_sampled(event.traceparent):
        return None, None
    return tracing.current() or (event.traceparent, event.tracestate)


def counts(connection: Connection) -> dict[str, int]:
    """How many rows are in each state, every state named."""
    rows = connection.execute(_COUNTS)
    return dict.fromkeys(STATES, 0) | {row.state: row.n for row in rows}


_COUNTS = text("""
    SELECT state, count(*) AS n FROM deliveries WHERE state <> 'pending' GROUP BY state
    UNION ALL SELECT 'pending', count(*) FROM deliveries WHERE state = 'pending'
""")
