"""The Postgres side of consuming: a batch, its offsets and its deduplication in one transaction.

`apply` sees records in partition order and promises that each event of a key is handled once, in
that order, whatever copies the log holds, and that nothing changes if another owner has gone on
in the meantime. Beside what handlers send it takes two messages to Postgres.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rollcall_events.codec import Malformed, RawRecord, UnknownType, decode
from rollcall_events.envelope import Event
from rollcall_events.postgres import Wire, array
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


# Statements with %s for their parameters, to be sent together with others.
Statement = tuple[str, Sequence[Any]]


def _its_connection(wire: Wire, events: Sequence[Event]) -> Connection:
    return wire.connection


def _nothing(transaction: Any, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    return ()


@dataclass(frozen=True)
class Subscription:
    """How a group folds a topic into its schema.

    handlers: event type → handler; other known types pass by. begin: makes the transaction that
    handlers see from the session and the batch's accepted events (SQLAlchemy's connection by
    default). end: is told what was rejected, and what it returns is sent together with the
    commit. prepare: statements that those two execute by name. owner: the group that must
    understand every type; the others skip and count those they do not know. announce: NOTIFY on
    the channel named like the schema, with the new offsets as JSON, when a batch commits.
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


def connect(engine: Engine, subscription: Subscription) -> Wire:
    """A session for `apply`."""
    return Wire(engine, _PREPARE + subscription.prepare)


def apply(
    wire: Wire,
    subscription: Subscription,
    records: Sequence[RawRecord],
    starts: Mapping[int, int],
    partitions: int,
) -> Outcome:
    """Apply records to the group's schema and move the offsets from `starts` past them.

    starts: the next offset of each partition that occurs, and no other, as the caller believes
    it to be. It is one transaction; whatever is raised, the caller closes the wire, which rolls
    it back. Raises StaleOwner if the offsets are others, and HandlerFailed with the record that
    could not be handled.
    """
    outcome = Outcome()
    _check_ascending(records, starts)
    decoded = _decode(subscription, records, partitions, outcome)
    known = _begin(
        wire, subscription.topic, starts, [e for _, e in decoded if isinstance(e, Event)]
    )
    accepted = _accept(decoded, known, outcome)
    statements = _handle(wire, subscription, accepted)
    _commit(
        wire, [*statements, *_remembering(accepted), *_advancing(subscription, records), _COMMIT]
    )
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
    decoded: Sequence[tuple[RawRecord, Event | Rejection]], known: "_Known", outcome: Outcome
) -> _Accepted:
    accepted = _Accepted()
    seen, lives = known.seen, known.lives
    for record, item in decoded:
        if isinstance(item, Rejection):
            accepted.rejections.append(item)
            continue
        identity = (item.key, item.id)
        if identity in seen:
            outcome.duplicates += 1
            continue
        seen.add(identity)
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


def _handle(wire: Wire, subscription: Subscription, accepted: _Accepted) -> Sequence[Statement]:
    """Returns what is left to be sent."""
    if not accepted.events and not accepted.rejections:
        return ()
    transaction = subscription.begin(wire, [event for _, event in accepted.events])
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
    return subscription.end(transaction, accepted.rejections)


