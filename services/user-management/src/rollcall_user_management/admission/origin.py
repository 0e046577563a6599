"""Where the stored offsets are from: one row with the log and the Postgres that they are of.

Compared in one transaction with what is found, it says whether this Postgres may hold less than
the log was told of. If it may, it is held: `held_since` and `reason` are set, and nothing may be
admitted until they are not. `ends`: how far the projection has to come first, once that is known.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from rollcall_events import Refused, Topic
from rollcall_user_management.readstore import schema_of

# The timeline that is written to, which a promotion has changed as soon as it is over.
_SYSTEM_ID = "(SELECT system_identifier::text FROM pg_control_system())"
TIMELINE = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"

# What a session can ask once: neither changes while it lasts.
SESSION = f"{_SYSTEM_ID} || '/' || extract(epoch FROM pg_postmaster_start_time())::text"

# Of one start of one Postgres: nothing can be put back in it without another.
INCARNATION = f"{SESSION} || '/' || {TIMELINE}"


def look(connection: Connection) -> Any:
    """The incarnation, and the origin's columns: all None if there is none yet."""
    return connection.execute(_LOOK).one()


def compared(connection: Connection) -> list[int]:
    """The generations whose stored offsets Kafka's must not be ahead of. Not those that are being
    filled: Kafka may be told of what a crash of Postgres takes from them."""
    return list(connection.execute(_COMPARED).scalars())


def compare(
    connection: Connection,
    topic: Topic,
    committed: Mapping[int, Mapping[int, int]],
    ends: Mapping[int, int],
) -> Any:
    """The origin as it is from now on: made if there was none, held if it has to be.

    committed: what Kafka was told of by the group of each generation, read before this transaction
    began: the stored offsets go on meanwhile, and are not behind for that. ends: the log's, if no
    origin was seen. Raises Refused.
    """
    made = connection.execute(_MAKE, {"cluster_id": topic.cluster_id, "topic_id": topic.id})
    origin = connection.execute(_LOCK).one()
    refuse_another(origin, topic)
    numbers = connection.execute(_KEEP_COMPARED).scalars().all()
    stored = {number: _stored(connection, number, topic) for number in numbers}
    reason = _another_postgres(origin)
    if reason is None and not origin.held_here:
        reason = _behind(committed, stored) or origin.reason
    empty = not any(any(offsets.values()) for offsets in stored.values())
    if reason is None and made.rowcount and any(ends.values()) and empty:
        reason = "Postgres is new, and the log is not"
    if reason is not None:
        connection.execute(_HOLD, {"reason": reason})
        origin = connection.execute(_LOCK).one()
    return origin


def refuse_another(origin: Any, topic: Topic) -> None:
    """Raises Refused if the origin is another log."""
    for what, stored, found in (
        ("Kafka cluster", origin.cluster_id, topic.cluster_id),
        (f"topic {topic.name}", origin.topic_id, topic.id),
    ):
        if stored != found:
            raise Refused(
                f"this database is of the {what} with id {stored}, but this one has id {found}:"
                " go back to that one, or give the service an empty database"
            )


def ends_wanted(connection: Connection, after: float) -> datetime | None:
    """Since when it is held, if that is `after` seconds ago and the log's ends are not known."""
    return connection.execute(_ENDS_WANTED, {"after": after}).scalar()


def set_ends(
    connection: Connection, incarnation: str, since: datetime, ends: Mapping[int, int]
) -> None:
    """Note where the log ended, for the hold since then and no other."""
    parameters = {"incarnation": incarnation, "since": since, "ends": json.dumps(dict(ends))}
    connection.execute(_SET_ENDS, parameters)


def release(connection: Connection, incarnation: str, topic: Topic) -> bool:
    """End the hold if the live generation's offsets have reached the ends. Returns whether it
    ended."""
    live = connection.execute(_LIVE).scalar_one()
    parameters = {"incarnation": incarnation, "topic": topic.name, "live": live}
    release_ = text(_RELEASE.format(schema=schema_of(live)))
    return connection.execute(release_, parameters).rowcount == 1


