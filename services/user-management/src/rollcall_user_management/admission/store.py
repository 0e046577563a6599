"""What becomes of admissions: marked, settled, appended again, pruned."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from rollcall_events import Record, Recorded, Statement
from rollcall_events.postgres import Wire, array
from rollcall_user_management.generations.locks import ITS_ROW

RECOVER_AFTER = 5  # seconds until an admission not known to be in the log is appended again
KEEP_ANSWERS = 24  # hours that the answer of a settled admission is kept for a repetition

# For sessions that mark, and for the projection's, which settles.
PREPARE_MARK = """
PREPARE mark (uuid[], int[], bigint[], timestamptz[]) AS
UPDATE admissions a SET appended_at = clock_timestamp(), partition = v.partition,
  "offset" = v."offset", recorded_at = v.recorded_at
FROM (SELECT a.event_id, v.*
      FROM unnest($1, $2, $3, $4) AS v (id, partition, "offset", recorded_at)
      JOIN admissions a ON a.event_id = v.id AND a.recorded_at IS NULL
      ORDER BY a.event_id FOR UPDATE OF a) v
WHERE a.event_id = v.event_id;
"""
PREPARE_SETTLE = f"""
PREPARE settle (uuid[], uuid[], int[], bigint[], timestamptz[]) AS
UPDATE admissions a SET settled_at = clock_timestamp(),
  partition = coalesce(a.partition, v.partition), "offset" = coalesce(a."offset", v."offset"),
  recorded_at = coalesce(a.recorded_at, v.recorded_at)
FROM (SELECT a.event_id, v.*
      FROM unnest($1, $2, $3, $4, $5) AS v (of_key, id, partition, "offset", recorded_at)
      JOIN admissions a ON a.event_id = v.id AND a.key = v.of_key AND a.settled_at IS NULL
      WHERE EXISTS (SELECT 1 FROM {ITS_ROW} AND live)
      ORDER BY a.event_id FOR UPDATE OF a) v
WHERE a.event_id = v.event_id;
"""  # noqa: S608  (constants)
Places = Sequence[tuple[str, Recorded]]  # event ids and where they stand
Passed = Sequence[tuple[str, str, Recorded]]  # keys and ids of events that the projection passed


def mark_appended(wire: Wire, places: Places) -> None:
    """Note that admissions are in the log. Rows are locked in the order of their ids."""
    wire.send("EXECUTE mark (%s, %s, %s, %s)", _columns(places))


def settling(passed: Passed) -> Statement:
    """Release what the projection has applied or rejected; in its transaction, in order of ids.

    Key and id are an event's identity: another's event under the same id settles nothing. Nor does
    a generation that is not live, at least if this comes after ENDING of generations/locks.py.
    """
    places = [(event_id, recorded) for _, event_id, recorded in passed]
    keys = array(key for key, _, _ in passed)
    return "EXECUTE settle (%s, %s, %s, %s, %s)", (keys, *_columns(places))


def _columns(places: Places) -> Sequence[str]:
    return (
        array(event_id for event_id, _ in places),
        array(r.position.partition for _, r in places),
        array(r.position.offset for _, r in places),
        array(r.recorded_at for _, r in places),
    )


# Both must stay searches of an index, whatever the planner believes of a table that was empty a
# moment ago: so they are ordered by what they look for, and compare it with the statement's one
# moment. By clock_timestamp(), which moves while a statement runs, no index can be searched.
_LEASE = text(
    "UPDATE admissions SET attempts = attempts + 1, append_again_at = clock_timestamp()"
    " + make_interval(secs => least(:first * 2 ^ least(attempts, 5), 60))"
    " WHERE event_id IN (SELECT event_id FROM admissions"
    "  WHERE appended_at IS NULL AND settled_at IS NULL AND attempts >= 0"
    "   AND append_again_at < statement_timestamp()"
    "  ORDER BY append_again_at LIMIT :limit FOR UPDATE SKIP LOCKED)"
    " RETURNING event_id::text AS event_id, key::text AS key, topic, value, headers"
)
_PRUNE = text(
    "WITH settled AS (DELETE FROM admissions WHERE event_id IN (SELECT event_id FROM admissions"
    "  WHERE settled_at < statement_timestamp() - make_interval(hours => :hours)"
    "  ORDER BY settled_at LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING 1),"
    " kept AS (DELETE FROM answers WHERE command_id IN (SELECT command_id FROM answers"
    "  WHERE kept_at < statement_timestamp() - make_interval(hours => :hours)"
    "  ORDER BY kept_at LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING 1)"
    " SELECT greatest((SELECT count(*) FROM settled), (SELECT count(*) FROM kept))"
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
    """Delete what need not be kept any longer: settled admissions, and answers of commands that
    changed nothing. Returns how many of either, `limit` at most."""
    parameters = {"hours": KEEP_ANSWERS, "limit": limit}
    return int(connection.execute(_PRUNE, parameters).scalar_one())
