"""One short transaction for a group of commands: lock, read everything, store what was decided.

The order is the guarantee. The transaction first takes advisory locks on all command ids,
aggregates and unique values of its group, sorted, so that two of them cannot wait for each
other; only a statement after that reads, so that under READ COMMITTED it sees all that earlier
holders of those locks committed. What is decided on that read holds until the commit, because
whoever could change it waits for the same locks.

It takes two messages to Postgres, and a third where a role is concerned, in a session that knows
the statements already.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Engine

from rollcall_events import Position, Record, Recorded
from rollcall_events.postgres import Wire, array
from rollcall_user_management.admission.newest import (
    PENDING,
    ROLES,
    USER_ROLES,
    Newest,
    newest_role,
    newest_user,
)
from rollcall_user_management.admission.origin import SESSION, TIMELINE
from rollcall_user_management.admission.store import RECOVER_AFTER
from rollcall_user_management.domain.decide import Claim
from rollcall_user_management.domain.state import Role, User
from rollcall_user_management.generations.locks import ITS_ROW, SHARE
from rollcall_user_management.readstore import USER_COLUMNS

LOCK_TIMEOUT = 1.0  # seconds for another's locks, which only a stalled process keeps that long


class Value(Enum):
    """Who else has the value that a command wants."""

    FREE = "nobody"
    TAKEN = "another aggregate"
    TAKEN_FOR_NOW = "another, but what is unsettled of it may yet release it"


@dataclass(frozen=True)
class Question:
    """What has to be known to decide a command. claim: the value that it may come to need.
    reference: the id of the role that it refers to."""

    command_id: str
    aggregate: type[User] | type[Role]
    key: str
    claim: Claim | None
    reference: str | None


@dataclass(frozen=True)
class Kept:
    """An admission of the same command id, made earlier. recorded: None if not yet known.
    fingerprint: None of commands admitted before fingerprints were kept."""

    fingerprint: bytes | None
    answer: bytes
    recorded: Recorded | None


@dataclass(frozen=True)
class Answered:
    """A command that changed nothing, and its whole answer."""

    fingerprint: bytes
    answer: bytes


@dataclass(frozen=True)
class Facts:
    """The answers to a question. other_collection: the id is of an aggregate of another kind.
    parked: a sequence that it depends on is held, until somebody mends what failed."""

    kept: Kept | Answered | None
    newest: Newest
    reference: Newest | None
    value: Value
    other_collection: bool
    parked: bool


@dataclass(frozen=True)
class Reading:
    """incarnation: which Postgres this is (origin.py). held: nothing may be admitted to it yet.
    moved: another generation of the read store is live than the one that was read."""

    incarnation: str
    held: bool
    moved: bool
    facts: Sequence[Facts]


@dataclass(frozen=True)
class Admission:
    """version: that the event gives its aggregate. answer: what the command is told, encoded."""

    event_id: str
    key: str
    version: int
    command_id: str
    fingerprint: bytes
    claim: Claim | None
    record: Record
    answer: bytes


_COLLECTION = {User: "users", Role: "roles"}

_PREPARE = f"""
SET lock_timeout = '{int(LOCK_TIMEOUT * 1000)}ms';
SET statement_timeout = '5s';
SELECT set_config('rollcall.session', {SESSION}, false);
PREPARE lock_all (bigint[]) AS SELECT pg_advisory_xact_lock(l) FROM unnest($1) AS l;
PREPARE newest_roles (uuid[]) AS {ROLES};
PREPARE facts (text[], text[], uuid[], text[], text[], text[], uuid[]) AS
SELECT {USER_COLUMNS}, {PENDING}, {USER_ROLES},
  a.answer AS admitted_answer, a.fingerprint AS admitted_fingerprint,
  a.topic, a.partition, a."offset", a.recorded_at,
  k.answer AS kept_answer, k.fingerprint AS kept_fingerprint,
  CASE w.collection WHEN 'users' THEN r.id IS NOT NULL ELSE u.id IS NOT NULL END
    OR EXISTS (SELECT 1 FROM admissions o WHERE o.key = w.key AND o.settled_at IS NULL
                AND o.version > 0
                AND o.headers->>'ce_subject' <> w.collection || '/' || w.key) AS other_collection,
  EXISTS (SELECT 1 FROM parked s WHERE s.key IN (w.key, w.reference)) AS parked,
  others.taken, others.for_now,
  (SELECT current_setting('rollcall.session') || '/' || {TIMELINE}) AS incarnation,
  EXISTS (SELECT 1 FROM origin WHERE held_since IS NOT NULL) AS held,
  NOT EXISTS (SELECT 1 FROM {ITS_ROW} AND live) AS moved
FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
     AS w (command_id, collection, key, claim, field, value, reference, n)
LEFT JOIN users u ON u.id = w.key
LEFT JOIN roles r ON r.id = w.key
LEFT JOIN admissions a ON a.command_id = w.command_id
LEFT JOIN answers k ON k.command_id = w.command_id
LEFT JOIN LATERAL (
  SELECT true AS taken, bool_or((for_now OR coalesce((
           SELECT true FROM admissions h WHERE h.key = holders.key AND h.settled_at IS NULL
              AND h.version > 0
              AND (h.claim IS NOT NULL OR h.headers->>'ce_type' LIKE '%DeletedEvent') LIMIT 1),
           false)) AND NOT EXISTS (SELECT 1 FROM parked s WHERE s.key = holders.key)) AS for_now
  FROM (SELECT key, true AS for_now FROM admissions
         WHERE claim = w.claim AND claim IS NOT NULL AND settled_at IS NULL
           AND key <> w.key
        UNION ALL
        SELECT id, false FROM users WHERE w.field = 'email' AND email_key = w.value
           AND deleted_at IS NULL AND id <> w.key
        UNION ALL
        SELECT id, false FROM roles WHERE w.field = 'name' AND name_key = w.value
           AND deleted_at IS NULL AND id <> w.key) AS holders
  HAVING count(*) > 0) AS others ON w.claim IS NOT NULL
