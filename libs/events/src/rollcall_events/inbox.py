"""The Postgres side of consuming: a batch, its offsets and its deduplication in one transaction.

`apply` sees records in partition order and promises that each event of a key is handled once, in
that order, whatever copies the log holds, and that nothing changes if another owner has gone on
in the meantime. Beside what handlers send it takes two messages to Postgres.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import Engine

from rollcall_events import held
from rollcall_events.codec import RawRecord
from rollcall_events.envelope import Position
from rollcall_events.folding import (
    Decoded,
    Failure,
    Folded,
    HandlerFailed,
    Known,
    Life,
    Outcome,
    decode_all,
    fold,
)
from rollcall_events.held import holding
from rollcall_events.postgres import Wire, array, may_be_the_record
from rollcall_events.subscription import Rejection, Statement, Subscription
from rollcall_events.tracing import Processing

NO_DEADLINE = nullcontext()
TOGETHER = 15.0  # seconds for the handlers of a transaction, which holds its partitions' offsets
NO_FAILURES: Mapping[Position, Failure] = {}


class StaleOwner(Exception):
    """Another consumer has moved the partition's offset: nothing of this batch may stay."""


class TooSlowTogether(Exception):
    """The handlers of several records took too long, and perhaps none of them by itself."""


def connect(engine: Engine, subscription: Subscription) -> Wire:
    """A session for `apply`."""
    prepare = _PREPARE + _PREPARE_KNOWN.format(discards=subscription.discards) + held.PREPARE
    return Wire(engine, prepare + subscription.prepare)


def apply(
    wire: Wire,
    subscription: Subscription,
    records: Sequence[RawRecord],
    starts: Mapping[int, int],
    partitions: int,
    failures: Mapping[Position, Failure] = NO_FAILURES,
    deadline: AbstractContextManager[None] = NO_DEADLINE,
) -> Outcome:
    """Apply records to the group's schema and move the offsets from `starts` past them.

    starts: the next offset of each partition that occurs, and no other, as the caller believes
    it to be. failures: records that are to be parked, because they are known to fail. deadline:
    entered around each handler. It is one transaction; whatever is raised, the caller closes the
    wire, which rolls it back. Raises StaleOwner if the offsets are others, and HandlerFailed with
    the record that could not be handled.
    """
    outcome = Outcome()
    _check_ascending(records, starts)
    decoded = decode_all(subscription, records, partitions, outcome)
    known = _begin(wire, subscription.topic, starts, decoded)
    folded = fold(decoded, known, failures, outcome)
    processing = Processing(subscription.group)
    statements = handle(wire, subscription, folded, processing, deadline, TOGETHER)
    send_all(
        wire,
        [
            *statements,
            *remembering(folded),
            *holding(folded),
            *_advancing(subscription, records),
            COMMIT,
        ],
    )
    processing.committed()
    return outcome


def handle(
    wire: Wire,
    subscription: Subscription,
    folded: Folded,
    processing: Processing,
    deadline: AbstractContextManager[None] = NO_DEADLINE,
    within: float = math.inf,
) -> Sequence[Statement]:
    """Run the handlers. Returns what is left to be sent. Raises TooSlowTogether where so many
    seconds have passed before the last of several, and IdleInTransactionSessionTimeout where it
    took too long to make what is left."""
    handlers = subscription.handlers
    handled = [(record, event) for record, event in folded.events if event.type in handlers]
    if not handled and not folded.rejections:
        return ()
    transaction = subscription.begin(wire, [event for _, event in handled])
    ends = time.monotonic() + within
    for number, (record, event) in enumerate(handled):
        if number and time.monotonic() > ends:
            raise TooSlowTogether
        try:
            with deadline, processing.handling(event):
                handlers[event.type](event, transaction)
            wire.keep()
        except Exception as error:  # whatever a handler raises is its record's trouble, but for:
            cause = error if may_be_the_record(error) else wire.idled()
            if cause is None:
                raise
            raise HandlerFailed(record, Failure.of(cause)) from cause
    statements = subscription.end(transaction, folded.rejections)
    wire.keep()
    return statements


