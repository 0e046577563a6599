"""What the author of a service writes: which events it handles, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from rollcall_events.codec import RawRecord
from rollcall_events.envelope import Event
from rollcall_events.postgres import Wire

# A plain function of (event, transaction). It raises nothing that it expects.
Handler = Callable[[Event, Any], None]

# A statement with %s for its parameters, to be sent together with others.
Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class Rejection:
    """A record that is wrong for ever (design §4). `event` is absent where none decodes."""

    record: RawRecord
    reason: str
    event: Event | None = None


def _its_connection(wire: Wire, events: Sequence[Event]) -> Connection:
    return wire.connection


def _nothing(transaction: Any, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    return ()


@dataclass(frozen=True)
class Subscription:
    """How a group folds a topic into its schema.

    handlers: event type → handler; other known types pass by. The record of one that raises, or
    asks Postgres nothing for 4 s (of IDLE_LIMIT), is parked. begin: makes the transaction that
    handlers see from the session and the events that they will get (SQLAlchemy's connection by
    default); neither it nor `end` is called for a batch without any, and without a rejection. end:
    is told what was rejected, and what it returns is sent together with the commit. prepare:
    statements that those two execute by name. owner: the group that must understand every type;
    the others skip and count those they do not know. announce: NOTIFY on the channel named like
    the schema, with the new offsets as JSON, when a batch commits. discards: the table of what was
    discarded by hand; it outlives a schema that is filled anew.
    """

    group: str
    schema: str
    topic: str
    handlers: Mapping[str, Handler]
    begin: Callable[[Wire, Sequence[Event]], Any] = _its_connection
    end: Callable[[Any, Sequence[Rejection]], Sequence[Statement]] = _nothing
    prepare: str = ""
    owner: bool = False
    announce: bool = False
    discards: str = "discards"
