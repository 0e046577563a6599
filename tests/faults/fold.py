"""The fold of the log, written a second time and from the contracts alone.

It knows nothing of the services' code, so that a mistake there is not a mistake here. Rows have
the names of the read store's columns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from faults.log import Record
from google.protobuf.json_format import MessageToDict

from rollcall.users.v1 import events_pb2 as pb

Row = dict[str, Any]
Place = tuple[int, int]  # partition, offset

BEGINS = {"UserCreatedEvent": "users", "RoleCreatedEvent": "roles"}
ENDS = {"UserDeletedEvent", "RoleDeletedEvent"}


@dataclass(frozen=True)
class Entry:
    """What the history says at a place. version: None where the event is rejected."""

    key: str
    event_id: str
    type: str
    version: int | None


@dataclass
class Holding:
    """A unique value in one aggregate's hand. until: None while it is. Both are append times."""

    value: str
    key: str
    since: int
    until: int | None = None


@dataclass
class Folded:
    """roles_of: user → the roles held at version 1, 2, …"""

    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {"users": {}, "roles": {}})
    assigned: dict[tuple[str, str], str] = field(default_factory=dict)
    history: dict[Place, Entry] = field(default_factory=dict)
    holdings: list[Holding] = field(default_factory=list)
    roles_of: dict[str, list[frozenset[str]]] = field(default_factory=lambda: defaultdict(list))
    by_command: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    copies: int = 0
    gaps: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


def fold(records: Iterable[Record]) -> Folded:
    """Records come in the order of their offsets, whatever that of the partitions."""
    folding = _Folding()
    seen: set[tuple[str, str]] = set()
    for record in records:
        identity = (record.key, record.id)
        if identity in seen:
            folding.folded.copies += 1
            continue
        seen.add(identity)
        folding.take(record)
    return folding.folded


class _Folding:
    def __init__(self) -> None:
        self.folded = Folded()
        self._holding: dict[str, Holding] = {}

    def take(self, record: Record) -> None:
        row = self._row_that_takes(record)
        version = None if row is None else row["version"] + 1
        entry = Entry(record.key, record.id, record.type, version)
        self.folded.history[record.partition, record.offset] = entry
        if record.correlation:
            self.folded.by_command[record.correlation].append(entry)
        if row is None:
            self.folded.rejected.append(f"{record.type} of {record.key} cannot follow")
            return
        if record.sequence not in (None, version):  # None: of another publisher
            self.folded.gaps.append(
                f"{record.key}: {record.sequence} was admitted, {version} is its turn"
            )
        self._apply(row, record)

    def _row_that_takes(self, record: Record) -> Row | None:
        """The row of the event's aggregate, or None where its life does not allow the event, or
        where it was discarded because no version knows it."""
        if not record.known:
            return None
        users, roles = self.folded.rows["users"], self.folded.rows["roles"]
        if collection := BEGINS.get(record.type):
            if record.key in users or record.key in roles:
                return None
            row: Row = {"id": record.key, "version": 0, "deleted_at": None}
            self.folded.rows[collection][record.key] = row
            return row
        found = (users if hasattr(record.event, "user_id") else roles).get(record.key)
        return found if found and found["deleted_at"] is None else None

    def _apply(self, row: Row, record: Record) -> None:
        at = datetime.fromtimestamp(record.recorded_ms / 1000, UTC)
        at = max(at, row.get("last_recorded_at", at))
        stamp = (at, record.partition, record.offset)
        _EVOLVE[record.type](row, record.event, stamp)
        row["version"] += 1
        row["updated_at"] = at
        row["last_recorded_at"], row["last_partition"], row["last_offset"] = stamp
        if record.type in ENDS:
            row["deleted_at"] = at
        self._roles(record)
        self._hold(row, record)

    def _roles(self, record: Record) -> None:
        event = record.event
        if not hasattr(event, "user_id"):
            return
        assigned, key = self.folded.assigned, record.key
        held = self.folded.roles_of[key][-1] if self.folded.roles_of[key] else frozenset()
        if record.type == "RoleAssignedToUserEvent":
            assigned[key, event.role_id] = event.role_name
            held |= {event.role_id}
        elif record.type == "RoleUnassignedFromUserEvent":
            assigned.pop((key, event.role_id), None)
            held -= {event.role_id}
        elif record.type == "UserDeletedEvent":
            for role in held:
                del assigned[key, role]
            held = frozenset()
        self.folded.roles_of[key].append(held)

    def _hold(self, row: Row, record: Record) -> None:
        value = row.get("email_key") or row["name_key"]
        before = self._holding.get(record.key)
        ends = record.type in ENDS
        if before and (ends or before.value != value):
            before.until = record.recorded_ms
            del self._holding[record.key]
        if not ends and (before is None or before.value != value):
            holding = Holding(value, record.key, record.recorded_ms)
            self._holding[record.key] = holding
            self.folded.holdings.append(holding)


Stamp = tuple[datetime, int, int]


def _user_created(row: Row, event: pb.UserCreatedEvent, at: Stamp) -> None:
    row |= {"name": "", "locale": "", "attributes": {}, "status": pb.USER_STATUS_ACTIVE}
    row |= {"created_at": at[0], "last_login_at": None}
    _user_updated(row, event, at)


def _user_updated(row: Row, event: pb.UserCreatedEvent | pb.UserUpdatedEvent, at: Stamp) -> None:
    person = event.person
    for name in ("email", "name", "locale"):
        if person.HasField(name):
            row[name] = getattr(person, name)
    if person.HasField("attributes"):
        row["attributes"] = MessageToDict(person.attributes)
    row["status"] = event.status or row["status"]
    _set_unique(row, "email", at)


def _role_created(row: Row, event: pb.RoleCreatedEvent, at: Stamp) -> None:
    row |= {"name": event.name, "description": event.description, "created_at": at[0]}
    row["permissions"] = list(event.permissions)
    _set_unique(row, "name", at)


def _role_updated(row: Row, event: pb.RoleUpdatedEvent, at: Stamp) -> None:
    for name in ("name", "description"):
        if event.HasField(name):
            row[name] = getattr(event, name)
    if event.HasField("permissions"):
        row["permissions"] = list(event.permissions.values)
    _set_unique(row, "name", at)


def _set_unique(row: Row, name: str, at: Stamp) -> None:
    """The column that is unique in any letter case, and since which event it has its value."""
    key = row[name].casefold()
    if row.get(f"{name}_key") != key:
        row[f"{name}_key"] = key
        row[f"{name}_since"], row[f"{name}_partition"], row[f"{name}_offset"] = at


def _nothing_more(row: Row, event: object, at: Stamp) -> None:
    """Version and times change, as with every event; roles and values are seen to elsewhere."""


_EVOLVE: Mapping[str, Callable[[Row, Any, Stamp], None]] = {
    "UserCreatedEvent": _user_created,
    "UserUpdatedEvent": _user_updated,
    "UserDeletedEvent": _nothing_more,
    "RoleAssignedToUserEvent": _nothing_more,
    "RoleUnassignedFromUserEvent": _nothing_more,
    "RoleCreatedEvent": _role_created,
    "RoleUpdatedEvent": _role_updated,
    "RoleDeletedEvent": _nothing_more,
}
