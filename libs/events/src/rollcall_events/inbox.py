"""The Postgres side of consuming: a batch, its offsets and its deduplication in one transaction.

`apply` is called inside a transaction that its caller commits or rolls back. It sees records in
partition order and promises that each event of a key is handled once, in that order, whatever
copies the log holds, and that nothing changes if another owner has gone on in the meantime.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rollcall_events.codec import Malformed, RawRecord, UnknownType, decode
from rollcall_events.envelope import Event
from rollcall_events.types import EVENT_TYPES, Lifecycle

_READ_ONLY = "25006"  # what a demoted primary says in a switchover
_LIMIT_EXCEEDED = "54"  # class of SQLSTATE: the record's own trouble


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


# A plain function of (event, transaction). It raises nothing that it expects.
Handler = Callable[[Event, Any], None]


@dataclass(frozen=True)
class Rejection:
    """A record that is wrong for ever (design §4). `event` is absent where none decodes."""

    record: RawRecord
    reason: str
    event: Event | None = None


def _same(connection: Connection, events: Sequence[Event]) -> Connection:
    return connection


def _nothing(transaction: Any, rejections: Sequence[Rejection]) -> None:
    pass


@dataclass(frozen=True)
class Subscription:
    """How a group folds a topic into its schema.

    handlers: event type → handler; other known types pass by. begin: makes the transaction that
    handlers see from the connection and the batch's accepted events (the connection itself by
    default). end: flushes it, and is told what was rejected. owner: the group that must
    understand every type; the others skip and count those they do not know. announce: NOTIFY on
    the channel named like the schema, with the new offsets as JSON, when a batch commits.
    """

    group: str
    schema: str
    topic: str
    handlers: Mapping[str, Handler]
    begin: Callable[[Connection, Sequence[Event]], Any] = _same
    end: Callable[[Any, Sequence[Rejection]], None] = _nothing
    owner: bool = False
    announce: bool = False


class StaleOwner(Exception):
    """Another consumer has moved the partition's offset: nothing of this batch may stay."""


class HandlerFailed(Exception):
    """A handler raised, or the owner met a type that it does not know."""

    def __init__(self, record: RawRecord, reason: str):
        super().__init__(reason)
        self.record = record
        self.reason = reason


@dataclass
class Outcome:
    """What a batch came to, in events; and in records for those that held none."""

    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Life:
    """What the log has made of a key: an aggregate of this collection, living or deleted."""

    collection: str
    live: bool


@dataclass
class _Accepted:
    events: list[tuple[RawRecord, Event]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    seen: dict[tuple[str, str], RawRecord] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)


def apply(
    connection: Connection,
    subscription: Subscription,
    records: Sequence[RawRecord],
    starts: Mapping[int, int],
    partitions: int,
) -> Outcome:
    """Apply records to the group's schema and move the offsets from `starts` past them.

    starts: the next offset of each partition that occurs, and no other, as the caller believes
    it to be.
    Raises StaleOwner if it is not, and HandlerFailed with the record that could not be handled.
    """
    outcome = Outcome()
    _claim(connection, subscription.topic, starts)
    _check_ascending(records, starts)
    decoded = _decode(subscription, records, partitions, outcome)
    accepted = _accept(connection, decoded, outcome)
    _handle(connection, subscription, accepted)
    _remember(connection, accepted)
    _advance(connection, subscription, records)
    outcome.applied = len(accepted.events)
    outcome.rejected = len(accepted.rejections)
    return outcome


def _decode(
    subscription: Subscription, records: Sequence[RawRecord], partitions: int, outcome: Outcome
) -> list[tuple[RawRecord, Event | Rejection]]:
    decoded: list[tuple[RawRecord, Event | Rejection]] = []
    for record in records:
        try:
            decoded.append((record, decode(record, partitions)))
        except Malformed as error:
            decoded.append((record, Rejection(record, str(error))))
        except UnknownType as error:
            if subscription.owner:
                raise HandlerFailed(record, str(error)) from None
            outcome.skipped += 1
    return decoded


def _accept(
    connection: Connection,
    decoded: Sequence[tuple[RawRecord, Event | Rejection]],
    outcome: Outcome,
) -> _Accepted:
    accepted = _Accepted()
    events = [e for _, e in decoded if isinstance(e, Event)]
    known = _already_seen(connection, events)
    lives = _lives(connection, events)
    for record, item in decoded:
        if isinstance(item, Rejection):
            accepted.rejections.append(item)
            continue
        identity = (item.key, item.id)
        if identity in known:
            outcome.duplicates += 1
            continue
        known.add(identity)
        accepted.seen[identity] = record
        reason = _against_lifecycle(item, lives.get(item.key))
        if reason:
            accepted.rejections.append(Rejection(record, reason, item))
            continue
        type_ = EVENT_TYPES[item.type]
        lives[item.key] = Life(type_.collection, type_.lifecycle is not Lifecycle.ENDS)
        accepted.lives[item.key] = lives[item.key]
        accepted.events.append((record, item))
    return accepted