def _another_postgres(origin: Any) -> str | None:
    if origin.system_id != origin.system_id_now:
        return (
            f"this is another Postgres: its system identifier is {origin.system_id_now}"
            f" and was {origin.system_id}"
        )
    if origin.timeline != origin.timeline_now:
        return (
            "Postgres failed over or was restored: its timeline is"
            f" {origin.timeline_now} and was {origin.timeline}"
        )
    return None


def _stored(connection: Connection, number: int, topic: Topic) -> dict[int, int]:
    statement = text(_STORED.format(schema=schema_of(number)))
    rows = connection.execute(statement, {"topic": topic.name})
    return {row.partition: row.next_offset for row in rows}


def _behind(
    committed: Mapping[int, Mapping[int, int]], stored: Mapping[int, Mapping[int, int]]
) -> str | None:
    """A generation that has come or gone since Kafka was asked says nothing."""
    missing = max(
        (
            sum(max(0, offset - stored[n].get(p, 0)) for p, offset in committed[n].items())
            for n in committed.keys() & stored.keys()
        ),
        default=0,
    )
    if not missing:
        return None
    return f"Postgres was restored: it lacks {missing} records of which Kafka was told"


# Only constants are ever put into a statement's text.
_LOOK = text(
    f"SELECT {INCARNATION} AS incarnation, o.cluster_id, o.topic_id, o.reason"  # noqa: S608
    " FROM (VALUES (1)) AS one LEFT JOIN origin o ON true"
)
_MAKE = text(
    "INSERT INTO origin (cluster_id, topic_id, system_id, timeline)"  # noqa: S608
    f" VALUES (:cluster_id, :topic_id, {_SYSTEM_ID}, {TIMELINE}) ON CONFLICT DO NOTHING"
)
# held_here: since this start of Postgres, so that no restore can have brought the hold with it.
_LOCK = text(
    f"SELECT o.*, {INCARNATION} AS incarnation,"  # noqa: S608
    f" {_SYSTEM_ID} AS system_id_now, {TIMELINE} AS timeline_now,"
    " coalesce(held_since >= pg_postmaster_start_time(), false) AS held_here"
    " FROM origin o FOR UPDATE"
)
_COMPARED = text("SELECT number FROM generations WHERE state IN ('live', 'standby')")
# None of them is removed until the transaction ends.
_KEEP_COMPARED = text("SELECT number FROM generations WHERE state IN ('live', 'standby') FOR SHARE")
_LIVE = text("SELECT number FROM generations WHERE live")
_STORED = "SELECT partition, next_offset FROM {schema}.offsets WHERE topic = :topic"
_HOLD = text(
    f"UPDATE origin SET system_id = {_SYSTEM_ID}, timeline = {TIMELINE},"  # noqa: S608
    " held_since = clock_timestamp(), reason = :reason, ends = NULL"
)
_ENDS_WANTED = text(
    "SELECT held_since FROM origin WHERE ends IS NULL"
    " AND held_since + make_interval(secs => :after) <= clock_timestamp()"
)
_SET_ENDS = text(
    "UPDATE origin SET ends = cast(:ends AS jsonb) WHERE ends IS NULL"  # noqa: S608
    f" AND held_since = :since AND ({INCARNATION}) = :incarnation"
)
_RELEASE = (
    "UPDATE origin SET held_since = NULL, reason = NULL, ends = NULL"  # noqa: S608
    f" WHERE ends IS NOT NULL AND ({INCARNATION}) = :incarnation"
    " AND EXISTS (SELECT 1 FROM generations WHERE live AND number = :live) AND NOT EXISTS ("
    "SELECT 1 FROM jsonb_each_text(ends) AS e LEFT JOIN {schema}.offsets o"
    " ON o.topic = :topic AND o.partition = e.key::int"
    " WHERE coalesce(o.next_offset, 0) < e.value::bigint)"
)