# The offsets are locked by a statement before the one that reads, so that a stale owner waits, then
# sees what the other has committed, and stops.
_PREPARE = """
PREPARE claim (text, int[]) AS
  SELECT 1 FROM offsets WHERE topic = $1 AND partition = ANY ($2) ORDER BY partition FOR UPDATE;
PREPARE known (text, int[], uuid[], uuid[]) AS
  SELECT 'offset' AS kind, partition::text AS name, next_offset::text AS value, false AS live
    FROM offsets WHERE topic = $1 AND partition = ANY ($2)
  UNION ALL SELECT 'seen', i.key::text, i.event_id::text, false
    FROM unnest($3, $4) AS v (key, event_id) JOIN inbox i USING (key, event_id)
  UNION ALL SELECT 'life', a.key::text, a.collection, a.live
    FROM (SELECT DISTINCT key FROM unnest($3) AS v (key)) AS v JOIN aggregates a USING (key);
PREPARE remember (uuid[], uuid[], int[], bigint[]) AS
  INSERT INTO inbox (key, event_id, partition, "offset") SELECT * FROM unnest($1, $2, $3, $4);
PREPARE set_lives (uuid[], text[], boolean[]) AS
  INSERT INTO aggregates (key, collection, live) SELECT * FROM unnest($1, $2, $3)
  ON CONFLICT (key) DO UPDATE SET live = excluded.live WHERE aggregates.live <> excluded.live;
PREPARE advance (text, int[], bigint[], timestamptz[]) AS
  UPDATE offsets o SET next_offset = v.next_offset, recorded_at = v.recorded_at
  FROM unnest($2, $3, $4) AS v (partition, next_offset, recorded_at)
  WHERE o.topic = $1 AND o.partition = v.partition;
"""
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE claim (%s, %s); EXECUTE known (%s, %s, %s, %s)"
)
_COMMIT: Statement = ("COMMIT", ())


@dataclass(frozen=True)
class _Known:
    """What the store says of a batch's events: those it has seen, and their aggregates' lives."""

    seen: set[tuple[str, str]]
    lives: dict[str, Life]


def _begin(wire: Wire, topic: str, starts: Mapping[int, int], events: Sequence[Event]) -> _Known:
    """Begin the transaction, and hold the offsets. Raises StaleOwner."""
    partitions = array(starts)
    keys, ids = array(e.key for e in events), array(e.id for e in events)
    rows = wire.send(_BEGIN, (topic, partitions, topic, partitions, keys, ids))
    if {int(row.name): int(row.value) for row in rows if row.kind == "offset"} != starts:
        raise StaleOwner
    return _Known(
        {(row.name, row.value) for row in rows if row.kind == "seen"},
        {row.name: Life(row.value, row.live) for row in rows if row.kind == "life"},
    )


def _remembering(accepted: _Accepted) -> Iterator[Statement]:
    if accepted.seen:
        records = accepted.seen.values()
        yield (
            "EXECUTE remember (%s, %s, %s, %s)",
            (
                array(key for key, _ in accepted.seen),
                array(event_id for _, event_id in accepted.seen),
                array(r.partition for r in records),
                array(r.offset for r in records),
            ),
        )
    if accepted.lives:
        lives = accepted.lives.values()
        yield (
            "EXECUTE set_lives (%s, %s, %s)",
            (
                array(accepted.lives),
                array(life.collection for life in lives),
                array(life.live for life in lives),
            ),
        )


def _check_ascending(records: Sequence[RawRecord], starts: Mapping[int, int]) -> None:
    """A client that hands out a record twice, or one from before, is not to be followed."""
    reached = dict(starts)
    for record in records:
        if record.offset < reached[record.partition]:
            raise StaleOwner
        reached[record.partition] = record.offset + 1


def _advancing(subscription: Subscription, records: Sequence[RawRecord]) -> Iterator[Statement]:
    last = {record.partition: record for record in records}
    yield (
        "EXECUTE advance (%s, %s, %s, %s)",
        (
            subscription.topic,
            array(last),
            array(r.offset + 1 for r in last.values()),
            array(r.recorded_at for r in last.values()),
        ),
    )
    if subscription.announce:
        payload = json.dumps({p: r.offset + 1 for p, r in last.items()})
        yield "SELECT pg_notify(%s, %s)", (subscription.schema, payload)


def _commit(wire: Wire, statements: Sequence[Statement]) -> None:
    """Send them all in one message."""
    parameters = [parameter for _, given in statements for parameter in given]
    wire.send("; ".join(statement for statement, _ in statements), parameters)