def _against_lifecycle(event: Event, life: Life | None) -> str | None:
    """Why an event cannot follow what its aggregate went through, or None."""
    type_ = EVENT_TYPES[event.type]
    noun = type_.collection.removesuffix("s")
    if life is not None and life.collection != type_.collection:
        return f"the id is not of a {noun}"
    if type_.lifecycle is Lifecycle.BEGINS:
        return None if life is None else f"the {noun} exists already, or did"
    if life is None:
        return f"no such {noun}"
    return None if life.live else f"the {noun} was deleted"


def _handle(connection: Connection, subscription: Subscription, accepted: _Accepted) -> None:
    if not accepted.events and not accepted.rejections:
        return
    transaction = subscription.begin(connection, [event for _, event in accepted.events])
    for record, event in accepted.events:
        handler = subscription.handlers.get(event.type)
        if handler is None:
            continue
        try:
            handler(event, transaction)
        except Exception as error:  # whatever a handler raises is its record's trouble, but for:
            if is_store_trouble(error):
                raise
            raise HandlerFailed(record, type(error).__name__) from error
    subscription.end(transaction, accepted.rejections)


_SEEN = text(
    "SELECT i.key::text, i.event_id::text FROM inbox i JOIN unnest(cast(:keys AS uuid[]),"
    " cast(:ids AS uuid[])) AS v (key, event_id) USING (key, event_id)"
)
_LIVES = text(
    "SELECT key::text AS key, collection, live FROM aggregates"
    " WHERE key = ANY (cast(:keys AS uuid[]))"
)
_REMEMBER = text(
    'INSERT INTO inbox (key, event_id, partition, "offset") SELECT * FROM unnest('
    "cast(:keys AS uuid[]), cast(:ids AS uuid[]), cast(:partitions AS int[]),"
    " cast(:offsets AS bigint[]))"
)
_SET_LIVES = text(
    "INSERT INTO aggregates (key, collection, live) SELECT * FROM unnest(cast(:keys AS uuid[]),"
    " cast(:collections AS text[]), cast(:live AS boolean[]))"
    " ON CONFLICT (key) DO UPDATE SET live = excluded.live"
    " WHERE aggregates.live <> excluded.live"
)
_CLAIM = text(
    "SELECT partition, next_offset FROM offsets WHERE topic = :topic"
    " AND partition = ANY (cast(:partitions AS int[])) ORDER BY partition FOR UPDATE"
)
_ADVANCE = text(
    "UPDATE offsets o SET next_offset = v.next_offset, recorded_at = v.recorded_at"
    " FROM unnest(cast(:partitions AS int[]), cast(:nexts AS bigint[]),"
    " cast(:times AS timestamptz[])) AS v (partition, next_offset, recorded_at)"
    " WHERE o.topic = :topic AND o.partition = v.partition"
)
_ANNOUNCE = text("SELECT pg_notify(:channel, :payload)")


def _already_seen(connection: Connection, events: Sequence[Event]) -> set[tuple[str, str]]:
    if not events:
        return set()
    rows = connection.execute(
        _SEEN, {"keys": [e.key for e in events], "ids": [e.id for e in events]}
    )
    return {(key, event_id) for key, event_id in rows}


def _lives(connection: Connection, events: Sequence[Event]) -> dict[str, Life]:
    if not events:
        return {}
    rows = connection.execute(_LIVES, {"keys": list({e.key for e in events})})
    return {row.key: Life(row.collection, row.live) for row in rows}


def _remember(connection: Connection, accepted: _Accepted) -> None:
    if accepted.seen:
        connection.execute(
            _REMEMBER,
            {
                "keys": [key for key, _ in accepted.seen],
                "ids": [event_id for _, event_id in accepted.seen],
                "partitions": [r.partition for r in accepted.seen.values()],
                "offsets": [r.offset for r in accepted.seen.values()],
            },
        )
    if accepted.lives:
        parameters = {
            "keys": list(accepted.lives),
            "collections": [life.collection for life in accepted.lives.values()],
            "live": [life.live for life in accepted.lives.values()],
        }
        connection.execute(_SET_LIVES, parameters)


def _claim(connection: Connection, topic: str, starts: Mapping[int, int]) -> None:
    """Lock the offsets before anything is read, so that a stale owner waits here and then stops."""
    rows = connection.execute(_CLAIM, {"topic": topic, "partitions": list(starts)})
    if {row.partition: row.next_offset for row in rows} != starts:
        raise StaleOwner


def _check_ascending(records: Sequence[RawRecord], starts: Mapping[int, int]) -> None:
    """A client that hands out a record twice, or one from before, is not to be followed."""
    reached = dict(starts)
    for record in records:
        if record.offset < reached[record.partition]:
            raise StaleOwner
        reached[record.partition] = record.offset + 1


def _advance(
    connection: Connection, subscription: Subscription, records: Sequence[RawRecord]
) -> None:
    last = {record.partition: record for record in records}
    parameters = {
        "topic": subscription.topic,
        "partitions": list(last),
        "nexts": [r.offset + 1 for r in last.values()],
        "times": [r.recorded_at for r in last.values()],
    }
    connection.execute(_ADVANCE, parameters)
    if subscription.announce:
        payload = json.dumps({p: r.offset + 1 for p, r in last.items()})
        connection.execute(_ANNOUNCE, {"channel": subscription.schema, "payload": payload})
