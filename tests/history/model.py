"""The past as a pure fold of the log's records, written from the contracts alone.

It knows nothing of the services' code, so that a mistake there is not a mistake here. Moments are
microseconds since 1970.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from history.record import Record, problem

from rollcall.users.v1 import events_pb2 as pb

Change = dict[str, Any]  # field, old, new
STATUS = {pb.USER_STATUS_ACTIVE: "active", pb.USER_STATUS_SUSPENDED: "suspended"}
_NEW: Mapping[str, Mapping[str, Any]] = {
    "users": {"email": "", "name": "", "locale": "", "attributes": {}, "status": "active"},
    "roles": {"name": "", "description": "", "permissions": []},
}


@dataclass(frozen=True)
class State:
    """An aggregate after an event. roles: id → name as assigned. since: when and where its unique
    value, the e-mail or the role's name, was set."""

    collection: str
    fields: Mapping[str, Any]
    created: int
    updated: int
    since: tuple[int, int, int]
    version: int = 1
    roles: Mapping[str, str] = field(default_factory=dict)
    deleted: int | None = None
    last_login: int | None = None

    @property
    def value(self) -> str:
        return unique_key(self.fields["email" if self.collection == "users" else "name"])


@dataclass(frozen=True)
class Entry:
    """A record as the history tells it. key: None where it is no event of the topic. at: the append
    time, monotonic among what a key went through. state: None where it changed nothing."""

    record: Record
    key: str | None
    at: int
    version: int | None = None
    rejected: str | None = None
    changes: list[Change] = field(default_factory=list)
    state: State | None = None


def unique_key(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


class Model:
    """entries: in the order of partition and offset. Its methods are its rules, each of which can
    be broken by a model that derives from it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.entries: list[Entry] = []
        self.of_key: dict[str, list[Entry]] = {}
        self._applied: dict[str, tuple[list[int], list[Entry]]] = {}
        self._seen: set[tuple[bytes, str]] = set()
        for record in records:
            self._take(record)

    def state_at(self, key: str, at: int) -> State | None:
        """After the newest event until then, this moment included."""
        moments, entries = self._applied.get(key, ([], []))
        number = self.counted(moments, at)
        return entries[number - 1].state if number else None

    def entry_of(self, key: str, version: int) -> Entry | None:
        _, entries = self._applied.get(key, ([], []))
        return next((e for e in entries if e.version == version), None)

    def keys(self, collection: str) -> list[str]:
        """Of all that ever were."""
        last = {key: entries[-1].state for key, (_, entries) in self._applied.items()}
        return [key for key, state in last.items() if state and state.collection == collection]

    def counted(self, moments: list[int], at: int) -> int:
        """How many of the ascending moments are not after `at`."""
        return bisect_right(moments, at)

    def stamp(self, record: Record, applied: list[Entry]) -> int:
        """The append time, but not before that of what the key went through already."""
        return max(1000 * record.recorded_ms, applied[-1].at if applied else 0)

    def is_copy(self, record: Record) -> bool:
        identity = (record.key, record.header["ce_id"])
        seen = identity in self._seen
        self._seen.add(identity)
        return seen

    def refusal(self, record: Record, state: State | None) -> str | None:
        """Why the event cannot follow what its aggregate went through."""
        event = record.event
        noun = "user" if hasattr(event, "user_id") else "role"
        if state and state.collection != f"{noun}s":
            return f"the id is not of a {noun}"
        if record.type in ("UserCreatedEvent", "RoleCreatedEvent"):
            return f"the {noun} exists already, or did" if state else None
        if state is None:
            return f"no such {noun}"
        return None if state.deleted is None else f"the {noun} was deleted"

    def after(self, record: Record, state: State | None, at: int) -> State:
        """The state after an event that can follow."""
        place = (at, record.partition, record.offset)
        collection = "users" if hasattr(record.event, "user_id") else "roles"
        before = state or State(collection, _NEW[collection], at, at, place, version=0)
        if record.type == "UserLoggedInEvent":
            return replace(before, last_login=at)
        after = replace(
            before,
            fields={**before.fields, **new_values(record.event)},
            roles=self.roles_after(record, before.roles),
            version=before.version + 1,
            updated=at,
            deleted=at if record.type in ("UserDeletedEvent", "RoleDeletedEvent") else None,
        )
        return after if after.value == before.value else replace(after, since=place)

    def roles_after(self, record: Record, roles: Mapping[str, str]) -> Mapping[str, str]:
        event = record.event
        match event:
            case pb.RoleAssignedToUserEvent():
                return {**roles, event.role_id: event.role_name}
            case pb.RoleUnassignedFromUserEvent():
                return {id_: name for id_, name in roles.items() if id_ != event.role_id}
            case pb.UserDeletedEvent():
                return {}
        return roles

    def _take(self, record: Record) -> None:
        if wrong := problem(record):
            self.entries.append(Entry(record, None, 1000 * record.recorded_ms, rejected=wrong))
        elif not self.is_copy(record):
            entry = self._entry(record, record.key.decode())
            self.entries.append(entry)
            self.of_key.setdefault(record.key.decode(), []).append(entry)

    def _entry(self, record: Record, key: str) -> Entry:
        moments, applied = self._applied.get(key, ([], []))
        at = self.stamp(record, applied)
        before = applied[-1].state if applied else None
        if refused := self.refusal(record, before):
            return Entry(record, key, at, rejected=refused)
        state = self.after(record, before, at)
        version = None if before and state.version == before.version else state.version
        entry = Entry(record, key, at, version, None, changes(before, state), state)
        self._applied[key] = ([*moments, at], [*applied, entry])
        return entry


def new_values(event: Any) -> dict[str, Any]:
    """The fields that an event sets."""
    values: dict[str, Any]
    match event:
        case pb.UserCreatedEvent() | pb.UserUpdatedEvent():
            person = event.person
            names = [name for name in ("email", "name", "locale") if person.HasField(name)]
            values = {name: getattr(person, name) for name in names}
            if person.HasField("attributes"):
                values["attributes"] = MessageToDict(person.attributes)
            return values | ({"status": STATUS[event.status]} if event.status else {})
        case pb.RoleCreatedEvent():
            values = {"name": event.name, "description": event.description}
            return {**values, "permissions": list(event.permissions)}
        case pb.RoleUpdatedEvent():
            names = [name for name in ("name", "description") if event.HasField(name)]
            values = {name: getattr(event, name) for name in names}
            listed = event.HasField("permissions")
            return values | ({"permissions": list(event.permissions.values)} if listed else {})
    return {}


def changes(before: State | None, after: State) -> list[Change]:
    """What of the aggregate an event changed. A field that did not exist, or does not any more, is
    null."""
    old, new = _shown(before), _shown(after)
    found = [
        {"field": name, "old": old.get(name), "new": new.get(name)}
        for name in _NEW[after.collection]
        if old.get(name) != new.get(name)
    ]
    had, has = before.roles if before else {}, after.roles
    gone, came = sorted(had.keys() - has.keys()), sorted(has.keys() - had.keys())
    found += [{"field": "roles", "old": {"id": r, "name": had[r]}, "new": None} for r in gone]
    found += [{"field": "roles", "old": None, "new": {"id": r, "name": has[r]}} for r in came]
    return found


def _shown(state: State | None) -> Mapping[str, Any]:
    return state.fields if state and state.deleted is None else {}
