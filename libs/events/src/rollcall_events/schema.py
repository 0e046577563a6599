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


def create_v1(op: Operations) -> None:
    """Make the tables in the schema that is first on the connection's search path."""
    for statement in CREATE_V1:
        op.execute(statement)
