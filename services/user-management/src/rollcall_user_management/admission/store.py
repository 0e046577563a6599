"""Admissions in Postgres: one short transaction checks everything and stores the event.

The order is the guarantee. The transaction first takes advisory locks on its command id, its
aggregate and its unique value, sorted, so that two of them cannot wait for each other; only the
statement after that reads, so that under READ COMMITTED it sees all that earlier holders of
those locks committed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from psycopg2.extras import Json
from sqlalchemy import Connection, text

from rollcall_events import Position, Record, Recorded
from rollcall_user_management.domain.decide import Claim

RECOVER_AFTER = 5  # seconds until an admission not known to be in the log is appended again
KEEP_ANSWERS = 24  # hours that the answer of a settled admission is kept for a repetition


@dataclass(frozen=True)
class Admission:
    """version: that the event gives its aggregate. answer: what the command is told, encoded."""

    event_id: str
    key: str
    version: int
    command_id: str
    claim: Claim | None
    record: Record
    answer: bytes


@dataclass(frozen=True)
class Kept:
    """An admission of the same command id, made earlier. recorded: None if not yet known."""

    answer: bytes
    recorded: Recorded | None


class Refusal(Enum):
    """Why nothing was admitted."""

    MOVED = "the aggregate is no longer as it was decided on"
    BUSY = "one of its admissions is not known to be in the log"
    TAKEN = "another aggregate has the value"
    TAKEN_FOR_NOW = "another has the value, and an unsettled admission; it may yet lose it"
    ID_TAKEN = "the id is of an aggregate of another collection"


_LOCK = text("SELECT pg_advisory_xact_lock(l) FROM unnest(cast(:locks AS bigint[])) AS l")

_CHECK = text(
    """
    WITH others AS (
      SELECT key FROM admissions
       WHERE claim = :claim AND settled_at IS NULL AND key <> cast(:key AS uuid)
      UNION ALL
      SELECT id FROM users WHERE :field = 'email' AND email_key = :value
         AND deleted_at IS NULL AND id <> cast(:key AS uuid)
      UNION ALL
      SELECT id FROM roles WHERE :field = 'name' AND name_key = :value
         AND deleted_at IS NULL AND id <> cast(:key AS uuid))
    SELECT coalesce((SELECT version FROM users WHERE id = cast(:key AS uuid)),
                    (SELECT version FROM roles WHERE id = cast(:key AS uuid)), 0)
           + (SELECT count(*) FROM admissions
               WHERE key = cast(:key AS uuid) AND settled_at IS NULL) AS version,
           EXISTS (SELECT 1 FROM admissions WHERE key = cast(:key AS uuid)
                      AND headers->>'ce_subject' <> :subject)
           OR EXISTS (SELECT 1 FROM users WHERE id = cast(:key AS uuid) AND :subject LIKE 'roles/%')
           OR EXISTS (SELECT 1 FROM roles WHERE id = cast(:key AS uuid) AND :subject LIKE 'users/%')
           AS id_taken,
           EXISTS (SELECT 1 FROM admissions WHERE key = cast(:key AS uuid)
                      AND settled_at IS NULL AND appended_at IS NULL) AS busy,
           EXISTS (SELECT 1 FROM others) AS taken,
           EXISTS (SELECT 1 FROM others JOIN admissions a USING (key)
                    WHERE a.settled_at IS NULL) AS by_unsettled
    """
)

_INSERT = text(
    "INSERT INTO admissions (event_id, key, version, command_id, claim, topic, value, headers,"
    " answer, append_again_at) VALUES (:event_id, :key, :version, :command_id, :claim, :topic,"
    " :value, :headers, :answer, clock_timestamp() + make_interval(secs => :recover_after))"
)

_KEPT = text(
    'SELECT answer, topic, partition, "offset", recorded_at'
    " FROM admissions WHERE command_id = :command_id"
)


def admit(connection: Connection, admission: Admission) -> Kept | Refusal | None:
    """Check and store, in the caller's transaction; None: admitted.

    Kept: the command was admitted before, so nothing was stored.
    """
    connection.execute(_LOCK, {"locks": _locks(admission)})
    if earlier := kept(connection, admission.command_id):
        return earlier
    claim = admission.claim
    row = connection.execute(
        _CHECK,
        {
            "key": admission.key,
            "subject": dict(admission.record.headers)["ce_subject"].decode(),
            "claim": str(claim) if claim else None,
            "field": claim.field if claim else None,
            "value": claim.key if claim else None,
        },
    ).one()
    if row.id_taken:
        return Refusal.ID_TAKEN
    if row.busy:
        return Refusal.BUSY
    if row.version != admission.version - 1:
        return Refusal.MOVED
    if row.taken:
        return Refusal.TAKEN_FOR_NOW if row.by_unsettled else Refusal.TAKEN
    _insert(connection, admission)
    return None


def kept(connection: Connection, command_id: str) -> Kept | None:
    row = connection.execute(_KEPT, {"command_id": command_id}).one_or_none()
    if row is None:
        return None
    recorded = None
    if row.recorded_at is not None:
        recorded = Recorded(Position(row.topic, row.partition, row.offset), row.recorded_at)
    return Kept(bytes(row.answer), recorded)


def _insert(connection: Connection, admission: Admission) -> None:
    connection.execute(
        _INSERT,
        {
            "event_id": admission.event_id,
            "key": admission.key,
            "version": admission.version,
            "command_id": admission.command_id,
            "claim": str(admission.claim) if admission.claim else None,
            "topic": admission.record.topic,
            "value": admission.record.value,
            "headers": Json({name: value.decode() for name, value in admission.record.headers}),
            "answer": admission.answer,
            "recover_after": RECOVER_AFTER,
        },
    )


def _locks(admission: Admission) -> list[int]:
    names = [f"command:{admission.command_id}", f"aggregate:{admission.key}"]
    if admission.claim:
        names.append(f"claim:{admission.claim}")
    return sorted(_lock(name) for name in names)


def _lock(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


_MARK = text(
    'UPDATE admissions a SET appended_at = clock_timestamp(), partition = v.partition, "offset" ='
    ' v."offset", recorded_at = v.recorded_at FROM (SELECT a.event_id, v.* FROM admissions a JOIN'
    " unnest(cast(:ids AS uuid[]), cast(:partitions AS int[]), cast(:offsets AS bigint[]),"
    ' cast(:times AS timestamptz[])) AS v (id, partition, "offset", recorded_at)'
    " ON a.event_id = v.id AND a.recorded_at IS NULL ORDER BY a.event_id FOR UPDATE OF a) v"
    " WHERE a.event_id = v.event_id"
)
_SETTLE = text(
    "UPDATE admissions a SET settled_at = clock_timestamp(),"
    " partition = coalesce(a.partition, v.partition),"
    ' "offset" = coalesce(a."offset", v."offset"),'
    " recorded_at = coalesce(a.recorded_at, v.recorded_at)"
    " FROM (SELECT a.event_id, v.* FROM admissions a JOIN"
    " unnest(cast(:ids AS uuid[]), cast(:keys AS uuid[]), cast(:partitions AS int[]),"
    " cast(:offsets AS bigint[]),"
    ' cast(:times AS timestamptz[])) AS v (id, of_key, partition, "offset", recorded_at)'
    " ON a.event_id = v.id AND a.key = v.of_key AND a.settled_at IS NULL"
    " ORDER BY a.event_id FOR UPDATE OF a) v"
    " WHERE a.event_id = v.event_id"
)
Places = Sequence[tuple[str, Recorded]]  # event ids and where they stand
Passed = Sequence[tuple[str, str, Recorded]]  # keys and ids of events that the projection passed


def mark_appended(connection: Connection, places: Places) -> None:
    """Note that admissions are in the log. Rows are locked in the order of their ids."""
    connection.execute(_MARK, _columns(places))


def settle(connection: Connection, passed: Passed) -> None:
    """Release what the projection has applied or rejected; in its transaction, in order of ids.

    Key and id are an event's identity: another's event under the same id settles nothing.
    """
    places = [(event_id, recorded) for _, event_id, recorded in passed]
    connection.execute(_SETTLE, _columns(places) | {"keys": [key for key, _, _ in passed]})


def _columns(places: Places) -> dict[str, list[str] | list[int] | list[datetime]]:
    return {
        "ids": [event_id for event_id, _ in places],
        "partitions": [r.position.partition for _, r in places],
        "offsets": [r.position.offset for _, r in places],
        "times": [r.recorded_at for _, r in places],
    }


_LEASE = text(
    "UPDATE admissions SET attempts = attempts + 1, append_again_at = clock_timestamp()"
    " + make_interval(secs => least(:first * 2 ^ least(attempts, 5), 60))"
    " WHERE event_id IN (SELECT event_id FROM admissions"
    "  WHERE appended_at IS NULL AND settled_at IS NULL AND append_again_at < clock_timestamp()"
    "  ORDER BY event_id LIMIT :limit FOR UPDATE SKIP LOCKED)"
    " RETURNING event_id::text AS event_id, key::text AS key, topic, value, headers"
)
_PRUNE = text(
    "DELETE FROM admissions WHERE event_id IN (SELECT event_id FROM admissions WHERE settled_at"
    " < clock_timestamp() - make_interval(hours => :hours) LIMIT :limit FOR UPDATE SKIP LOCKED)"
)


def lease_unappended(connection: Connection, limit: int) -> list[tuple[str, Record]]:
    """Take admissions not known to be in the log for a while, with backoff, to append them."""
    rows = connection.execute(_LEASE, {"first": RECOVER_AFTER, "limit": limit})
    return [
        (
            row.event_id,
            Record(
                row.topic,
                row.key.encode(),
                bytes(row.value),
                tuple((name, value.encode()) for name, value in row.headers.items()),
            ),
        )
        for row in rows
    ]


def prune(connection: Connection, limit: int) -> int:
    """Delete settled admissions whose answer need not be kept any longer."""
    return connection.execute(_PRUNE, {"hours": KEEP_ANSWERS, "limit": limit}).rowcount
