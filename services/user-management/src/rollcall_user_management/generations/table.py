"""The table of generations, and who uses which.

filling: made, and not live yet. live: read and decided on. standby: was live, and still follows the
log. dropping: to be let go of by whoever uses it. dropped: gone; its number is not used again.

A replica that uses a generation shares a session's advisory lock on its number (`attend`), which
Postgres takes from the dead; its tables go when nobody has that lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from rollcall_user_management.readstore import LAYOUT, create, schema_of

CHANNEL = "user_management_generations"  # NOTIFY, whenever the table has changed
_IN_USE = 0x67656E  # the first half of the key of `attend`; the second is the number


@dataclass(frozen=True)
class Row:
    number: int
    state: str
    layout: int
    full_speed: bool
    made_at: datetime

    @property
    def schema(self) -> str:
        return schema_of(self.number)

    @property
    def projected(self) -> bool:
        """Whether replicas of this release have to project it."""
        return self.layout == LAYOUT and self.state in ("filling", "live", "standby")


def read(connection: Connection) -> list[Row]:
    """All but those that are gone, newest first."""
    return [Row(*row) for row in connection.execute(_READ)]


def lock(connection: Connection) -> None:
    """Be the only one that changes the table, until the transaction ends."""
    connection.execute(text("LOCK TABLE generations IN EXCLUSIVE MODE"))


def keep(connection: Connection) -> None:
    """Let nobody change the table until the transaction ends."""
    connection.execute(text("LOCK TABLE generations IN ROW SHARE MODE"))


def fill(connection: Connection, *, full_speed: bool) -> Row:
    """The generation of this layout that is being filled, at that speed; made if there is none."""
    lock(connection)
    filling = [r for r in read(connection) if r.state == "filling" and r.layout == LAYOUT]
    if filling:
        number = filling[0].number
        set_ = text("UPDATE generations SET full_speed = :full_speed WHERE number = :number")
        connection.execute(set_, {"number": number, "full_speed": full_speed})
    else:
        number = _make(connection, full_speed=full_speed)
    notify(connection)
    return next(row for row in read(connection) if row.number == number)


def join(connection: Connection) -> None:
    """See to it that there is a generation of this release's layout, unless the live one is of a
    later release."""
    lock(connection)
    rows = read(connection)
    live = next(row for row in rows if row.state == "live")
    if live.layout < LAYOUT and not any(row.projected for row in rows):
        _make(connection, full_speed=False)
        notify(connection)


def set_state(connection: Connection, number: int, state: str) -> None:
    connection.execute(_SET_STATE, {"number": number, "state": state})
    notify(connection)


def notify(connection: Connection) -> None:
    connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


def attend(connection: Connection, number: int) -> None:
    """For as long as the session lasts, or until `leave`. Look afterwards whether it is there."""
    connection.execute(
        text("SELECT pg_advisory_lock_shared(:in_use, :number)"),
        {"in_use": _IN_USE, "number": number},
    )


def leave(connection: Connection, number: int) -> None:
    connection.execute(
        text("SELECT pg_advisory_unlock_shared(:in_use, :number)"),
        {"in_use": _IN_USE, "number": number},
    )


def attended(connection: Connection, number: int) -> bool:
    """Whether any replica uses it."""
    parameters = {"in_use": _IN_USE, "number": number}
    return bool(connection.execute(_ATTENDED, parameters).scalar_one())


def remove(connection: Connection, number: int) -> bool:
    """Remove a generation's tables, unless a replica still uses them. Whether they are gone."""
    parameters = {"in_use": _IN_USE, "number": number}
    if not connection.execute(_ALONE, parameters).scalar_one():
        return False
    connection.execute(text(f"DROP SCHEMA IF EXISTS {schema_of(number)} CASCADE"))
    set_state(connection, number, "dropped")
    return True


def _make(connection: Connection, *, full_speed: bool) -> int:
    number: int = connection.execute(_INSERT, {"layout": LAYOUT, "full": full_speed}).scalar_one()
    create(connection, number)
    connection.execute(text("SET LOCAL search_path = user_management"))
    return number


def behind(connection: Connection, live: str, other: str) -> int:
    """How many records the one schema has folded and the other has not."""
    return int(connection.execute(text(_BEHIND.format(live=live, other=other))).scalar_one())


def folded(connection: Connection, schema: str) -> int:
    """Records of the log."""
    statement = f"SELECT coalesce(sum(next_offset), 0) FROM {schema}.offsets"  # noqa: S608
    return int(connection.execute(text(statement)).scalar_one())


def live_of(rows: Sequence[Row]) -> Row:
    return next(row for row in rows if row.state == "live")


_READ = text(
    "SELECT number, state, layout, full_speed, made_at FROM generations"
    " WHERE state <> 'dropped' ORDER BY number DESC"
)
_INSERT = text(
    "INSERT INTO generations (number, state, layout, full_speed)"
    " SELECT max(number) + 1, 'filling', :layout, :full FROM generations RETURNING number"
)
_SET_STATE = text("UPDATE generations SET state = :state WHERE number = :number")
_ATTENDED = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
    " AND classid = :in_use AND objid = :number AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
_ALONE = text("SELECT pg_try_advisory_xact_lock(:in_use, :number)")
_BEHIND = (
    "SELECT coalesce(sum(greatest(l.next_offset - coalesce(o.next_offset, 0), 0)), 0)"
    " FROM {live}.offsets l LEFT JOIN {other}.offsets o USING (topic, partition)"
)