# The offsets are locked by a statement before the one that reads, so that a stale owner waits, then
# sees what the other has committed, and stops.
_PREPARE = """
PREPARE claim (text, int[]) AS
  SELECT 1 FROM offsets WHERE topic = $1 AND partition = ANY ($2) ORDER BY partition FOR UPDATE;
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
# $2, $3: partitions, and the first offset of each that is asked about. $4, $5: events.
_PREPARE_KNOWN = """
PREPARE known (text, int[], bigint[], uuid[], uuid[]) AS
  SELECT 'offset' AS kind, partition::text AS name, next_offset::text AS value, false AS live
    FROM offsets WHERE topic = $1 AND partition = ANY ($2)
  UNION ALL SELECT 'seen', i.key::text, i.event_id::text, false
    FROM unnest($4, $5) AS v (key, event_id) JOIN inbox i USING (key, event_id)
  UNION ALL SELECT 'life', a.key::text, a.collection, a.live
    FROM (SELECT DISTINCT key FROM unnest($4) AS v (key)) AS v JOIN aggregates a USING (key)
  UNION ALL SELECT 'held', p.key::text, NULL, false
    FROM (SELECT DISTINCT key FROM unnest($4) AS v (key)) AS v JOIN parked p USING (key)
  UNION ALL SELECT 'discarded', d.partition || '/' || d."offset", d.reason, false
    FROM unnest($2, $3) AS v (partition, first)
    JOIN {discards} d ON d.partition = v.partition AND d."offset" >= v.first;
"""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE claim (%s, %s); "
KNOW = "EXECUTE known (%s, %s, %s, %s, %s)"
COMMIT: Statement = ("COMMIT", ())


def _begin(
    wire: Wire,
    topic: str,
    starts: Mapping[int, int],
    decoded: Sequence[tuple[RawRecord, Decoded]],
) -> Known:
    """Begin the transaction, and hold the offsets and the held sequences that get longer. Raises
    StaleOwner."""
    claimed = (topic, array(starts))
    asked = asking(topic, starts, decoded)
    rows = wire.send(_BEGIN + KNOW, (*claimed, *asked))
    if {int(row.name): int(row.value) for row in rows if row.kind == "offset"} != starts:
        raise StaleOwner
    known = known_by(rows)
    if known.held:  # perhaps not any more, once whoever ran them has ended them
        known = known_by(wire.send("EXECUTE lock_held (%s); " + KNOW, (array(known.held), *asked)))
    return known


def asking(
    topic: str, starts: Mapping[int, int], decoded: Sequence[tuple[RawRecord, Decoded]]
) -> tuple[str, ...]:
    """The parameters of `known`."""
    events = [item for _, item in decoded if not isinstance(item, Rejection)]
    return (
        topic,
        array(starts),
        array(starts.values()),
        array(e.key for e in events),
        array(e.id for e in events),
    )


def known_by(rows: Sequence[Any]) -> Known:
    """What the rows of `known` say."""
    of: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        of[row.kind].append(row)
    return Known(
        {(row.name, row.value) for row in of["seen"]},
        {row.name: Life(row.value, row.live) for row in of["life"]},
        {row.name for row in of["held"]},
        {_place(row.name): row.value for row in of["discarded"]},
    )


def _place(name: str) -> tuple[int, int]:
    partition, offset = name.split("/")
    return int(partition), int(offset)


def remembering(folded: Folded) -> Iterator[Statement]:
    if folded.seen:
        records = folded.seen.values()
        yield (
            "EXECUTE remember (%s, %s, %s, %s)",
            (
                array(key for key, _ in folded.seen),
                array(event_id for _, event_id in folded.seen),
                array(r.partition for r in records),
                array(r.offset for r in records),
            ),
        )
    if folded.lives:
        lives = folded.lives.values()
        yield (
            "EXECUTE set_lives (%s, %s, %s)",
            (
                array(folded.lives),
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


def send_all(wire: Wire, statements: Sequence[Statement]) -> None:
    """Send them all in one message."""
    parameters = [parameter for _, given in statements for parameter in given]
    wire.send("; ".join(statement for statement, _ in statements), parameters)
