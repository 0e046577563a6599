"""What operators do with held sequences: look, run them again, or discard the record that failed.

Any process may do it, whichever replica holds the partition. A sequence runs in the order of its
records, in one transaction. The consumer does not wait for it, and may hold more of them meanwhile:
these are run last, under a lock that it waits for.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from rollcall_events.codec import RawRecord
from rollcall_events.deadline import HANDLER_DEADLINE, Deadline, watching
from rollcall_events.envelope import Position
from rollcall_events.folding import Failure, HandlerFailed, Held, Outcome, decode_all, fold
from rollcall_events.held import holding, letting_go, record_of
from rollcall_events.inbox import (
    COMMIT,
    KNOW,
    asking,
    connect,
    handle,
    known_by,
    remembering,
    send_all,
)
from rollcall_events.postgres import Wire, may_be_the_record
from rollcall_events.subscription import Statement, Subscription
from rollcall_events.tracing import Processing


class NotParked(Exception):
    """No sequence of that key is held, or it is another of its records that failed."""


@dataclass(frozen=True)
class ParkedSequence:
    """The records of a key that are held. The position, event, reason and stack are those of the
    first, which could not be handled; `held` counts those behind it."""

    key: str
    position: Position
    event_id: str
    type: str
    reason: str
    stack: str
    attempts: int
    parked_at: datetime
    tried_at: datetime
    held: int


@dataclass(frozen=True)
class Run:
    """What came of running a sequence. left: records that are still held, and why; 0 if none."""

    outcome: Outcome
    left: int
    failure: Failure | None


@dataclass(frozen=True)
class _Discard:
    position: Position
    reason: str


def counts(connection: Connection) -> tuple[int, int]:
    """How many sequences of the group are held, and how many records in all."""
    row = connection.execute(_COUNTS).one()
    return row.sequences, row.records


def sequences(
    connection: Connection, topic: str, limit: int, after: str | None = None
) -> list[ParkedSequence]:
    """Held sequences in the order of their keys, from behind `after`."""
    rows = connection.execute(_SEQUENCES, {"key": None, "after": after, "limit": limit})
    return [_sequence(topic, row) for row in rows]


def sequence(connection: Connection, topic: str, key: str) -> ParkedSequence:
    """Raises NotParked."""
    rows = connection.execute(_SEQUENCES, {"key": key, "after": None, "limit": 1})
    row = rows.one_or_none()
    if row is None:
        raise NotParked(f"nothing of {key} is held")
    return _sequence(topic, row)


def held_records(connection: Connection, topic: str, key: str, limit: int) -> list[RawRecord]:
    """The first records of a held sequence, in order."""
    rows = connection.execute(_RECORDS, {"key": key, "limit": limit})
    return [record_of(topic, key, row) for row in rows]


def redrive(
    engine: Engine,
    subscription: Subscription,
    key: str,
    partitions: int,
    *,
    dry_run: bool = False,
    handler_deadline: float = HANDLER_DEADLINE,
) -> Run:
    """Handle the held records of a key in order. If one fails again, those before it are done,
    and it and the rest stay held. dry_run: do it all, and take it back. handler_deadline: seconds
    after which a handler is interrupted, and has failed.

    Raises NotParked, and the store's errors, after which nothing has changed.
    """
    last = (_ROLLBACK, ()) if dry_run else COMMIT
    with watching(handler_deadline) as deadline:
        return _Sequence(engine, subscription, key, partitions, last, deadline).run(None)


def discard(
    engine: Engine,
    subscription: Subscription,
    key: str,
    position: Position,
    reason: str,
    partitions: int,
    *,
    dry_run: bool = False,
    handler_deadline: float = HANDLER_DEADLINE,
) -> Run:
    """Reject the record that failed, for ever, with a reason that the audit trail shows; then
    `redrive`. Raises as that does, and NotParked if it is not the record that failed."""
    last = (_ROLLBACK, ()) if dry_run else COMMIT
    with watching(handler_deadline) as deadline:
        sequence_ = _Sequence(engine, subscription, key, partitions, last, deadline)
        return sequence_.run(_Discard(position, reason))


class _Sequence:
    """A held sequence. last: what ends the transaction that runs it."""

    def __init__(
        self,
        engine: Engine,
        subscription: Subscription,
        key: str,
        partitions: int,
        last: Statement,
        deadline: Deadline,
    ):
        self._engine = engine
        self._subscription = subscription
        self._key = key
        self._partitions = partitions
        self._last = last
        self._deadline = deadline

    def run(self, discarded: _Discard | None) -> Run:
        failures: dict[Position, Failure] = {}
        while True:
            with self._begun(discarded) as (wire, records):
                try:
                    return self._apply(wire, records, failures)
                except HandlerFailed as failed:
                    failures[failed.record.position] = failed.failure
                    continue
                except Exception as raised:  # of whatever writes for many records
                    if not may_be_the_record(raised):
                        raise
                    error = raised
            record, failure = self._first_to_fail(discarded, failures, error)
            if record.position in failures:
                raise error
            failures[record.position] = failure

    def _first_to_fail(
        self,
        discarded: _Discard | None,
        failures: Mapping[Position, Failure],
        error: Exception,
    ) -> tuple[RawRecord, Failure]:
        """By halving: all before it can be done together."""
        with self._begun(discarded) as (_, records):
            good, bad = 0, len(records)
        untold = Outcome(), Processing(self._subscription.group)
        while bad - good > 1:
            middle = (good + bad) // 2
            with self._begun(discarded) as (wire, _):
                try:
                    statements, _ = self._handle(wire, records[:middle], failures, *untold)
                    send_all(wire, statements)
                    good = middle
                except HandlerFailed as failed:
                    return failed.record, failed.failure
                except Exception as again:
                    if not may_be_the_record(again):
                        raise
                    bad, error = middle, again
        return records[good], Failure.of(error)

    @contextmanager
    def _begun(self, discarded: _Discard | None) -> Iterator[tuple[Wire, Sequence[RawRecord]]]:
        """Lock the sequence, and read its records. In a session of its own each time: one in which
        a handler took too long may have ended."""
        with connect(self._engine, self._subscription) as wire:
            rows = wire.send(_BEGIN, (self._key,))
            failed = [Position(self._subscription.topic, r.partition, r.offset) for r in rows]
            if not failed:
                raise NotParked(f"nothing of {self._key} is held")
            if discarded is not None:
                if failed != [discarded.position]:
                    raise NotParked("another record is the one that failed: look again")
                place = (discarded.position.partition, discarded.position.offset, discarded.reason)
                wire.send(_DISCARD.format(discards=self._subscription.discards), place)
            yield wire, self._load(wire, "EXECUTE load_held (%s, 0)", self._key)

    def _load(self, wire: Wire, statement: str, *parameters: str | int) -> Sequence[RawRecord]:
        rows = wire.send(statement, parameters)
        return [record_of(self._subscription.topic, self._key, row) for row in rows]

    def _apply(
        self, wire: Wire, records: Sequence[RawRecord], failures: Mapping[Position, Failure]
    ) -> Run:
        outcome, processing = Outcome(), Processing(self._subscription.group)
        statements, held = self._handle(wire, records, failures, outcome, processing)
        if not held:
            more = self._load(wire, _END, self._key, self._key, records[-1].offset + 1)
            if more:
                send_all(wire, statements)
                statements, held = self._handle(wire, more, failures, outcome, processing)
        ending = [] if held else [("EXECUTE unpark (%s)", (self._key,))]
        send_all(wire, [*statements, *ending, self._last])
        if self._last is COMMIT:
            processing.committed()
        return Run(outcome, len(held), next((h.failure for h in held), None))

    def _handle(
        self,
        wire: Wire,
        records: Sequence[RawRecord],
        failures: Mapping[Position, Failure],
        outcome: Outcome,
        processing: Processing,
    ) -> tuple[Sequence[Statement], Sequence[Held]]:
        """What is to be sent of records once they are handled, and those that stay held."""
        decoded = decode_all(self._subscription, records, self._partitions, outcome)
        starts = {records[0].partition: records[0].offset}
        asked = asking(self._subscription.topic, starts, decoded)
        known = replace(known_by(wire.send(KNOW, asked)), held=frozenset())
        folded = fold(decoded, known, failures, outcome)
        statements = handle(wire, self._subscription, folded, processing, self._deadline)
        left = {held.record.position for held in folded.held}
        done = [record for record in records if record.position not in left]
        sent = [*statements, *remembering(folded), letting_go(done), *holding(folded)]
        return sent, folded.held


_ROLLBACK = "ROLLBACK"
_END = "EXECUTE end_held (%s); EXECUTE load_held (%s, %s)"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE run_held (%s)"
_DISCARD = (
    'INSERT INTO {discards} (partition, "offset", reason) VALUES (%s, %s, %s)'
    " ON CONFLICT DO NOTHING"
)
_COUNTS = text(
    "SELECT (SELECT count(*) FROM parked) AS sequences, (SELECT count(*) FROM held) AS records"
)
_SEQUENCES = text(
    """SELECT p.key::text AS key, p.partition, p."offset" AS place, h.event_id::text AS event_id,
         h.type, p.reason, p.stack, p.attempts, p.parked_at, p.tried_at,
         (SELECT count(*) - 1 FROM held o WHERE o.key = p.key) AS held
       FROM parked p JOIN held h ON h.partition = p.partition AND h."offset" = p."offset"
       WHERE p.key = coalesce(cast(:key AS uuid), p.key)
         AND (cast(:after AS uuid) IS NULL OR p.key > cast(:after AS uuid))
       ORDER BY p.key LIMIT :limit"""
)
_RECORDS = text(
    """SELECT partition, "offset", value, headers, timestamp_ms FROM held
       WHERE key = cast(:key AS uuid) ORDER BY partition, "offset" LIMIT :limit"""
)


def _sequence(topic: str, row: Any) -> ParkedSequence:
    return ParkedSequence(
        key=row.key,
        position=Position(topic, row.partition, row.place),
        event_id=row.event_id,
        type=row.type,
        reason=row.reason,
        stack=row.stack,
        attempts=row.attempts,
        parked_at=row.parked_at,
        tried_at=row.tried_at,
        held=row.held,
    )
