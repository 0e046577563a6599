"""Held sequences in the group's schema: statements that park, hold, lock and let go.

The row of a sequence is its lock. Whoever runs it has it FOR NO KEY UPDATE, so nobody else does.
Whoever holds one more record shares it meanwhile, FOR KEY SHARE: the sequence will not end without
that record. For its end it is taken FOR UPDATE. Only a statement after the lock reads.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rollcall_events.codec import RawRecord
from rollcall_events.folding import Folded
from rollcall_events.postgres import array
from rollcall_events.subscription import Statement

PREPARE = """
PREPARE lock_held (uuid[]) AS
  SELECT 1 FROM parked WHERE key = ANY ($1) ORDER BY key FOR KEY SHARE;
PREPARE hold (int[], bigint[], uuid[], uuid[], text[], bytea[], bytea[], bigint[]) AS
  INSERT INTO held (partition, "offset", key, event_id, type, value, headers, timestamp_ms)
  SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING;
PREPARE park (uuid[], int[], bigint[], text[], text[]) AS
  INSERT INTO parked AS p (key, partition, "offset", reason, stack)
  SELECT * FROM unnest($1, $2, $3, $4, $5)
  ON CONFLICT (key) DO UPDATE SET partition = excluded.partition, "offset" = excluded."offset",
    reason = excluded.reason, stack = excluded.stack, tried_at = now(),
    attempts = CASE WHEN p."offset" = excluded."offset" THEN p.attempts + 1 ELSE 1 END;
PREPARE run_held (uuid) AS
  SELECT partition, "offset" FROM parked WHERE key = $1 FOR NO KEY UPDATE;
PREPARE end_held (uuid) AS SELECT 1 FROM parked WHERE key = $1 FOR UPDATE;
PREPARE load_held (uuid, bigint) AS
  SELECT partition, "offset", value, headers, timestamp_ms FROM held
  WHERE key = $1 AND "offset" >= $2 ORDER BY partition, "offset";
PREPARE let_go (int[], bigint[]) AS
  DELETE FROM held h USING unnest($1, $2) AS v (partition, "offset")
  WHERE h.partition = v.partition AND h."offset" = v."offset";
PREPARE unpark (uuid) AS DELETE FROM parked WHERE key = $1;
"""


def holding(folded: Folded) -> Iterator[Statement]:
    """What stores the records that are held, and which of them could not be handled."""
    if not folded.held:
        return
    yield (
        "EXECUTE hold (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            array(h.record.partition for h in folded.held),
            array(h.record.offset for h in folded.held),
            array(h.event.key for h in folded.held),
            array(h.event.id for h in folded.held),
            array(h.event.type for h in folded.held),
            array(h.record.value for h in folded.held),
            array(_packed(h.record) for h in folded.held),
            array(h.record.timestamp_ms for h in folded.held),
        ),
    )
    failed = [(h, h.failure) for h in folded.held if h.failure is not None]
    if failed:
        yield (
            "EXECUTE park (%s, %s, %s, %s, %s)",
            (
                array(h.event.key for h, _ in failed),
                array(h.record.partition for h, _ in failed),
                array(h.record.offset for h, _ in failed),
                array(failure.reason for _, failure in failed),
                array(failure.stack for _, failure in failed),
            ),
        )


def letting_go(records: Sequence[RawRecord]) -> Statement:
    return (
        "EXECUTE let_go (%s, %s)",
        (array(r.partition for r in records), array(r.offset for r in records)),
    )


def record_of(topic: str, key: str, row: Any) -> RawRecord:
    """The record of a row of `held`, as it was read from the log."""
    headers = [
        (name, None if value is None else base64.b64decode(value))
        for name, value in json.loads(bytes(row.headers))
    ]
    return RawRecord(
        topic=topic,
        partition=row.partition,
        offset=row.offset,
        key=key.encode(),
        value=None if row.value is None else bytes(row.value),
        headers=headers,
        timestamp_ms=row.timestamp_ms,
    )


def _packed(record: RawRecord) -> bytes:
    pairs = [
        (name, None if value is None else base64.b64encode(value).decode())
        for name, value in record.headers or ()
    ]
    return json.dumps(pairs).encode()