ORDER BY w.n;
PREPARE admit (float8, uuid[], uuid[], bigint[], text[], bytea[], text[], text[], bytea[],
               jsonb[], bytea[]) AS
INSERT INTO admissions (event_id, key, version, command_id, fingerprint, claim, topic, value,
  headers, answer, append_again_at)
SELECT r.*, clock_timestamp() + make_interval(secs => $1)
FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS r;
PREPARE keep (text[], bytea[], bytea[]) AS
INSERT INTO answers (command_id, fingerprint, answer) SELECT * FROM unnest($1, $2, $3);
"""  # noqa: S608  (constants)

_READ = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; {SHARE}; EXECUTE lock_all (%s);"
    " EXECUTE facts (%s, %s, %s, %s, %s, %s, %s)"
)
_ADMIT = "EXECUTE admit (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s); "
_KEEP = "EXECUTE keep (%s, %s, %s); "


def connect(engine: Engine) -> Wire:
    """A session for groups, on the generation that the engine's connections see first."""
    return Wire(engine, _PREPARE)


def read(wire: Wire, questions: Sequence[Question]) -> Reading:
    """Begin the transaction, lock what the questions are about, and answer them."""
    rows = wire.send(
        _READ,
        (
            array(_locks(questions)),
            array(q.command_id for q in questions),
            array(_COLLECTION[q.aggregate] for q in questions),
            array(q.key for q in questions),
            array(str(q.claim) if q.claim else None for q in questions),
            array(q.claim.field if q.claim else None for q in questions),
            array(q.claim.key if q.claim else None for q in questions),
            array(q.reference for q in questions),
        ),
    )
    roles = _roles(wire, questions)
    facts = [_facts(q, row, roles) for q, row in zip(questions, rows, strict=True)]
    return Reading(rows[0].incarnation, rows[0].held, rows[0].moved, facts)


def commit(
    wire: Wire,
    admissions: Sequence[Admission],
    answers: Sequence[tuple[str, Answered]],
) -> None:
    """Store what was decided, and end the transaction. answers: with their command ids."""
    statements, parameters = "", list[Any]()
    if admissions:
        statements += _ADMIT
        parameters += _columns(admissions)
    if answers:
        statements += _KEEP
        parameters += [
            array(command_id for command_id, _ in answers),
            array(answered.fingerprint for _, answered in answers),
            array(answered.answer for _, answered in answers),
        ]
    wire.send(statements + "COMMIT", parameters)


def rollback(wire: Wire) -> None:
    wire.send("ROLLBACK")


def _columns(admissions: Sequence[Admission]) -> list[Any]:
    return [
        RECOVER_AFTER,
        array(a.event_id for a in admissions),
        array(a.key for a in admissions),
        array(a.version for a in admissions),
        array(a.command_id for a in admissions),
        array(a.fingerprint for a in admissions),
        array(str(a.claim) if a.claim else None for a in admissions),
        array(a.record.topic for a in admissions),
        array(a.record.value for a in admissions),
        array(
            json.dumps({name: value.decode() for name, value in a.record.headers})
            for a in admissions
        ),
        array(a.answer for a in admissions),
    ]


def _roles(wire: Wire, questions: Sequence[Question]) -> dict[str, Newest]:
    ids = {q.key for q in questions if q.aggregate is Role}
    ids |= {q.reference for q in questions if q.reference is not None}
    if not ids:
        return {}
    rows = wire.send("EXECUTE newest_roles (%s)", (array(ids),))
    return {row.id: newest_role(row.id, row) for row in rows}


def _facts(question: Question, row: Any, roles: dict[str, Newest]) -> Facts:
    users = question.aggregate is User
    value = Value.TAKEN_FOR_NOW if row.for_now else Value.TAKEN
    return Facts(
        kept=_kept(row),
        newest=newest_user(question.key, row) if users else roles[question.key],
        reference=roles[question.reference] if question.reference is not None else None,
        value=value if row.taken else Value.FREE,
        other_collection=row.other_collection,
        parked=row.parked,
    )


def _kept(row: Any) -> Kept | Answered | None:
    if row.kept_answer is not None:
        return Answered(bytes(row.kept_fingerprint), bytes(row.kept_answer))
    if row.admitted_answer is None:
        return None
    recorded = None
    if row.recorded_at is not None:
        recorded = Recorded(Position(row.topic, row.partition, row.offset), row.recorded_at)
    fingerprint = row.admitted_fingerprint
    return Kept(
        bytes(fingerprint) if fingerprint is not None else None,
        bytes(row.admitted_answer),
        recorded,
    )


def _locks(questions: Sequence[Question]) -> list[int]:
    names = {f"command:{q.command_id}" for q in questions}
    names |= {f"aggregate:{q.key}" for q in questions}
    names |= {f"claim:{q.claim}" for q in questions if q.claim}
    return sorted(map(_lock, names))


def _lock(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
