"""The tables that a group needs in its schema, for the first migration of its service."""

from typing import Protocol


class Operations(Protocol):
    """What is used of Alembic's `op`, so that any migration tool may run it."""

    def execute(self, sqltext: str) -> object: ...


CREATE_V1 = (
    # next_offset: the offset that the group applies next; the guard against stale owners.
    """CREATE TABLE offsets (
         topic text NOT NULL, partition integer NOT NULL, next_offset bigint NOT NULL,
         topic_id text NOT NULL, recorded_at timestamptz,
         PRIMARY KEY (topic, partition))""",
    # Every event that the group has applied or rejected, for ever: a second copy is dropped
    # however late it comes. The position is the first copy's.
    """CREATE TABLE inbox (
         key uuid NOT NULL, event_id uuid NOT NULL,
         partition integer NOT NULL, "offset" bigint NOT NULL,
         PRIMARY KEY (key, event_id))""",
    # Which collection an aggregate is of, and whether it lives. No row: it never existed.
    """CREATE TABLE aggregates (
         key uuid PRIMARY KEY, collection text NOT NULL, live boolean NOT NULL)""",
)


CREATE_V2 = (
    # A sequence that is held: the key of an aggregate, and its first record that could not be
    # handled, with why and how often it was tried.
    """CREATE TABLE parked (
         key uuid PRIMARY KEY, partition integer NOT NULL, "offset" bigint NOT NULL,
         reason text NOT NULL, stack text NOT NULL, attempts integer NOT NULL DEFAULT 1,
         parked_at timestamptz NOT NULL DEFAULT now(),
         tried_at timestamptz NOT NULL DEFAULT now())""",
    # The records of held sequences as they were read, the first that could not be handled
    # included. headers: JSON, [[name, base64 or null], ...].
    """CREATE TABLE held (
         partition integer NOT NULL, "offset" bigint NOT NULL,
         key uuid NOT NULL, event_id uuid NOT NULL, type text NOT NULL,
         value bytea, headers bytea NOT NULL, timestamp_ms bigint NOT NULL,
         PRIMARY KEY (partition, "offset"))""",
    'CREATE INDEX held_key ON held (key, "offset")',
)

# Records that are to be rejected by hand, wherever the group reads them (design §6).
CREATE_DISCARDS_V1 = (
    """CREATE TABLE discards (
         partition integer NOT NULL, "offset" bigint NOT NULL, reason text NOT NULL,
         discarded_at timestamptz NOT NULL DEFAULT now(),
         PRIMARY KEY (partition, "offset"))""",
)

# For a group that answers for moments: whatever was recorded on the partition until then is folded.
CREATE_MOMENTS_V1 = ("ALTER TABLE offsets ADD COLUMN at_end timestamptz",)


def create_v1(op: Operations) -> None:
    """Make the tables in the schema that is first on the connection's search path."""
    for statement in CREATE_V1:
        op.execute(statement)


def create_v2(op: Operations) -> None:
    """Add what parking needs, likewise. A group that fills its schema anew makes the table of
    discards elsewhere, by `create_discards_v1`, and the rest by CREATE_V2."""
    for statement in CREATE_V2:
        op.execute(statement)
    create_discards_v1(op)


def create_discards_v1(op: Operations) -> None:
    for statement in CREATE_DISCARDS_V1:
        op.execute(statement)
